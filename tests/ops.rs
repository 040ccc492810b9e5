//! Sweeps every candidate of every op against its reference on the device, in fenced memory; production and checked modules; and those
//! that state the same order of sums against each other, bit for bit.
//!
//! Compiling is most of the time: checked modules run for the first small case of each candidate, with `LUPE_FULL` for all of them.
//!
//! Every case x candidate is a test of its own, so that `cargo test --test ops -- conv` runs what it says. `LUPE_NO_GPU=1` skips
//! all of it visibly; a missing adapter is a failure.

mod common;

use common::sweep::{self, Part, Run};
use common::{check, orders};
use libtest_mimic::{Arguments, Failed, Trial};
use lupe::engine::probe::labels;
use std::collections::HashSet;

fn main() {
    let args = Arguments::from_args();
    if common::skip::without_device("the whole sweep") {
        libtest_mimic::run(&args, vec![]).exit();
    }
    let part = sweep::part();
    let (mut trials, mut seen) = (vec![], HashSet::new());
    for (op, cases) in lupe::ops::cases() {
        for (number, case) in cases.into_iter().enumerate() {
            let labels = labels(sweep::gpu(), &*case.op, &case.inputs).unwrap_or_else(|e| vec![e.to_string()]);
            for candidate in part.of(&labels) {
                let label = &labels[candidate];
                let shapes: Vec<String> = case.inputs.iter().map(|s| s.to_string()).collect();
                let name = format!("{op}::{number}::{label} {}", shapes.join(" "));
                let mut first = || part == Part::All && seen.insert((op, label.clone()));
                let checked = check::small(&case) && (sweep::full() || first());
                let run = Run { op, case: number, candidate, checked };
                trials.push(Trial::test(name, move || run.check().map_err(Failed::from)));
            }
        }
    }
    if part == Part::All {
        trials.push(Trial::test("parts_of_a_case", || {
            let labels = ["conv_software", "conv_gemm", "conv_direct"].map(String::from);
            assert_eq!(
                [Part::All, Part::First, Part::Portable].map(|p| p.of(&labels)),
                [vec![0, 1, 2], vec![0], vec![2]]
            );
            Ok(())
        }));
        trials.push(Trial::test("disagreement_is_told", || orders::disagreement_is_told().map_err(Failed::from)));
        trials.push(Trial::test("planted_faults_are_caught", || {
            common::faults::all_are_caught();
            Ok(())
        }));
        trials.extend(["128", "512"].map(|bits| {
            Trial::test(format!("again_at_{bits}_bits"), move || sweep::again_at_width(bits).map_err(Failed::from))
        }));
        if sweep::full() {
            trials.push(Trial::test("portable_candidates_on_gl", || sweep::again_on_gl().map_err(Failed::from)));
        }
    }
    let ended = libtest_mimic::run(&args, trials);
    let whole = part == Part::All && ended.num_filtered_out == 0 && ended.num_passed > 0;
    if whole && sweep::ORDERS.held() < 100 {
        eprintln!("only {} candidates were held to others of their order", sweep::ORDERS.held());
        std::process::exit(101);
    }
    ended.exit();
}
