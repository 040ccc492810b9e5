//! What the process of a part has: the device, the binary to call, places for what it finds.

use super::args::{Amount, Args};
use super::child;
use super::parts::Part;
use lupe::engine::{Choice, Gpu};
use lupe::models;
use lupe::models::stand_in;
use lupe::weights::safetensors;
use lupe::{Error, Result, Tensor};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a test wants to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It never ends.
    Hang,
    /// The process ends by a signal.
    Crash,
}

/// Seconds that something may take which was told to hang.
pub const HANGING: f64 = 3.0;

/// Lines of the log that an error repeats.
const TOLD: usize = 8;

/// The log of a part.
pub fn log(out: &Path, name: &str) -> PathBuf {
    out.join("rest/log").join(format!("{name}.log"))
}

/// The trouble that `args` have for `part`, and where.
pub fn trouble(args: &Args, part: &Part) -> Option<(Trouble, String)> {
    let of = |text: &Option<String>, trouble| {
        let (name, at) = text.as_deref().map(|t| t.split_once(':').unwrap_or((t, "")))?;
        (name == part.name).then(|| (trouble, at.to_string()))
    };
    of(&args.hang, Trouble::Hang).or_else(|| of(&args.crash, Trouble::Crash))
}

/// What a part is given.
pub struct Context {
    /// How much is measured.
    pub amount: Amount,
    /// The folder of what travels beside the binaries.
    pub kit: PathBuf,
    /// How many times as long as on a card things may take.
    pub scale: f64,
    lupe: PathBuf,
    device: String,
    out: PathBuf,
    name: &'static str,
    trouble: Option<(Trouble, String)>,
    begun: Instant,
    seconds: f64,
}

/// One thing after the other as long as there is time for one more: what takes as long as the longest so far must fit.
pub struct Pace<'c> {
    context: &'c Context,
    longest: f64,
    at: Option<Instant>,
}

/// A part stops by itself where less time is left than this many times the longest so far.
const RESERVE: f64 = 1.2;

impl Pace<'_> {
    /// Whether there is time for another one, which begins now.
    pub fn another(&mut self) -> bool {
        let now = Instant::now();
        self.longest = self.at.replace(now).map_or(0.0, |at| (now - at).as_secs_f64().max(self.longest));
        self.context.seconds - self.context.begun.elapsed().as_secs_f64() > RESERVE * self.longest
    }
}

impl Context {
    /// For a part; the device and the amount were chosen by the process that started this one.
    pub fn new(args: &Args, part: &'static Part) -> Result<Context> {
        Ok(Context {
            amount: args.amount.unwrap_or(Amount::Full),
            kit: args.kit()?,
            scale: args.minutes / super::parts::MINUTES,
            lupe: args.lupe()?,
            device: args.device.clone().unwrap_or("auto".into()),
            out: args.output.clone(),
            name: part.name,
            trouble: trouble(args, part),
            begun: Instant::now(),
            seconds: args.seconds,
        })
    }

    /// For a part that does one thing after the other.
    pub fn pace(&self) -> Pace<'_> {
        Pace { context: self, longest: 0.0, at: None }
    }

    /// Opens the device.
    pub fn gpu(&self) -> Result<Gpu> {
        pollster::block_on(Gpu::new(&self.choice(), backends().as_deref()))
    }

    /// The device as the library and the benches are told.
    pub fn choice(&self) -> Choice {
        self.device.parse().unwrap_or_default()
    }

    /// Says in the log what begins, for whom it is the last that is heard; and here tests have their way.
    pub fn begin(&self, what: &str) {
        println!("begin {what}");
        match &self.trouble {
            Some((trouble, at)) if what.contains(at.as_str()) => self.meet(*trouble),
            _ => {}
        }
    }

    /// Whether what has this name is to hang.
    pub fn hangs(&self, what: &str) -> bool {
        self.trouble.as_ref().is_some_and(|(t, at)| *t == Trouble::Hang && what.contains(at.as_str()))
    }

    fn meet(&self, trouble: Trouble) {
        match trouble {
            Trouble::Hang => loop {
                std::thread::sleep(Duration::from_secs(60));
            },
            Trouble::Crash => std::process::abort(),
        }
    }

    /// A folder below what is kept, made.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        made(self.out.join("rest").join(name))
    }

    /// A folder for what is not kept, made.
    pub fn scratch(&self, name: &str) -> Result<PathBuf> {
        made(self.out.join("scratch").join(name))
    }

    /// Keeps what the part has found so far; the last call counts.
    pub fn keep(&self, value: &Value) -> Result<()> {
        write(&self.folder("")?.join(format!("{}.json", self.name)), value.to_string().as_bytes())
    }

    /// Runs `lupe` with these words on the device: what it printed. Its messages go to the log.
    ///
    /// # Errors
    /// [`Error::Worker`] with its exit code and the last that it said.
    pub fn lupe(&self, words: &[&str]) -> Result<String> {
        self.begin(&format!("lupe {}", words.join(" ")));
        self.ask(Command::new(&self.lupe).args(words).args(["-d", &self.device]))
    }

    /// As [`Context::lupe`], for a command that prints JSON.
    pub fn lupe_json(&self, words: &[&str]) -> Result<Value> {
        let text = self.lupe(&[words, &["--json"]].concat())?;
        serde_json::from_str(&text).map_err(|e| Error::Input(format!("lupe {} printed no JSON: {e}", words.join(" "))))
    }

    /// Runs a command: what it printed. What it says on stderr is in the log at once, so that it is not lost if the part is ended.
    pub fn ask(&self, command: &mut Command) -> Result<String> {
        let name = command.get_program().to_string_lossy().into_owned();
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let output = output.map_err(|e| Error::Input(format!("{name} cannot be started: {e}")))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let last = child::last(&log(&self.out, self.name), TOLD).join("\n");
        let code = output.status.code().and_then(|c| u8::try_from(c).ok());
        Err(Error::Worker { code, said: format!("{name}: {}: {last}", output.status) })
    }

    /// The file to give as the weights of that network; none for the one whose weights are built in.
    pub fn weights(&self, name: &str) -> Result<Option<PathBuf>> {
        if name == models::EMBEDDED.name { Ok(None) } else { self.drawn(name).map(Some) }
    }

    /// A file with weights of that network that stand in for trained ones, drawn once for all parts.
    pub fn drawn(&self, name: &str) -> Result<PathBuf> {
        let net = models::find(name).ok_or_else(|| Error::Usage(format!("unknown network `{name}`")))?;
        let path = self.scratch("weights")?.join(format!("{name}.safetensors"));
        if !path.exists() {
            println!("drawing weights of {name}");
            let drawn = stand_in::weights(net);
            let tensors: Vec<(String, &Tensor)> =
                drawn.tensors().iter().map(|(n, t)| (n.clone(), t.as_ref())).collect();
            write(&path, &safetensors::write(&tensors)?)?;
        }
        Ok(path)
    }
}

/// Backends to look for adapters in, as the binary reads them.
fn backends() -> Option<String> {
    std::env::var("WGPU_BACKEND").ok().filter(|b| !b.is_empty())
}

/// Makes a folder.
pub fn made(path: PathBuf) -> Result<PathBuf> {
    match fs::create_dir_all(&path) {
        Ok(()) => Ok(path),
        Err(e) => Err(Error::Output(format!("{} cannot be made: {e}", path.display()))),
    }
}

/// Writes a file whole or not at all.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let whole = || -> std::io::Result<()> {
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less the umask, as any new file
        let mut file = builder.tempfile_in(path.parent().unwrap_or(Path::new(".")))?;
        file.write_all(bytes)?;
        file.persist(path).map(drop).map_err(|e| e.error)
    };
    whole().map_err(|e| Error::Output(format!("{} cannot be written: {e}", path.display())))
}

/// Reads a JSON file.
pub fn read(path: &Path) -> Result<Value> {
    let fail = |e: &dyn std::fmt::Display| Error::Input(format!("{}: {e}", path.display()));
    serde_json::from_slice(&fs::read(path).map_err(|e| fail(&e))?).map_err(|e| fail(&e))
}
