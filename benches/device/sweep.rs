//! The part `sweep`: every candidate of every case of every op beside its reference, on this device.
//!
//! Threads take cases; a line when a candidate begins and one when it ends go to a file. A kernel that loses the device, crashes the
//! driver or never ends takes the process with it. The next process then goes on: what had begun and not ended runs by itself first,
//! and what does not end a second time is the culprit.

use super::args::Amount;
use super::check::Expected;
use super::context::{Context, HANGING, write};
use super::md::{Page, block, list, text};
use lupe::engine::lower::candidates;
use lupe::engine::{Gpu, Kernel};
use lupe::ops::{self, Case};
use lupe::{Error, Result};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Seconds that a candidate may take on a card.
const LONGEST: f64 = 20.0;

/// Failures that are told in full, with their source.
const IN_FULL: usize = 5;

/// Threads at most: each holds a case's inputs and its reference.
const THREADS: usize = 8;

/// Ops that are looked at where a little of everything is wanted.
const TINY: [&str; 2] = ["norm", "softmax"];

/// Does the work, or what is left of it.
pub fn run(context: &Context) -> Result<()> {
    let gpu = context.gpu()?;
    let journal = Journal::open(context.folder("")?.join("sweep.ndjson"))?;
    let failures = context.folder("failures")?;
    let sweep = Sweep { context, gpu: &gpu, journal: &journal, failures: &failures };
    let suspects = journal.suspects();
    let all = cases(context.amount);
    std::thread::scope(|scope| {
        scope.spawn(|| sweep.watch());
        let done = joined(scope.spawn(|| sweep.all(&all, &suspects)));
        journal.over();
        done
    })?;
    let told = told(&journal);
    context.keep(&told)?;
    match list(&told, "/wrong").len() {
        0 => Ok(()),
        n => Err(Error::Numeric(format!("{n} candidates are not as their references"))),
    }
}

/// What a thread did; its panic ends the process, which whoever started it takes for the crash that it is.
fn joined(thread: std::thread::ScopedJoinHandle<'_, Result<()>>) -> Result<()> {
    thread.join().unwrap_or_else(|_| std::process::exit(101))
}

/// Whether nothing more can be had from the device.
fn lost(e: &Error) -> bool {
    match e {
        Error::DeviceLost(_) | Error::OutOfMemory(_) => true,
        Error::Gpu(what) => what.to_lowercase().contains("lost"),
        _ => false,
    }
}

/// Op and number of every case.
fn cases(amount: Amount) -> Vec<(&'static str, usize)> {
    let wanted = |op: &str| amount != Amount::Tiny || TINY.contains(&op);
    let all = ops::cases().into_iter().filter(|c| wanted(c.0));
    all.flat_map(|(op, cases)| (0..cases.len()).map(move |i| (op, i))).collect()
}

struct Sweep<'a> {
    context: &'a Context,
    gpu: &'a Gpu,
    journal: &'a Journal,
    failures: &'a Path,
}

impl Sweep<'_> {
    /// Cases with suspects one after the other, then all by threads.
    fn all(&self, all: &[(&'static str, usize)], suspects: &BTreeSet<String>) -> Result<()> {
        let suspicious = |(op, i): &&(&str, usize)| suspects.iter().any(|s| s.starts_with(&format!("{op}::{i}::")));
        let known = ops::cases();
        for (op, i) in all.iter().filter(suspicious) {
            self.case(&known, op, *i, &|name| suspects.contains(name))?;
        }
        let (next, threads) = (AtomicUsize::new(0), std::thread::available_parallelism().map_or(1, usize::from));
        let work = || -> Result<()> {
            let known = ops::cases();
            while let Some((op, i)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.case(&known, op, *i, &|_| true)?;
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads.min(THREADS)).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(joined)
        })
    }

    /// The candidates of a case that are wanted and not known yet.
    fn case(
        &self,
        known: &[(&'static str, Vec<Case>)],
        op: &str,
        i: usize,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<()> {
        let Some(case) = known.iter().find(|c| c.0 == op).and_then(|c| c.1.get(i)) else { return Ok(()) };
        let y = case.output().map_err(Error::Shape)?;
        let kernels = match candidates(&*case.op, &case.inputs, y, &self.gpu.caps) {
            Ok(kernels) => kernels,
            Err(e) => return self.journal.end(&format!("{op}::{i}::0 none"), Some(json!({"what": e.to_string()}))),
        };
        let name = |n: usize, k: &Kernel| format!("{op}::{i}::{n} {}", k.label());
        let open = |(n, k): &(usize, Kernel)| wanted(&name(*n, k)) && !self.journal.knows(&name(*n, k));
        let open: Vec<(usize, Kernel)> = kernels.into_iter().enumerate().filter(open).collect();
        if open.is_empty() {
            return Ok(());
        }
        let expected = Expected::new(case)?;
        for (n, kernel) in open {
            let name = name(n, &kernel);
            self.journal.begin(&name)?;
            self.context.begin(&name);
            let found = expected.check(self.gpu, n, expected.modes());
            let wrong = match found {
                Ok(_) => None,
                Err(e) if lost(&e) => {
                    println!("{name}: {e}"); // whose doing it is shows when it runs by itself
                    return Err(Error::DeviceLost(e.to_string()));
                }
                Err(e) => Some(self.failure(case, &name, &kernel, &e)?),
            };
            self.journal.end(&name, wrong)?;
        }
        Ok(())
    }

    /// What is told of a candidate that is wrong; the source of the first few is kept.
    fn failure(&self, case: &Case, name: &str, kernel: &Kernel, e: &Error) -> Result<Value> {
        println!("{name}: {e}");
        let mut source = None;
        if self.journal.wrong() < IN_FULL {
            let stem: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
            let file = format!("{}.wgsl", &stem[..stem.len().min(120)]);
            write(&self.failures.join(&file), kernel.source()?.as_bytes())?;
            source = Some(file);
        }
        let inputs: Vec<String> = case.inputs.iter().map(ToString::to_string).collect();
        Ok(json!({"op": format!("{:?}", case.op), "inputs": inputs, "what": e.to_string(), "source": source}))
    }

    /// Keeps what is known every second, and ends the process when a candidate takes too long: nobody else can.
    fn watch(&self) {
        let mut kept = Instant::now();
        while !self.journal.is_over() {
            std::thread::sleep(Duration::from_millis(50));
            if kept.elapsed() > Duration::from_secs(1) {
                kept = Instant::now();
                self.context.keep(&told(self.journal)).unwrap_or_else(|e| println!("{e}"));
            }
            for (name, begun) in self.journal.running() {
                let most = if self.context.hangs(&name) { HANGING } else { LONGEST * self.context.scale.max(1.0) };
                if begun.elapsed().as_secs_f64() > most {
                    println!("{name}: no end after {most:.0} s");
                    std::process::exit(124);
                }
            }
        }
    }
}

/// What has begun and ended, in a file that outlives the process.
struct Journal {
    file: Mutex<File>,
    now: Mutex<Now>,
    over: AtomicUsize,
}

#[derive(Default)]
struct Now {
    /// How often each began that has no end.
    begun: BTreeMap<String, usize>,
    /// What was found of each that ended: nothing, or what is wrong.
    ended: BTreeMap<String, Option<Value>>,
    /// What runs in this process.
    open: Vec<(String, Instant)>,
}

impl Journal {
    fn open_at(path: &Path) -> std::io::Result<File> {
        File::options().create(true).append(true).open(path)
    }

    /// With what earlier processes wrote.
    fn open(path: PathBuf) -> Result<Journal> {
        let mut now = Now::default();
        for line in fs::read_to_string(&path).unwrap_or_default().lines() {
            // A process that crashed may have left half a line.
            let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
            now.take(&line);
        }
        let file = Journal::open_at(&path);
        let file = file.map_err(|e| Error::Output(format!("{} cannot be written: {e}", path.display())))?;
        Ok(Journal { file: Mutex::new(file), now: Mutex::new(now), over: AtomicUsize::new(0) })
    }

    fn now(&self) -> std::sync::MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, line: &Value) -> Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let fail = |e| Error::Output(format!("the sweep's journal cannot be written: {e}"));
        file.write_all(format!("{line}\n").as_bytes()).map_err(fail)
    }

    fn begin(&self, name: &str) -> Result<()> {
        let line = json!({"begin": name});
        self.write(&line)?;
        let mut now = self.now();
        now.take(&line);
        now.open.push((name.into(), Instant::now()));
        Ok(())
    }

    fn end(&self, name: &str, wrong: Option<Value>) -> Result<()> {
        let line = json!({"end": name, "wrong": wrong});
        self.write(&line)?;
        let mut now = self.now();
        now.take(&line);
        now.open.retain(|o| o.0 != name);
        Ok(())
    }

    /// What began once and did not end.
    fn suspects(&self) -> BTreeSet<String> {
        self.now().begun.iter().filter(|b| *b.1 == 1).map(|b| b.0.clone()).collect()
    }

    /// Whether nothing more is to be learned of it: it ended, or did not twice.
    fn knows(&self, name: &str) -> bool {
        let now = self.now();
        now.ended.contains_key(name) || now.begun.get(name).is_some_and(|&times| times > 1)
    }

    fn wrong(&self) -> usize {
        self.now().ended.values().flatten().count()
    }

    fn running(&self) -> Vec<(String, Instant)> {
        self.now().open.clone()
    }

    fn over(&self) {
        self.over.store(1, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed) == 1
    }
}

impl Now {
    fn take(&mut self, line: &Value) {
        if let Some(name) = line["begin"].as_str() {
            *self.begun.entry(name.into()).or_default() += 1;
        } else if let Some(name) = line["end"].as_str() {
            self.begun.remove(name);
            self.ended.insert(name.into(), Some(line["wrong"].clone()).filter(|w| !w.is_null()));
        }
    }
}

/// What there is to tell.
fn told(journal: &Journal) -> Value {
    let now = journal.now();
    let wrong = |name: &String, found: Value| json!({"name": name, "found": found});
    let of_ended = now.ended.iter().filter_map(|(name, w)| Some(wrong(name, w.clone()?)));
    let lost = "it ends the process, hangs or loses the device, twice, the second time by itself";
    let of_lost = now.begun.iter().filter(|b| *b.1 > 1).map(|(name, _)| wrong(name, json!({"what": lost})));
    let running: Vec<&String> = now.begun.iter().filter(|b| *b.1 == 1).map(|b| b.0).collect();
    let all: Vec<Value> = of_ended.chain(of_lost).collect();
    let ops: HashSet<&str> = now.ended.keys().filter_map(|n| n.split("::").next()).collect();
    let right = now.ended.values().filter(|w| w.is_none()).count();
    json!({"candidates": right + all.len(), "ops": ops.len(), "right": right, "wrong": all, "running": running})
}

/// Puts it into words.
pub fn page(data: &Value) -> Page {
    let wrong = list(data, "/wrong");
    let counts = format!(
        "{} of {} candidates of {} ops are as their references",
        text(data, "/right"),
        text(data, "/candidates"),
        text(data, "/ops")
    );
    let mut page = Page::default().head("self-test", &counts).and(format!("{counts}."));
    for w in wrong.iter().take(IN_FULL) {
        let of = |key: &str| text(w, &format!("/found/{key}"));
        let inputs: Vec<&str> = list(w, "/found/inputs").iter().filter_map(Value::as_str).collect();
        let full = format!(
            "{}\nop      {}\ninputs  {}\nfound   {}\nsource  rest/failures/{}",
            text(w, "/name"),
            of("op"),
            inputs.join(" "),
            of("what"),
            of("source")
        );
        page = page.and(block(&full));
    }
    let more: String =
        wrong.iter().skip(IN_FULL).map(|w| format!("- {}: {}\n", text(w, "/name"), text(w, "/found/what"))).collect();
    let running: String = list(data, "/running").iter().filter_map(Value::as_str).map(|n| format!("- {n}\n")).collect();
    let running = if running.is_empty() { running } else { format!("Running when the part was ended:\n\n{running}") };
    page.and(more).and(running)
}
