# `make demo` and `make test` are all the set-up there is.

CARGO ?= cargo
# Mesa's device-select layer complains on stderr of every process where there is no desktop; the binary silences it by itself.
export NODEVICE_SELECT ?= 1

help: ## What there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

demo: ## Finds painted defects on photographs that ship with Lupe; everything lies in lupe-demo then
	@.ci/setup
	@echo "Building (the first time takes some minutes) ..." >&2
	@$(CARGO) run --locked --release --quiet -- demo

study: ## The thesis's questions on painted textures, in a report; everything lies in lupe-study then
	@.ci/setup
	@echo "Building (the first time takes some minutes) ..." >&2
	@$(CARGO) run --locked --release --quiet -- demo study

test: ## Every test, on the device that is here; says at the end which were skipped
	@.ci/setup
	@CARGO="$(CARGO)" .ci/test

test-full: ## As test, with every case at every width of the software driver
	@.ci/setup
	@LUPE_FULL=1 CARGO="$(CARGO)" .ci/test

bench: ## Times whole networks, selection, nearest neighbours and the way of pictures to the device that is here
	@.ci/setup
	$(CARGO) bench --locked --profile dev --bench models --bench patchcore --bench feed

peers: ## Lupe beside other engines on this machine, in turns; into benches/RESULTS.md (ARGS="--rounds 2 --no-write")
	@.ci/setup
	python3 benches/peers/run $(ARGS)

bench-ops: ## Times every candidate of every op at the networks' shapes, ARGS="--help" for what it takes
	@.ci/setup
	$(CARGO) bench --locked --profile dev --bench ops -- $(ARGS)

device-kit: ## One folder, target/device-kit, that measures everything on a card elsewhere (benches/device)
	@.ci/setup
	CARGO="$(CARGO)" benches/device/kit

device-report: device-kit ## Measures everything on the card that is here; ARGS="--help" for what it takes
	target/device-kit/run -o target/device-report/$$(date +%Y%m%d-%H%M%S) $(ARGS)

isa: ## What real GPUs' compilers make of the kernels, printed and put into benches/RESULTS.md
	$(CARGO) test --locked --test isa -- --write

isa-record: ## As isa, and records the figures that later runs are held to
	$(CARGO) test --locked --test isa -- --write --record

fuzz: ## Fuzzes what reads files, MINUTES (20) for each container; needs cargo-fuzz
	tests/fuzz/run.sh $(or $(MINUTES),20)

lint: ## Formatting, clippy and documentation, warnings as errors
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps

.PHONY: help demo study test test-full bench bench-ops peers isa isa-record lint fuzz
.DEFAULT_GOAL := help
