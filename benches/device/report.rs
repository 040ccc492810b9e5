//! Part after part, each in a process of its own, and the report as it stands after each.

use super::args::{Amount, Args};
use super::child::{self, End};
use super::context::{HANGING, log, made, read, trouble};
use super::ending;
use super::md::text;
use super::parts::{MINUTES, Part};
use lupe::{Error, Result};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Seconds that the list of adapters may take; with a driver that hangs it never comes.
const LISTING: f64 = 30.0;

/// How often a part is started that goes on where it ended.
const STARTS: usize = 40;

/// Lines of its log that are told of a part that did not end well.
const SAID: usize = 12;

/// All that one run of the report knows.
struct Run<'a> {
    args: &'a Args,
    out: PathBuf,
    lupe: PathBuf,
    adapter: Value,
    amount: Amount,
    begun: Instant,
}

/// Writes the report of the device that is asked for.
///
/// # Errors
/// [`Error::Adapter`] where there is no such device, [`Error::Partial`] where a part did not end well; the report is written then.
pub fn run(args: &Args) -> Result<()> {
    let (wanted, lupe) = (args.wanted()?, args.lupe()?);
    let out = fresh(&args.output)?;
    let begun = Instant::now();
    let adapter = chosen(args.device.as_deref(), &adapters(&lupe, &out)?)?;
    let cpu = adapter["kind"] == "cpu";
    let amount = args.amount.unwrap_or(if cpu { Amount::Small } else { Amount::Full });
    let run = Run { args, out, lupe, adapter, amount, begun };
    println!("{}: {} parts, {} minutes at most", text(&run.adapter, "/name"), wanted.len(), args.minutes);
    let mut parts = vec![];
    for part in wanted {
        parts.push(run.part(part)?);
        ending::write_report(&run.out, &run.whole(&parts))?;
    }
    ending::pack(&run.out)?;
    println!("{:.0} s; {}", begun.elapsed().as_secs_f64(), run.out.join("report.md").display());
    let bad: Vec<String> = parts.iter().filter(|p| p["state"] != "done").map(|p| text(p, "/name")).collect();
    if bad.is_empty() { Ok(()) } else { Err(Error::Partial(format!("not all went well: {}", bad.join(", ")))) }
}

/// The folder, made; one with something in it is somebody's.
fn fresh(path: &Path) -> Result<PathBuf> {
    let path = made(path.to_path_buf())?;
    let fail = |e: std::io::Error| Error::Output(format!("{}: {e}", path.display()));
    if fs::read_dir(&path).map_err(fail)?.next().is_some() {
        return Err(Error::Usage(format!("{} is not empty; name another folder with -o", path.display())));
    }
    path.canonicalize().map_err(fail)
}

/// What `lupe devices --json` lists.
fn adapters(lupe: &Path, out: &Path) -> Result<Vec<Value>> {
    let log = made(out.join("rest/log"))?.join("adapters.log");
    let end = child::run(apart(Command::new(lupe).args(["devices", "--json", "-q"]), out), &log, LISTING)?;
    let said = child::last(&log, SAID);
    let list = said.iter().rev().find_map(|line| serde_json::from_str::<Vec<Value>>(line).ok());
    list.filter(|_| end == End::Code(0))
        .ok_or_else(|| Error::Adapter(format!("`lupe devices` lists no adapter ({end:?}):\n  {}", said.join("\n  "))))
}

/// A command for which nothing counts that an earlier run on this machine left: kernels are compiled here, and no table says which
/// are fast. The software driver keeps its width; to try another one takes longer than some parts have.
fn apart<'c>(command: &'c mut Command, out: &Path) -> &'c mut Command {
    command.env("XDG_CACHE_HOME", out.join("scratch/cache")).env("LUPE_NO_REEXEC", "1")
}

/// The adapter of that number or name; without one the best that is no processor.
pub fn chosen(device: Option<&str>, all: &[Value]) -> Result<Value> {
    const KINDS: [&str; 4] = ["discrete", "integrated", "virtual", "other"];
    let name = |a: &Value| a["name"].as_str().unwrap_or_default().to_lowercase();
    let rank = |a: &Value| Some((name(a).starts_with("gl:"), KINDS.iter().position(|k| a["kind"] == *k)?));
    let found = match device {
        Some(text) => match text.parse::<usize>() {
            Ok(index) => all.get(index),
            Err(_) => all.iter().find(|a| name(a).contains(&text.to_lowercase())),
        },
        None => all.iter().filter(|a| rank(a).is_some()).min_by_key(|a| rank(a)),
    };
    let names: Vec<String> =
        all.iter().map(|a| format!("{} {} ({})", a["index"], text(a, "/name"), text(a, "/kind"))).collect();
    let asked = device.map_or("that is no processor".to_string(), |d| format!("for -d {d}"));
    let none = || format!("there is no adapter {asked}; name one with -d: {}", names.join(", "));
    found.cloned().ok_or_else(|| Error::Adapter(none()))
}

impl Run<'_> {
    /// Seconds that are left.
    fn left(&self) -> f64 {
        60.0 * self.args.minutes - self.begun.elapsed().as_secs_f64()
    }

    /// Runs a part, as often as it goes on; what there is to tell of it.
    fn part(&self, part: &'static Part) -> Result<Value> {
        let log = log(&self.out, part.name);
        let scaled = part.seconds * self.args.minutes / MINUTES;
        let told = matches!(trouble(self.args, part), Some((_, at)) if at.is_empty());
        let limit = if told { scaled.min(HANGING) } else { scaled }.min(self.left());
        let begun = Instant::now();
        if limit < 1.0 {
            return Ok(json!({"name": part.name, "what": part.what, "state": "left out", "seconds": 0, "limit": 0}));
        }
        let mut end = child::run(&mut self.command(part, limit), &log, limit)?;
        for _ in 1..STARTS {
            let left = limit - begun.elapsed().as_secs_f64();
            if !part.again || left < 1.0 || !matches!(end, End::Crash | End::Code(6 | 124)) {
                break;
            }
            end = child::run(&mut self.command(part, left), &log, left)?;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let state = state(end);
        println!("{:<10} {state:<10} {seconds:>6.1} s", part.name);
        let data = read(&self.out.join(format!("rest/{}.json", part.name))).ok();
        let said = if end == End::Code(0) { vec![] } else { child::last(&log, SAID) };
        Ok(json!({
            "name": part.name, "what": part.what, "state": state, "seconds": seconds, "limit": limit, "said": said, "data": data,
        }))
    }

    fn command(&self, part: &Part, seconds: f64) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap_or("device".into()));
        command
            .args(["--part", part.name, "--amount", self.amount.word(), "--device"])
            .arg(self.adapter["index"].to_string());
        command.arg("--output").arg(&self.out).arg("--minutes").arg(self.args.minutes.to_string());
        command.arg("--lupe").arg(&self.lupe).arg("--seconds").arg(seconds.to_string());
        let given = [("--hang", &self.args.hang), ("--crash", &self.args.crash)];
        given.iter().for_each(|(flag, value)| {
            command.args(value.iter().flat_map(|v| [*flag, v]));
        });
        command.args(self.args.kit.iter().flat_map(|kit| ["--kit".as_ref(), kit.as_os_str()]));
        apart(&mut command, &self.out);
        command
    }

    fn whole(&self, parts: &[Value]) -> Value {
        json!({
            "lupe_version": env!("CARGO_PKG_VERSION"), "adapter": self.adapter, "amount": self.amount.word(),
            "minutes": self.args.minutes, "seconds": self.begun.elapsed().as_secs_f64(), "parts": parts,
        })
    }
}

fn state(end: End) -> &'static str {
    match end {
        End::Code(0) => "done",
        End::Code(_) => "failed",
        End::Crash => "crashed",
        End::Late => "over time",
    }
}
