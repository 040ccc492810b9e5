//! How many workgroups a GPU gets of every layer, with no tuning: without a device.

use lupe::engine::form::typical;
use lupe::engine::lower::{Lowered, Role, Step, candidates, lower_by};
use lupe::engine::shader::Word;
use lupe::engine::{Caps, Choices, Family, Graph, Named, Scope};
use lupe::models;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

/// Floating-point operations of products from which on a dispatch is held to a number of workgroups.
const WORTH: u64 = 10_000_000;

/// GPUs by vendor: which tiles there are goes by it.
fn gpus() -> Vec<(&'static str, Caps)> {
    let desktop = typical().into_iter().find(|a| a.0 == "desktop").expect("a desktop GPU").1;
    let vendors = [
        ("AMD", 0x1002),
        ("Intel", 0x8086),
        ("NVIDIA", 0x10de),
        ("Arm", 0x13b5),
        ("Qualcomm", 0x5143),
        ("Apple", 0x106b),
    ];
    let all = vendors.map(|(name, vendor)| (name, Caps { vendor, ..desktop }));
    [("base", Caps::BASE)].into_iter().chain(all).collect()
}

/// All steps of a network, picture to logits or class token, for so many pictures of 224x224.
fn lowered(network: &str, batch: usize, caps: &Caps) -> Lowered {
    let (graph, none) = (Graph::new(), Named::new());
    let network = models::find(network).expect("a network");
    let places = network.build(graph.input("picture", [batch, 224, 224, 3]), &Scope::new(&graph, &none));
    let end = places.get("logits").or(places.get("cls")).expect("its head, or a class token");
    lower_by(&graph, &[end], caps, &Choices::First).expect("it lowers")
}

fn groups(step: &Step) -> u64 {
    step.kernel.groups.iter().map(|&g| u64::from(g)).product()
}

/// What runs at every run: packing of weights does not.
fn running(lowered: &Lowered) -> impl Iterator<Item = &Step> {
    lowered.steps.iter().filter(|s| lowered.values[s.output].constant.is_none())
}

/// What runs at every run and has at least [`WORTH`] operations of products.
fn products(lowered: &Lowered) -> impl Iterator<Item = &Step> {
    running(lowered).filter(|s| s.flops >= WORTH)
}

#[test]
fn no_product_leaves_a_card_idle() {
    let mut few = vec![];
    for (name, caps) in gpus() {
        for network in ["resnet18", "resnet34", "resnet50", "wide_resnet50_2"] {
            for (batch, least) in [(1, 128), (32, 256)] {
                let lowered = lowered(network, batch, &caps);
                assert!(products(&lowered).count() >= 17, "{network} has its convolutions");
                let bare = products(&lowered).filter(|s| groups(s) < least);
                few.extend(bare.map(|s| format!("{name} {network} {batch}: {} {}", s.label, groups(s))));
            }
        }
    }
    assert!(few.is_empty(), "{} have too few workgroups:\n{}", few.len(), few.join("\n"));
}

/// The attention of six heads for one picture is let off: 16 queries a workgroup make 78 for 197 tokens, and with eight half the
/// invocations would have nothing to do in the second product.
#[test]
fn no_product_of_tokens_leaves_a_card_idle() {
    let mut few = vec![];
    for (name, caps) in gpus() {
        for network in ["dino_vits16", "dino_vitb16"] {
            for (batch, least) in [(1, 128), (32, 256)] {
                let lowered = lowered(network, batch, &caps);
                assert!(products(&lowered).count() >= 60, "{network} has its products");
                let bare = products(&lowered).filter(|s| {
                    let let_off = s.label == "attention" && network == "dino_vits16" && batch == 1;
                    groups(s) < if let_off { 78 } else { least }
                });
                few.extend(bare.map(|s| format!("{name} {network} {batch}: {} {}", s.label, groups(s))));
            }
        }
    }
    assert!(few.is_empty(), "{} have too few workgroups:\n{}", few.len(), few.join("\n"));
}

/// Every kernel of 128x128 tiles is swept where it has several rows and columns of workgroups, the last of them beyond the edge.
#[test]
fn the_largest_tiles_are_swept_in_rows_and_columns() {
    let caps = typical().into_iter().find(|a| a.0 == "desktop").expect("a desktop GPU").1;
    for op in ["conv", "matmul"] {
        let (mut all, mut several) = (BTreeSet::new(), BTreeSet::new());
        for case in lupe::ops::cases().into_iter().filter(|c| c.0 == op).flat_map(|c| c.1) {
            let y = case.output().expect("a case has an output");
            let columns = y.last();
            let ragged = !columns.is_multiple_of(128) && !(y.len() / columns).is_multiple_of(128);
            for kernel in candidates(&*case.op, &case.inputs, y, &caps).expect("candidates") {
                let label = kernel.label();
                let words = label.split(' ').filter(|w| ["ahead", "split", "walk"].contains(w));
                let way = words.collect::<Vec<_>>().join(" ");
                if label.contains("wx16u wy16u tm8u tn8u") {
                    let [x, y, _] = kernel.groups;
                    several.extend((ragged && x > 1 && y > 1).then_some(way.clone()));
                    all.insert(way);
                }
            }
        }
        assert_eq!(all.len(), 6, "{op}: {all:?}");
        assert_eq!(several, all, "{op}");
    }
}

/// A node is one dispatch, and another one where parts of its sum are added up; the picture is packed once. The software driver makes
/// whole sums, and takes at most 25.
#[test]
fn resnet18_at_224_takes_few_dispatches() {
    for (name, caps) in typical() {
        let lowered = lowered("resnet18", 1, &caps);
        let dispatches = running(&lowered).count();
        let sums = running(&lowered).filter(|s| s.role == Role::Sum).count();
        let most = if caps.family == Family::Software { 25 } else { 42 };
        let all = || running(&lowered).map(|s| s.label.clone()).collect::<Vec<_>>();
        assert!(dispatches <= most && dispatches - sums <= 25, "{name}: {dispatches} dispatches: {:#?}", all());
    }
}

/// The batch decides who sums which part, never how many parts there are: results would have other bits.
#[test]
fn the_batch_changes_no_sum() {
    let parts = |s: &Step| s.kernel.params.iter().find(|p| p.0 == "parts").map(|p| p.1);
    for (name, caps) in gpus() {
        let sums = [1, 8, 32].map(|batch| {
            let lowered = lowered("resnet18", batch, &caps);
            let nodes = lowered.steps.iter().filter(|s| s.role == Role::Node);
            nodes.map(|s| (s.label.clone(), s.kernel.order(), parts(s))).collect::<Vec<_>>()
        });
        assert!(sums[0].iter().any(|s| matches!(s.2, Some(Word::U32(2..)))), "{name}: no sum has parts");
        assert!(sums[1] == sums[0] && sums[2] == sums[0], "{name}");
    }
}

/// Workgroups of every layer of two networks on a GPU of no known vendor, as `fixtures/workgroups.csv` has them; `LUPE_RECORD=1` writes it.
#[test]
fn every_layer_has_its_workgroups() {
    let caps = typical().into_iter().find(|a| a.0 == "desktop").expect("a desktop GPU").1;
    let mut found = String::from("network,batch,node,kernel,workgroups\n");
    for network in ["resnet18", "wide_resnet50_2"] {
        for batch in [1, 8, 32] {
            let lowered = lowered(network, batch, &caps);
            for step in running(&lowered) {
                let grid = step.kernel.groups.map(|g| g.to_string()).join("x");
                writeln!(found, "{network},{batch},{},{},{grid}", step.label, step.kernel.label()).expect("text");
            }
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/workgroups.csv");
    if std::env::var_os("LUPE_RECORD").is_some() {
        std::fs::write(&path, &found).expect("the file is written");
    }
    let known = std::fs::read_to_string(&path).expect("tests/fixtures/workgroups.csv");
    let other = known.lines().zip(found.lines()).find(|(k, f)| k != f);
    assert_eq!(known.lines().count(), found.lines().count());
    assert!(other.is_none(), "recorded, found: {other:#?}");
}
