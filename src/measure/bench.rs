//! What the bench of ops writes: every candidate of every kind of node with its times, beside those of an earlier run.

use super::ceilings::{Ceilings, NOISY};
use super::kinds::Kind;
use super::stats::{median, spread};
use super::tune::WORTH;
pub use super::verdict::ENOUGH;
use super::verdict::{Verdict, judge};
use super::ways::Way;
use crate::engine::Gpu;
use crate::error::{Error, Result};
use crate::tensor::Shape;
use serde::{Deserialize, Serialize};

/// Everything that one run of the bench measured, and where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Backend and name of the adapter.
    pub adapter: String,
    /// Its driver and the driver's version.
    pub driver: String,
    /// Bits of the vectors that a driver on the processor computes with.
    pub width: Option<u32>,
    /// Whose clock: `device` or `host`.
    pub clock: String,
    /// Version of Lupe.
    pub lupe_version: String,
    /// How it was built: `debug` or `release`.
    pub profile: String,
    /// Runs that were asked for.
    pub repeats: usize,
    /// The adapter's ceilings.
    pub ceilings: Ceilings,
    /// One for each candidate of each kind; those of one kind are consecutive, the default first.
    pub rows: Vec<Timing>,
}

/// One candidate of one kind of node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// What the kind was found in, as in `resnet18`.
    pub subject: String,
    /// Op and shapes without the batch.
    pub key: String,
    /// Name of the op.
    pub op: String,
    /// Path of the weights, or name of the op, of the first such node.
    pub node: String,
    /// How many there are in the subject.
    pub calls: usize,
    /// The kernel's label.
    pub kernel: String,
    /// Whether plans use it by default.
    pub default: bool,
    /// Shapes of what it reads, before packing.
    pub inputs: Vec<Vec<usize>>,
    /// Shape of what it writes.
    pub shape: Vec<usize>,
    /// Microseconds of every run.
    pub us: Vec<f64>,
    /// Their median.
    pub median: f64,
    /// How far apart they are, as a share of the median.
    pub spread: f64,
    /// Floating-point operations of a run.
    pub flops: u64,
    /// Bytes that a run reads and writes at least.
    pub bytes: u64,
    /// GFLOP/s at the median.
    pub gflops: f64,
    /// GB/s at the median.
    pub gbs: f64,
    /// The ceiling above it, `arithmetic` or `memory`.
    pub bound: String,
    /// The share of that ceiling which it reaches.
    pub of_ceiling: f64,
}

impl Report {
    /// A report without rows, for runs on `gpu` from here on.
    pub fn new(gpu: &Gpu, ceilings: Ceilings, repeats: usize) -> Report {
        let i = &gpu.info;
        Report {
            adapter: i.title(),
            driver: format!("{} {}", i.driver, i.driver_info),
            width: i.width,
            clock: if gpu.timestamps() { "device" } else { "host" }.into(),
            lupe_version: env!("CARGO_PKG_VERSION").into(),
            profile: if cfg!(debug_assertions) { "debug" } else { "release" }.into(),
            repeats,
            ceilings,
            rows: vec![],
        }
    }

    /// A report as it was written.
    ///
    /// # Errors
    /// [`Error::Input`] for anything else; `name` says what was read.
    pub fn read(bytes: &[u8], name: &str) -> Result<Report> {
        serde_json::from_slice(bytes)
            .map_err(|e| Error::Input(format!("{name} is not a report of the bench of ops: {e}")))
    }

    /// The report as a file's content.
    ///
    /// # Errors
    /// [`Error::Output`], which is a bug.
    pub fn json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec_pretty(self).map_err(|e| Error::Output(format!("the report: {e}")))
    }

    /// Appends the candidates of a kind of `subject`, and gives them back.
    pub fn add(&mut self, subject: &str, kind: &Kind, ways: Vec<Way>) -> &[Timing] {
        let first = self.rows.len();
        let rows = ways.into_iter().enumerate().map(|(i, way)| row(subject, kind, way, i == 0, &self.ceilings));
        let rows: Vec<Timing> = rows.collect();
        self.rows.extend(rows);
        &self.rows[first..]
    }

    /// Why times of `self` and of `base` cannot be compared: what differs, one line each.
    pub fn differences(&self, base: &Report) -> Vec<String> {
        let width = |r: &Report| r.width.map_or("none".to_string(), |w| format!("{w} bits"));
        let pairs = [
            ("adapter", base.adapter.clone(), self.adapter.clone()),
            ("driver", base.driver.clone(), self.driver.clone()),
            ("vector width", width(base), width(self)),
            ("build", base.profile.clone(), self.profile.clone()),
            ("clock", base.clock.clone(), self.clock.clone()),
        ];
        let other = pairs.into_iter().filter(|(_, a, b)| a != b);
        other.map(|(what, a, b)| format!("{what}: {a} in the baseline, {b} here")).collect()
    }

    /// The adapter's ceilings in `base` and here, one line for each that differs by more than [`NOISY`]: verdicts
    /// then say as much about the machine as about kernels.
    pub fn moved(&self, base: &Report) -> Vec<String> {
        let (a, b) = (&base.ceilings, &self.ceilings);
        let pairs = [("copy", "GB/s", &a.copy, &b.copy), ("arithmetic", "GFLOP/s", &a.arithmetic, &b.arithmetic)];
        let apart = pairs.into_iter().filter(|(_, _, a, b)| (b.rate / a.rate - 1.0).abs() > NOISY);
        apart
            .map(|(what, unit, a, b)| {
                format!("{what} ceiling: {:.1} {unit} in the baseline, {:.1} here", a.rate, b.rate)
            })
            .collect()
    }

    /// The row of the same kernel on the same shapes.
    pub fn same(&self, row: &Timing) -> Option<&Timing> {
        let same =
            |r: &&Timing| (&r.key, &r.inputs, &r.shape, &r.kernel) == (&row.key, &row.inputs, &row.shape, &row.kernel);
        self.rows.iter().find(same)
    }

    /// The kinds for which a candidate other than the default takes at most [`WORTH`] of its time, with certainty: the default's row and
    /// the fastest one's. Rows with fewer than [`ENOUGH`] runs do not count.
    pub fn misplaced(&self) -> Vec<(&Timing, &Timing)> {
        let mut found = vec![];
        for rows in self.rows.chunk_by(|_, next| !next.default) {
            let fastest = rows.iter().filter(|r| r.us.len() >= ENOUGH).min_by(|a, b| a.median.total_cmp(&b.median));
            if let (Some(default), Some(fastest)) = (rows.first(), fastest) {
                let judged = judge(&default.us, &fastest.us);
                if default.us.len() >= ENOUGH && judged.verdict == Verdict::Faster && judged.ratio <= WORTH {
                    found.push((default, fastest));
                }
            }
        }
        found
    }
}

fn row(subject: &str, kind: &Kind, way: Way, default: bool, ceilings: &Ceilings) -> Timing {
    let middle = median(&way.us);
    let us = middle.max(1e-6);
    let (bound, of_ceiling) = ceilings.share(way.flops, way.bytes, us);
    Timing {
        subject: subject.into(),
        key: kind.key.clone(),
        op: kind.op.clone(),
        node: kind.node.clone(),
        calls: kind.calls,
        kernel: way.kernel,
        default,
        inputs: kind.shapes().iter().map(|s| s.dims().to_vec()).collect(),
        shape: kind.shape.dims().to_vec(),
        median: middle,
        spread: spread(&way.us),
        us: way.us,
        flops: way.flops,
        bytes: way.bytes,
        gflops: way.flops as f64 / us / 1e3,
        gbs: way.bytes as f64 / us / 1e3,
        bound: bound.into(),
        of_ceiling,
    }
}

/// The heading of a kind's rows.
pub fn title(row: &Timing) -> String {
    let shape = |s: &Vec<usize>| Shape::new(s).to_string();
    let inputs: Vec<String> = row.inputs.iter().map(shape).collect();
    let calls = if row.calls > 1 { format!(", {} times", row.calls) } else { String::new() };
    format!("{} {} {}: {} -> {}{calls}", row.subject, row.op, row.node, inputs.join(" "), shape(&row.shape))
}

/// The headings of the columns of [`line()`].
pub const COLUMNS: &str = "          us  spread   GFLOP/s      GB/s  of ceiling";

/// One row as text, the default marked, with its change since `base`. A verdict is given if `comparable`.
pub fn line(row: &Timing, repeats: usize, base: Option<&Report>, comparable: bool) -> String {
    let few = if row.us.len() < repeats {
        format!(", {} of {repeats} runs because it takes long", row.us.len())
    } else {
        String::new()
    };
    let since = base.map_or(String::new(), |base| format!(" | {}", since(row, base, comparable)));
    format!(
        "{} {:>10.1} {:>5.0} % {:>9.1} {:>9.2} {:>3.0} % of {:<10} {}{few}{since}",
        if row.default { '*' } else { ' ' },
        row.median,
        100.0 * row.spread,
        row.gflops,
        row.gbs,
        100.0 * row.of_ceiling,
        row.bound,
        row.kernel
    )
}

fn since(row: &Timing, base: &Report, comparable: bool) -> String {
    let Some(old) = base.same(row) else { return "not in the baseline".into() };
    let judged = judge(&old.us, &row.us);
    let verdict = match judged.verdict {
        _ if !comparable => "no verdict",
        _ if old.us.len().min(row.us.len()) < ENOUGH => "too few runs",
        verdict => verdict.word(),
    };
    format!("{:.2} ({:.2} to {:.2}) {verdict}", judged.ratio, judged.low, judged.high)
}

#[cfg(test)]
mod tests {
    use super::super::ceilings::ceiling;
    use super::*;

    fn row(kernel: &str, default: bool, us: &[f64]) -> Timing {
        let text = String::from;
        Timing {
            subject: text("net"),
            key: text("Conv 4 -> 4"),
            op: text("conv"),
            node: text("a"),
            calls: 2,
            kernel: text(kernel),
            default,
            inputs: vec![vec![1, 4]],
            shape: vec![1, 4],
            us: us.to_vec(),
            median: median(us),
            spread: spread(us),
            flops: 2000,
            bytes: 1000,
            gflops: 1.0,
            gbs: 0.5,
            bound: text("memory"),
            of_ceiling: 0.5,
        }
    }

    fn report(rows: Vec<Timing>) -> Report {
        let [adapter, driver, clock] = ["vulkan:llvmpipe 256", "llvmpipe 1", "device"].map(String::from);
        let ceilings = Ceilings { copy: ceiling("copy", &[10.0]), arithmetic: ceiling("fma_chains", &[100.0]) };
        let (lupe_version, profile) = ("0.1.0".into(), "release".into());
        Report { adapter, driver, width: Some(256), clock, lupe_version, profile, repeats: 6, ceilings, rows }
    }

    const TEN: [f64; 6] = [10.0, 10.1, 9.9, 10.0, 10.2, 9.8];
    const NINE: [f64; 6] = [9.0, 9.1, 8.9, 9.0, 9.2, 8.8];

    #[test]
    fn a_report_is_read_as_it_was_written_and_nothing_else_is() {
        let written = report(vec![row("k", true, &TEN)]);
        assert_eq!(Report::read(&written.json().unwrap(), "x").unwrap(), written);
        for bad in [&b"{"[..], b"{}", b"[1]", b"\xff"] {
            let e = Report::read(bad, "old.json").unwrap_err();
            assert!(matches!(&e, Error::Input(what) if what.starts_with("old.json is not a report")), "{e}");
        }
    }

    #[test]
    fn times_of_another_place_are_not_compared() {
        let here = report(vec![]);
        assert!(here.differences(&here).is_empty());
        let wide = Report { adapter: "vulkan:llvmpipe 512".into(), width: Some(512), ..here.clone() };
        let told = here.differences(&wide);
        assert_eq!(told[1], "vector width: 512 bits in the baseline, 256 bits here");
        assert_eq!(told.len(), 2);
        let others = [
            Report { driver: "llvmpipe 2".into(), ..here.clone() },
            Report { profile: "debug".into(), ..here.clone() },
            Report { clock: "host".into(), ..here.clone() },
        ];
        assert!(others.iter().all(|other| here.differences(other).len() == 1));
        let newer = Report { lupe_version: "9".into(), ..here.clone() };
        assert!(here.differences(&newer).is_empty(), "versions are what is compared");
    }

    #[test]
    fn a_machine_that_was_busier_is_told() {
        let here = report(vec![]);
        let mut base = here.clone();
        base.ceilings.copy.rate = 9.0;
        assert!(here.moved(&base).is_empty());
        base.ceilings.arithmetic.rate = 60.0;
        assert_eq!(here.moved(&base), ["arithmetic ceiling: 60.0 GFLOP/s in the baseline, 100.0 here"]);
    }

    #[test]
    fn a_row_is_compared_with_the_same_kernel_on_the_same_shapes() {
        let base = report(vec![row("k", true, &TEN), row("other", false, &NINE)]);
        let text = |row: &Timing, comparable| line(row, 6, Some(&base), comparable);
        assert!(text(&row("k", true, &TEN), true).ends_with("| 1.00 (0.96 to 1.04) same"));
        assert!(text(&row("k", true, &NINE), true).ends_with("| 0.90 (0.86 to 0.94) faster"));
        assert!(text(&row("other", false, &TEN), true).ends_with(" slower"));
        assert!(text(&row("k", true, &NINE), false).ends_with(" no verdict"));
        assert!(text(&row("new", true, &NINE), true).ends_with("not in the baseline"));
        assert!(text(&row("k", true, &NINE[..5]), true).ends_with("too few runs"));
        let batch = Timing { inputs: vec![vec![8, 4]], shape: vec![8, 4], ..row("k", true, &TEN) };
        assert!(text(&batch, true).ends_with("not in the baseline"), "eight pictures are not one");
    }

    #[test]
    fn lines_say_what_is_default_and_what_was_slow() {
        let rows = [row("k", true, &TEN), row("slow", false, &TEN[..3])];
        let lines = rows.each_ref().map(|r| line(r, 6, None, true));
        assert_eq!(lines[0], "*       10.0     4 %       1.0      0.50  50 % of memory     k");
        assert!(
            lines[1].starts_with(' ') && lines[1].ends_with("slow, 3 of 6 runs because it takes long"),
            "{}",
            lines[1]
        );
        assert_eq!(title(&rows[0]), "net conv a: [1,4] -> [1,4], 2 times");
    }

    #[test]
    fn a_default_is_misplaced_where_another_is_surely_faster() {
        let nearly = TEN.map(|v| v * 0.98);
        let kinds = [[TEN, NINE], [NINE, TEN], [TEN, nearly]];
        let rows = kinds.iter().flat_map(|[a, b]| [row("first", true, a), row("second", false, b)]);
        let few = [row("first", true, &TEN), row("once", false, &NINE[..1])];
        let report = report(rows.chain(few).collect());
        let found = report.misplaced();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].0.median, found[0].1.kernel.as_str(), found[0].1.median), (10.0, "second", 9.0));
    }
}
