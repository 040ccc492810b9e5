//! Gradient rules against finite differences of the references: every op that has a rule, on every case that is small enough.
//!
//! A rule appends nodes; both they and the op are computed by the references, whose sums are in f64, so no device is needed. An element
//! at which the op has a kink, as the two one-sided differences tell, is left out and counted.

use lupe::engine::{Backward, Graph, Var};
use lupe::ops::{Case, Fill};
use lupe::tensor::{Shape, Tensor};

/// Elements of a case at most, and of an input that are looked at.
const LARGEST: usize = 60_000;
const LOOKED_AT: usize = 12;
/// The step of differences: their own error falls with its fourth power, that of rounding to f32 grows with its inverse.
const STEP: f64 = 1.0 / 32.0;

/// What the op of a case is made of here: smooth, neither tiny nor huge, whatever its sweep is filled with.
fn values(case: &Case) -> Vec<Tensor> {
    let plain = |k: usize, s: &Shape| {
        Tensor::from_fn(*s, |i| {
            (lupe::random::at(3, (k as u64) << 40 | i as u64) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
    };
    match case.fill {
        Fill::Pairs | Fill::Below(_) => case.tensors(),
        _ => case.inputs.iter().enumerate().map(|(k, s)| plain(k, s)).collect(),
    }
}

struct Rule<'c> {
    case: &'c Case,
    x: Vec<Tensor>,
    dy: Tensor,
}

impl Rule<'_> {
    /// The sum of the op's results, each times its element of `dy`, with element `i` of input `k` moved by `by`.
    fn moved(&self, (k, i): (usize, usize), by: f64) -> f64 {
        let mut x = self.x.clone();
        x[k].data[i] = (f64::from(x[k].data[i]) + by) as f32;
        let y = self.case.op.reference(&x.iter().collect::<Vec<_>>(), self.dy.shape);
        y.data.iter().zip(&self.dy.data).map(|(y, d)| f64::from(*y) * f64::from(*d)).sum()
    }

    /// The derivative there, or nothing at a kink: Richardson's extrapolation of central differences, by two steps, which disagree where a
    /// kink lies further off.
    fn slope(&self, at: (usize, usize)) -> Option<f64> {
        let f = |t: f64| self.moved(at, t * STEP);
        let difference = |t: f64| (f(t) - f(-t)) / (2.0 * t * STEP);
        let extrapolated = |t: f64| (4.0 * difference(0.5 * t) - difference(t)) / 3.0;
        let [right, left, middle] = [f(0.5), f(-0.5), f(0.0)];
        let sides = [(right - middle) / (0.5 * STEP), (middle - left) / (0.5 * STEP)];
        let curved = (sides[0] - sides[1]).abs();
        let kink = curved > 0.25 * (1e-3 + sides[0].abs().max(sides[1].abs()));
        let [slope, other] = [extrapolated(1.0), extrapolated(0.75)];
        let apart = (slope - other).abs() > 1e-3 * slope.abs() + 1e-4;
        (!kink && !apart && !curved.is_nan()).then_some(slope)
    }
}

/// What is wrong with a rule on a case; how many elements were looked at and how many lie at a kink.
fn check(case: &Case) -> Result<[usize; 2], String> {
    let Ok(shape) = case.output() else { return Ok([0; 2]) };
    let x = values(case);
    let dy = Tensor::from_fn(shape, |i| (lupe::random::at(9, i as u64) >> 40) as f32 / (1u64 << 23) as f32 - 1.0);
    let graph = Graph::new();
    let vars: Vec<Var> = x.iter().map(|t| graph.input("x", t.shape)).collect();
    let y = graph.node(case.op.clone(), &vars);
    let by = graph.input("dy", shape);
    let wanted = vec![true; x.len()];
    let Some(rules) = case.op.vjp(&Backward { x: &vars, y, dy: by, wanted: &wanted }) else { return Ok([0; 2]) };
    let given: Vec<&Tensor> = x.iter().chain([&dy]).collect();
    let (mut seen, mut kinks) = (0, 0);
    let rule = Rule { case, x: x.clone(), dy: dy.clone() };
    for (k, gradient) in rules.into_iter().enumerate() {
        let Some(gradient) = gradient else { continue };
        let gradient = graph.eval(&[gradient], &given).map_err(|e| e.to_string())?.remove(0);
        if gradient.shape != x[k].shape {
            return Err(format!("input {k}: a gradient of shape {}", gradient.shape));
        }
        let largest = gradient.data.iter().fold(0.0f64, |m, v| m.max(f64::from(*v).abs()));
        let every = (x[k].data.len() / LOOKED_AT).max(1);
        for i in (0..x[k].data.len()).step_by(every) {
            seen += 1;
            let found = f64::from(gradient.data[i]);
            let Some(slope) = rule.slope((k, i)) else {
                // Outside an op's domain, as of a root, there is no slope either way.
                kinks += usize::from(found.is_finite());
                continue;
            };
            let off = (found - slope).abs();
            if off.is_nan() || off > 2e-3 * slope.abs().max(0.05 * largest) + 1e-4 {
                return Err(format!("input {k}, element {i}: the rule says {found:e}, differences {slope:e}"));
            }
        }
    }
    Ok([seen, kinks])
}

#[test]
fn rules_agree_with_finite_differences() {
    let (mut wrong, mut ops) = (vec![], 0);
    for (op, cases) in lupe::ops::cases() {
        let small = cases.iter().filter(|c| c.inputs.iter().map(Shape::len).sum::<usize>() <= LARGEST);
        let small = small.filter(|c| c.output().is_ok_and(|y| c.op.flops(&c.inputs, y) <= 4_000_000));
        let mut all = [0; 2];
        for case in small {
            match check(case) {
                Ok([seen, kinks]) => all = [all[0] + seen, all[1] + kinks],
                Err(what) => wrong.push(format!("{op} {:?} {:?}: {what}", case.op, case.inputs)),
            }
        }
        println!("{op}: {} elements, {} at kinks", all[0], all[1]);
        ops += usize::from(all[0] > 0);
        if all[0] > 0 && 4 * all[1] > all[0] {
            wrong.push(format!("{op}: {} of {} elements lie at kinks, too many to tell", all[1], all[0]));
        }
    }
    assert!(wrong.is_empty(), "{} rules are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(ops > 0, "no op has a rule");
}
