//! What is compiled: every candidate of the real GPUs' family, of matrix products, convolutions, their gradients by weights, and nearest
//! neighbours, in the order in which production tries them on the chip.

use lupe::engine::lower::lower;
use lupe::engine::{Caps, Graph, Kernel, Var};
use lupe::ops::conv::Window;
use lupe::ops::knn::Metric;
use lupe::tensor::{Shape, Tensor};
use std::sync::Arc;

/// One candidate; the same text stands once, however many lists it is in.
pub struct Unit {
    /// Op, and what makes this candidate.
    pub name: String,
    pub kernel: Kernel,
    pub source: String,
    /// Lists that it is the first of.
    pub first_of: Vec<&'static str>,
    /// Whether its figures are recorded: the long run compiles more.
    pub recorded: bool,
}

impl Unit {
    /// Sums that an invocation keeps; 1 where it has no tile.
    pub fn sums(&self) -> u32 {
        let constant = |name: &str| self.kernel.set.iter().find(|s| s.0 == name)?.1.trim_end_matches('u').parse().ok();
        constant("TM").zip(constant("TN")).map_or(1, |(tm, tn): (u32, u32)| tm * tn)
    }
}

/// A graph whose nodes' candidates are wanted.
type Build = fn(&Graph) -> Var<'_>;

/// Lists by name. `large` fills a card; `small` is what a small network's later layers are.
const LISTS: &[(&str, bool, Build)] = &[
    ("matmul", true, |g| {
        (input(g, [1, 2048, 2048]).matmul(weight(g, "w", [2048, 2048])) + weight(g, "b", [2048])).relu()
    }),
    ("matmul small", true, |g| {
        (input(g, [196, 256]).matmul(weight(g, "w", [256, 512])) + weight(g, "b", [512])).relu()
    }),
    ("conv", true, |g| {
        let x = input(g, [1, 128, 128, 256]);
        (conv(g, x, [256, 256, 3, 3], 1) + x).relu()
    }),
    ("conv small", true, |g| {
        let x = input(g, [1, 14, 14, 256]);
        (conv(g, x, [256, 256, 3, 3], 1) + x).relu()
    }),
    ("conv first", true, |g| conv(g, input(g, [1, 224, 224, 3]), [64, 3, 7, 7], 2).relu()),
    ("knn", true, |g| input(g, [784, 384]).knn(&[weight(g, "bank", [16384, 384])], 9, Metric::L2, None)),
    ("conv narrow", true, |g| conv(g, input(g, [1, 56, 56, 144]), [24, 144, 1, 1], 1)),
    ("conv widening", true, |g| conv(g, input(g, [1, 56, 56, 24]), [144, 24, 1, 1], 1).relu6()),
    ("depthwise", true, |g| depthwise(g, [112, 96, 3, 1])),
    ("depthwise by 2", true, |g| depthwise(g, [112, 96, 3, 2])),
    ("depthwise 5x5", true, |g| depthwise(g, [56, 144, 5, 1])),
    ("depthwise 5x5 by 2", true, |g| depthwise(g, [56, 144, 5, 2])),
    ("conv dw", true, |g| weight_gradient(g, [126, 128], [123, 256], (4, 0))),
    ("conv dw small", true, |g| weight_gradient(g, [28, 128], [28, 128], (3, 1))),
    ("matmul of tokens", true, |g| tokens(g, [1, 197, 384], 1152)),
    ("matmul of tokens, gelu", true, |g| tokens(g, [8, 197, 384], 1536).gelu()),
    ("attention", true, |g| input(g, [1, 1370, 2304]).attention(12)),
    ("attention few", true, |g| input(g, [1, 197, 1152]).attention(6)),
    ("attention 128", true, |g| input(g, [1, 257, 1536]).attention(4)),
    ("attention back", true, |g| attention_back(g, [1, 1025, 1152], 6)),
    ("attention back few", true, |g| attention_back(g, [1, 197, 1152], 6)),
    ("attention back many", true, |g| attention_back(g, [1, 1370, 2304], 12)),
    ("attention back 128", true, |g| attention_back(g, [1, 257, 1536], 4)),
    ("matmul plain", false, |g| input(g, [1024, 1024]).matmul(weight(g, "w", [1024, 1024]))),
    ("matmul residual", false, |g| {
        let x = input(g, [1024, 1024]);
        (x.matmul_t(weight(g, "w", [1024, 1024])) + weight(g, "b", [1024]) + x).relu()
    }),
    ("conv plain", false, |g| input(g, [1, 56, 56, 128]).conv2d(weight(g, "w", [128, 128, 1, 1]), 1, 0)),
    ("conv relu", false, |g| conv(g, input(g, [1, 56, 56, 128]), [128, 128, 3, 3], 1).relu()),
    ("knn many", false, |g| {
        let skip = weight(g, "skip", [784, 2]);
        input(g, [784, 384]).knn(&[weight(g, "bank", [16384, 384])], 30, Metric::Cosine, Some(skip))
    }),
];

fn input<const N: usize>(g: &Graph, shape: [usize; N]) -> Var<'_> {
    g.input("x", shape)
}

fn weight<'g, const N: usize>(g: &'g Graph, name: &str, shape: [usize; N]) -> Var<'g> {
    g.weight(name, Arc::new(Tensor::zeros(shape)))
}

fn conv<'g>(g: &'g Graph, x: Var<'g>, [co, ci, kh, kw]: [usize; 4], stride: usize) -> Var<'g> {
    x.conv2d(weight(g, "w", [co, ci, kh, kw]), stride, kh / 2) + weight(g, "b", [co])
}

fn tokens<'g>(g: &'g Graph, shape: [usize; 3], out: usize) -> Var<'g> {
    input(g, shape).matmul_t(weight(g, "w", [out, shape[2]])) + weight(g, "b", [out])
}

fn attention_back(g: &Graph, [n, t, d]: [usize; 3], heads: usize) -> Var<'_> {
    let [y, dy] = ["y", "dy"].map(|name| g.input(name, [n, t, d / 3]));
    input(g, [n, t, d]).attention_dx(y, dy, heads)
}

fn weight_gradient(g: &Graph, [size, ci]: [usize; 2], [out, co]: [usize; 2], (k, pad): (usize, usize)) -> Var<'_> {
    let window = Window { stride: [1; 2], pad: pad.into(), groups: 1 };
    g.input("x", [1, size, size, ci]).conv2d_dw(g.input("dy", [1, out, out, co]), window, [k, k])
}

fn depthwise(g: &Graph, [size, c, k, stride]: [usize; 4]) -> Var<'_> {
    let window = Window { stride: [stride; 2], pad: (k / 2).into(), groups: c };
    let y = input(g, [1, size, size, c]).conv2d_window(weight(g, "w", [c, 1, k, k]), window);
    (y + weight(g, "b", [c])).relu6()
}

/// The ops whose candidates are looked at, as `{:?}` begins, and what tables call them.
const OPS: &[(&str, &str)] = &[
    ("Matmul", "matmul"),
    ("AttentionDq", "attention dq"),
    ("AttentionDx", "attention dx"),
    ("Attention", "attention"),
    ("Conv2dDw", "conv dw"),
    ("Conv2d", "conv"),
    ("Scan", "knn scan"),
    ("Merge", "knn merge"),
    ("Refine", "knn refine"),
    ("Rank", "knn rank"),
];

/// The distinct candidates for an adapter, `full`: at every epilogue.
pub fn units(caps: &Caps, full: bool) -> Vec<Unit> {
    let mut units: Vec<Unit> = vec![];
    for &(list, recorded, build) in LISTS.iter().filter(|l| full || l.1) {
        for (op, kernels) in offered(caps, build) {
            for (place, kernel) in kernels.into_iter().enumerate() {
                let source = kernel.source().expect("it composes");
                let known = units.iter_mut().position(|u| u.source == source && u.kernel.unchecked == kernel.unchecked);
                let at = known.unwrap_or_else(|| {
                    let name = if recorded { name(list, op, &kernel) } else { format!("{list}: {}", kernel.label()) };
                    assert!(units.iter().all(|u| u.name != name), "two candidates are called {name}");
                    units.push(Unit { name, kernel, source, first_of: vec![], recorded });
                    units.len() - 1
                });
                if place == 0 {
                    units[at].first_of.push(list);
                }
            }
        }
    }
    units
}

/// Ops of a graph and the candidates that lowering offers for each.
fn offered(caps: &Caps, build: Build) -> Vec<(&'static str, Vec<Kernel>)> {
    let graph = Graph::new();
    let output = build(&graph).id();
    let found = std::cell::RefCell::new(vec![]);
    let keep = |op: &dyn lupe::engine::Op, _: &[Shape], _: Shape, kernels: &[Kernel]| {
        let debug = format!("{op:?}");
        if let Some((_, op)) = OPS.iter().find(|(start, _)| debug.starts_with(start)) {
            found.borrow_mut().push((*op, kernels.to_vec()));
        }
        0
    };
    lower(graph.nodes().expect("a graph without errors"), &[output], caps, &keep).expect("every op runs");
    found.into_inner()
}

/// `conv 8x8 k16 256`: outputs per invocation, step, invocations; other kernels by their shader and the snippets swapped in.
fn name(list: &str, op: &str, kernel: &Kernel) -> String {
    let constant = |name: &str| {
        let value = kernel.set.iter().find(|s| s.0 == name)?;
        Some(value.1.trim_end_matches('u').to_string())
    };
    let extra = if list.starts_with(op) { list } else { op };
    match (constant("TM"), constant("TN"), constant("TK")) {
        (Some(tm), Some(tn), Some(tk)) => {
            let flags = ["AHEAD", "SPLIT", "WALK"].into_iter().filter(|flag| constant(flag).as_deref() == Some("true"));
            let tile = format!("{extra} {tm}x{tn} k{tk} {}", kernel.needs.invocations);
            flags.fold(tile, |name, flag| format!("{name} {}", flag.to_lowercase()))
        }
        _ if op.starts_with("attention") => {
            let size = |name| constant(name).unwrap_or_default();
            format!("{op} {}x{}, {} quads", size("WX"), size("WY"), size("D4"))
        }
        _ if op == "conv" && kernel.shader.name == "depthwise" => {
            let size = |name| constant(name).unwrap_or_default();
            let channels = if constant("T").is_some() { 4 } else { 1 };
            format!("depthwise {} wide by {}, {} of {channels}", size("KW"), size("SW"), size("C"))
        }
        _ => {
            let swapped = kernel.imports.iter().map(|i| i.1).filter(|i| !i.ends_with("_none"));
            let size = constant("WG").into_iter().chain(constant("KEEP"));
            let parts = swapped.map(str::to_string).chain(size);
            parts.fold(format!("{extra} {}", kernel.shader.name), |name, part| format!("{name} {part}"))
        }
    }
}
