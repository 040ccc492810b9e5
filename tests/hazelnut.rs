//! The default on real parts: hazelnuts, of which the network has never seen any.

mod common;

use common::program::{Bench, done, lupe, no_gpu};
use common::skip::{skip, this_test};
use std::path::Path;

#[test]
fn defective_hazelnuts_are_found_and_shown() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/hazelnut");
    if !data.exists() {
        return skip(&this_test(), "../shared/data/hazelnut is not here");
    }
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    done(lupe().args(["fit", "patchcore", "-q"]).arg(&data).arg("-o").arg(b.path("nut.lupe")));
    let evaluated = lupe_eval(&b, &data);
    let at = |path: [&str; 2]| evaluated[path[0]][path[1]].as_f64().unwrap_or_else(|| panic!("{path:?}: {evaluated}"));
    println!("{evaluated:#}");
    assert_eq!(at(["image", "auroc"]), 1.0);
    assert!(at(["pixel", "auroc"]) >= 0.988, "{}", at(["pixel", "auroc"]));
    assert!(at(["pixel", "ap"]) >= 0.70, "{}", at(["pixel", "ap"]));
    // At the limit from good pictures alone.
    let limit = &evaluated["at_limit"];
    assert_eq!((limit["misses"].as_u64(), limit["false_alarms"].as_u64()), (Some(0), Some(0)), "{limit}");
}

fn lupe_eval(b: &Bench, data: &Path) -> serde_json::Value {
    let said =
        done(lupe().args(["eval", "--json", "-q"]).arg(b.path("nut.lupe")).arg(data).arg("-o").arg(b.path("out")));
    serde_json::from_str(&said).expect("JSON")
}
