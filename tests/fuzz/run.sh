#!/bin/sh
# Fuzzes every container for so many minutes each, and keeps the fewest inputs that reach all that was reached. Needs cargo-fuzz.
set -eu
cd "$(dirname "$0")/../.."
minutes=${1:-20}
command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is not here: cargo install cargo-fuzz --locked" >&2; exit 1; }
targets=$(cd tests/fuzz/targets && ls ./*.rs | sed 's|^\./||; s|\.rs$||')
# Without sanitizers, which want a nightly compiler; bounds and overflow checks stay.
fuzz() { cargo fuzz run --fuzz-dir tests/fuzz -s none "$@"; }
cargo test --locked --quiet --test files -- --ignored --exact corpus::unpack
for target in $targets; do
    echo "== $target, $minutes minutes" >&2
    fuzz "$target" "tests/fuzz/work/$target" -- "-max_total_time=$((60 * minutes))" -timeout=10 -rss_limit_mb=1500 \
        -max_len=20000 -dict=tests/fuzz/pickle.dict -print_final_stats=1
    mkdir -p "tests/fuzz/least/$target"
    fuzz "$target" "tests/fuzz/least/$target" "tests/fuzz/work/$target" -- -set_cover_merge=1 -max_len=12000
done
cargo test --locked --quiet --test files -- --ignored --exact corpus::pack
