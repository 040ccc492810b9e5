//! Every kernel that any case asks for on any adapter, and the distinct sources among them.

use crate::caps::adapters;
use lupe::engine::{Caps, Kernel, Op};
use lupe::ops;
use lupe::tensor::Shape;
use std::collections::HashMap;

/// The candidates of one node on one adapter.
pub struct List {
    /// The op's file.
    pub op: &'static str,
    /// The node, readable.
    pub title: String,
    /// How many inputs it has.
    pub inputs: usize,
    /// Its candidates, best guess first.
    pub kernels: Vec<Kernel>,
}

/// One distinct source; plain data, so that threads can share it.
pub struct Unit {
    /// The op's file.
    pub op: &'static str,
    /// The candidate.
    pub label: String,
    /// Composed WGSL.
    pub source: String,
    /// Whether it shuffles.
    pub subgroup: bool,
    /// Whether it runs on every adapter.
    pub portable: bool,
    /// Whether production modules drop bounds checks.
    pub unchecked: bool,
}

/// Candidates of every case of every op on every adapter, and of the packing that they ask for.
pub fn lists() -> Vec<List> {
    let mut out = vec![];
    for caps in adapters() {
        for (op, cases) in ops::cases() {
            for case in cases {
                collect(op, &*case.op, &case.inputs, &caps, &mut out);
            }
        }
    }
    out
}

fn collect(name: &'static str, op: &dyn Op, x: &[Shape], caps: &Caps, out: &mut Vec<List>) {
    let y = op.infer(x).unwrap_or_else(|e| panic!("{op:?} {x:?}: {e}"));
    let kernels = op.kernels(x, y, caps);
    for (i, pack) in kernels.iter().flat_map(|k| &k.packs) {
        collect(name, &**pack, &[x[*i]], caps, out);
    }
    if let Some((kernel, parts)) = kernels.iter().find_map(|k| Some((k, k.parts.as_ref()?))) {
        let (read, rest) = x.split_at(kernel.reads.len());
        let summed =
            [&[parts.op.infer(read).unwrap_or_else(|e| panic!("{:?} {read:?}: {e}", parts.op))], rest].concat();
        collect(name, &*parts.sum, &summed, caps, out);
    }
    out.push(List { op: name, title: format!("{op:?} {x:?}"), inputs: x.len(), kernels });
}

/// The distinct sources of `lists`.
pub fn units(lists: &[List]) -> Vec<Unit> {
    let (mut units, mut known): (Vec<Unit>, HashMap<String, usize>) = (vec![], HashMap::new());
    for (list, kernel) in lists.iter().flat_map(|l| l.kernels.iter().map(move |k| (l, k))) {
        let source = kernel.source().unwrap_or_else(|e| panic!("{}: {e}", list.title));
        let at = *known.entry(source.clone()).or_insert_with(|| {
            let (label, subgroup) = (kernel.label(), kernel.needs.subgroup.is_some());
            units.push(Unit { op: list.op, label, source, subgroup, portable: false, unchecked: false });
            units.len() - 1
        });
        units[at].portable |= kernel.portable();
        units[at].unchecked |= kernel.unchecked;
    }
    units
}
