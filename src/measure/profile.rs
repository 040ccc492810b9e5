//! The time of every dispatch of a run, compared with the adapter's ceilings.

use super::ceilings::Ceilings;
use super::stats::{median, percentile};
use crate::engine::Plan;
use crate::engine::plan::{Fact, Parts};
use crate::error::Result;
use crate::tensor::Tensor;
use serde::Serialize;

/// A plan that pictures go through, with inputs to run it on.
pub struct Profiled<'s, 'g> {
    /// What it is called.
    pub name: &'static str,
    /// The plan.
    pub plan: &'s Plan<'g>,
    /// Its inputs.
    pub inputs: Vec<Tensor>,
}

/// One dispatch over all runs, or several of them together.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Which plan it belongs to.
    pub stage: &'static str,
    /// Path of the weights, or name of the op.
    pub node: String,
    /// Op.
    pub op: String,
    /// Shader.
    pub shader: String,
    /// Kernel.
    pub kernel: String,
    /// Shape of the output.
    pub shape: Vec<usize>,
    /// Dispatches in a run.
    pub calls: usize,
    /// Microseconds in a run, median.
    pub us: f64,
    /// Microseconds in a run, 95th percentile.
    pub us_p95: f64,
    /// Floating-point operations in a run.
    pub flops: u64,
    /// Bytes in a run.
    pub bytes: u64,
    /// GFLOP/s at the median.
    pub gflops: f64,
    /// GB/s at the median.
    pub gbs: f64,
    /// Share of the sum of all rows.
    pub share: f64,
    /// Share of the ceiling above it: of arithmetic to the right of the ridge, of memory to its left.
    pub of_ceiling: f64,
    /// Which ceiling that is: `arithmetic` or `memory`.
    pub bound: &'static str,
}

/// When a dispatch ran in the last run, in microseconds.
#[derive(Clone, Debug)]
pub struct Event {
    /// Number of its row.
    pub row: usize,
    /// Begin since its stage's begin.
    pub begin: f64,
    /// Duration.
    pub us: f64,
}

/// Everything that was measured.
#[derive(Debug)]
pub struct Profile {
    /// Every dispatch, in order.
    pub rows: Vec<Row>,
    /// Number of runs.
    pub runs: usize,
    /// Parts of every normal run, all stages together, nanoseconds.
    pub parts: Vec<Parts>,
    /// The dispatches of the last run.
    pub events: Vec<Event>,
}

/// Runs `stages` once to warm up, then `runs` times: each time normally, and with a clock at every dispatch. `progress` is told about
/// every run and may end it with an error.
///
/// # Errors
/// As [`Plan::run`], and whatever `progress` returns.
pub async fn profile(
    stages: &[Profiled<'_, '_>],
    runs: usize,
    ceilings: &Ceilings,
    progress: &mut dyn FnMut(usize) -> Result<()>,
) -> Result<Profile> {
    let facts: Vec<(&'static str, &Fact)> =
        stages.iter().flat_map(|s| s.plan.facts().map(move |f| (s.name, f))).collect();
    let mut times = vec![vec![]; facts.len()];
    let (mut parts, mut events) = (vec![], vec![]);
    for run in 0..=runs {
        let mut whole = Parts { upload: 0.0, compute: 0.0, read_back: 0.0, pass: Some(0.0) };
        let mut row = 0;
        events.clear();
        for stage in stages {
            let inputs: Vec<&Tensor> = stage.inputs.iter().collect();
            let (_, part) = stage.plan.run_in_parts(&inputs).await?;
            whole = Parts {
                upload: whole.upload + part.upload,
                compute: whole.compute + part.compute,
                read_back: whole.read_back + part.read_back,
                pass: whole.pass.zip(part.pass).map(|(a, b)| a + b),
            };
            let timed = stage.plan.run_timed(&inputs).await?;
            for (begin, ns) in timed.begins.into_iter().zip(timed.ns) {
                if run > 0 {
                    times.get_mut(row).into_iter().for_each(|t| t.push(ns / 1e3));
                }
                events.push(Event { row, begin: begin / 1e3, us: ns / 1e3 });
                row += 1;
            }
        }
        if run > 0 {
            parts.push(whole);
        }
        progress(run)?;
    }
    let rows = facts.iter().zip(&times).map(|((stage, fact), us)| row(stage, fact, us)).collect();
    Ok(Profile { rows: rated(rows, ceilings), runs, parts, events })
}

fn row(stage: &'static str, fact: &Fact, us: &[f64]) -> Row {
    Row {
        stage,
        node: fact.label.clone(),
        op: fact.op.clone(),
        shader: fact.shader.into(),
        kernel: fact.kernel.clone(),
        shape: fact.shape.dims().to_vec(),
        calls: 1,
        us: median(us),
        us_p95: percentile(us, 0.95),
        flops: fact.flops,
        bytes: fact.bytes,
        gflops: 0.0,
        gbs: 0.0,
        share: 0.0,
        of_ceiling: 0.0,
        bound: "memory",
    }
}

/// The rows with their rates and shares.
fn rated(mut rows: Vec<Row>, ceilings: &Ceilings) -> Vec<Row> {
    let all: f64 = rows.iter().map(|r| r.us).sum();
    for r in &mut rows {
        let us = r.us.max(1e-6);
        (r.gflops, r.gbs, r.share) = (r.flops as f64 / us / 1e3, r.bytes as f64 / us / 1e3, r.us / all.max(1e-6));
        (r.bound, r.of_ceiling) = ceilings.share(r.flops, r.bytes, r.us);
    }
    rows
}

/// Rows of one name together, the longest first.
pub fn together(rows: &[Row], ceilings: &Ceilings, name: impl Fn(&Row) -> &str) -> Vec<Row> {
    let mut groups: Vec<Row> = vec![];
    for r in rows {
        match groups.iter_mut().find(|g| g.node == name(r)) {
            Some(g) => {
                g.calls += r.calls;
                g.us += r.us;
                g.us_p95 += r.us_p95;
                g.flops += r.flops;
                g.bytes += r.bytes;
            }
            None => groups.push(Row { node: name(r).into(), shape: vec![], kernel: String::new(), ..r.clone() }),
        }
    }
    let mut groups = rated(groups, ceilings);
    groups.sort_by(|a, b| b.us.total_cmp(&a.us));
    groups
}

impl Profile {
    /// Microseconds of all dispatches, each by itself.
    pub fn sum(&self) -> f64 {
        self.rows.iter().map(|r| r.us).sum()
    }

    /// Microseconds of the same in one pass: by the device's clock, else the host's.
    pub fn pass(&self) -> f64 {
        median(&self.parts.iter().map(|p| p.pass.unwrap_or(p.compute) / 1e3).collect::<Vec<_>>())
    }

    /// What limits it, in one sentence; `decode` is the milliseconds that a picture takes before it is uploaded.
    pub fn sentence(&self, decode: Option<f64>, ceilings: &Ceilings) -> String {
        let part = |f: fn(&Parts) -> f64| median(&self.parts.iter().map(f).collect::<Vec<_>>()) / 1e6;
        let named = [
            ("decoding", decode.unwrap_or(0.0)),
            ("upload", part(|p| p.upload)),
            ("computing", part(|p| p.compute)),
            ("read-back", part(|p| p.read_back)),
        ];
        let whole: f64 = named.iter().map(|n| n.1).sum();
        let (name, most) = named.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or(("nothing", 0.0));
        let begin = format!("Of {whole:.1} ms per run, {:.0} % are {name}", 100.0 * most / whole.max(1e-9));
        let groups = together(&self.rows, ceilings, |r| &r.op);
        let Some(top) = groups.first().filter(|_| name == "computing") else { return format!("{begin}.") };
        let verdict = match top.of_ceiling {
            share if share >= 0.6 => format!("bound by {}", top.bound),
            _ => format!("limited by its kernels rather than by {}", top.bound),
        };
        format!(
            "{begin}; {:.0} % of that is {} ({} dispatches) at {:.0} % of the measured {} ceiling: {verdict}.",
            100.0 * top.share,
            top.op,
            top.calls,
            100.0 * top.of_ceiling,
            top.bound
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::ceilings::ceiling;
    use super::*;

    fn ceilings() -> Ceilings {
        Ceilings { copy: ceiling("copy", &[10.0]), arithmetic: ceiling("fma_chains", &[100.0]) }
    }

    fn some(node: &str, us: f64, flops: u64, bytes: u64) -> Row {
        let shape = vec![1];
        let (op, shader, kernel) = (node.to_string(), "s".into(), "k".into());
        let zero = Row { stage: "run", node: op.clone(), op, shader, kernel, shape, calls: 1, us, us_p95: us, ..ZERO };
        Row { flops, bytes, ..zero }
    }

    const ZERO: Row = Row {
        stage: "",
        node: String::new(),
        op: String::new(),
        shader: String::new(),
        kernel: String::new(),
        shape: vec![],
        calls: 0,
        us: 0.0,
        us_p95: 0.0,
        flops: 0,
        bytes: 0,
        gflops: 0.0,
        gbs: 0.0,
        share: 0.0,
        of_ceiling: 0.0,
        bound: "memory",
    };

    #[test]
    fn rates_and_ceilings_by_hand() {
        // The ridge is at 10 FLOP a byte. 1 MFLOP over 10 kB in 20 us: 50 GFLOP/s, half of the arithmetic ceiling.
        let rows = rated(vec![some("a", 20.0, 1_000_000, 10_000), some("b", 60.0, 0, 240_000)], &ceilings());
        assert_eq!((rows[0].gflops, rows[0].gbs, rows[0].bound), (50.0, 0.5, "arithmetic"));
        assert_eq!((rows[0].share, rows[0].of_ceiling), (0.25, 0.5));
        assert_eq!((rows[1].gbs, rows[1].bound, rows[1].of_ceiling, rows[1].share), (4.0, "memory", 0.4, 0.75));
        let twice = [&rows[..], &rows[..1]].concat();
        let groups = together(&twice, &ceilings(), |r| &r.op);
        assert_eq!((groups[0].node.as_str(), groups[0].calls, groups[1].calls), ("b", 1, 2));
        assert_eq!((groups[1].us, groups[1].flops, groups[1].gflops), (40.0, 2_000_000, 50.0));
    }

    #[test]
    fn the_sentence_names_what_takes_longest() {
        let ms = |upload, compute, read_back| Parts { upload, compute, read_back, pass: None };
        let rows = rated(vec![some("conv2d", 80.0, 7_000_000, 1_000), some("pool", 20.0, 0, 10_000)], &ceilings());
        let profile = |parts: Parts| Profile { rows: rows.clone(), runs: 1, parts: vec![parts], events: vec![] };
        let text = profile(ms(1e6, 8e6, 1e6)).sentence(None, &ceilings());
        assert!(
            text.starts_with("Of 10.0 ms per run, 80 % are computing; 80 % of that is conv2d (1 dispatches)"),
            "{text}"
        );
        assert!(text.ends_with("at 88 % of the measured arithmetic ceiling: bound by arithmetic."), "{text}");
        let text = profile(ms(1e6, 8e6, 1e6)).sentence(Some(30.0), &ceilings());
        assert_eq!(text, "Of 40.0 ms per run, 75 % are decoding.");
    }
}
