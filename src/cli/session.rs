//! What the commands share: the device, messages and progress.

use super::args::Global;
use super::output;
use super::progress::Progress;
use super::tuning;
use crate::engine::gpu::{AdapterInfo, Kind, adapters};
use crate::engine::{Choice, Choices, Family, Gpu};
use crate::error::{Error, Result};
use indicatif::{MultiProgress, ProgressDrawTarget};
use log::{LevelFilter, Log, Metadata, Record};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Flags of every command, ready to use.
pub struct Session {
    /// Which device is wanted.
    pub choice: Choice,
    /// Whether the program stays as it was started.
    pub no_reexec: bool,
    limit_memory: Option<u64>,
    /// Results as JSON.
    pub json: bool,
    quiet: bool,
    deterministic: bool,
    stop: Arc<AtomicBool>,
    watched: AtomicBool,
    left: Arc<Mutex<String>>,
    bars: MultiProgress,
}

/// How long an interrupt waits for the work to end in order; with what follows it is answered within a second.
#[cfg(unix)]
const PATIENCE: std::time::Duration = std::time::Duration::from_millis(600);

impl Session {
    /// From the flags.
    pub fn new(global: &Global) -> Result<Session> {
        Ok(Session {
            choice: Session::choice(&global.device)?,
            no_reexec: global.no_reexec,
            limit_memory: global.limit_memory,
            json: global.json,
            quiet: global.quiet,
            deterministic: global.deterministic,
            stop: Arc::default(),
            watched: AtomicBool::default(),
            left: Arc::new(Mutex::new("nothing was written".into())),
            bars: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()),
        })
    }

    /// The device of that name or number.
    pub fn choice(text: &str) -> Result<Choice> {
        text.parse().map_err(|e| Error::Usage(format!("--device: {e:?}")))
    }

    /// The flags that a process which does a part of the work must have as well.
    pub fn passed_on(&self) -> Vec<String> {
        let flag = |is: bool, name: &str| is.then(|| name.to_string());
        let limit = self.limit_memory.map(|bytes| format!("--limit-memory={bytes}"));
        [flag(self.deterministic, "--deterministic"), flag(self.no_reexec, "--no-reexec"), limit]
            .into_iter()
            .flatten()
            .collect()
    }

    /// All adapters.
    pub fn adapters(&self) -> Vec<AdapterInfo> {
        pollster::block_on(adapters(super::env::backends().as_deref()))
    }

    /// The adapters of these backends.
    pub fn adapters_of(&self, backends: &str) -> Vec<AdapterInfo> {
        pollster::block_on(adapters(Some(backends)))
    }

    /// Whether every device is asked for, where a command can do that.
    pub fn all_devices(&self) -> bool {
        self.choice == Choice::Name("all".into())
    }

    /// Opens the chosen device.
    pub fn gpu(&self) -> Result<Gpu> {
        self.open(&self.choice)
    }

    /// Opens the chosen device while `read` reads what is to run on it; of two failures that of `read` is told.
    pub fn gpu_beside<T>(&self, read: impl FnOnce() -> Result<T>) -> Result<(Gpu, T)> {
        std::thread::scope(|scope| {
            let opening = scope.spawn(|| self.gpu());
            let found = read();
            let gpu = opening.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let found = found?;
            Ok((gpu?, found))
        })
    }

    /// Opens a device.
    pub fn open(&self, choice: &Choice) -> Result<Gpu> {
        let gpu = pollster::block_on(Gpu::new(choice, super::env::backends().as_deref()))?;
        if self.choice == Choice::Auto && gpu.info.backend == "gl" {
            self.say("note: only GL was found; a Vulkan driver would be faster and is better tested");
        }
        Ok(gpu)
    }

    /// Device memory to use at most: what was asked for, else on drivers that run on the processor what the system has free.
    pub fn limit_memory(&self, gpu: &Gpu) -> Option<u64> {
        self.limit_memory.or_else(|| if gpu.info.kind == Kind::Cpu { free_memory() } else { None })
    }

    /// Which candidates plans take: what `lupe tune` wrote for this adapter and driver, unless `--deterministic`.
    pub fn choices(&self, gpu: &Gpu) -> Choices {
        if self.deterministic { Choices::First } else { tuning::choices(self, gpu) }
    }

    /// The first candidate whose name contains the text that is given, else as [`Session::choices`].
    pub fn choices_or(&self, candidate: Option<&String>, gpu: &Gpu) -> Choices {
        candidate.cloned().map_or_else(|| self.choices(gpu), Choices::Named)
    }

    /// From here on an interrupt is an answer that [`Session::go_on`] gives. Where the work is too busy to ask within
    /// [`PATIENCE`], and at a second interrupt, the process ends by itself, after the file that is being written.
    pub fn watch_for_interrupts(&self) -> Result<()> {
        if self.watched.swap(true, Ordering::Relaxed) {
            return Ok(()); // registered twice, a first interrupt would count as a second one
        }
        #[cfg(unix)]
        {
            use signal_hook::consts::{SIGINT, SIGTERM};
            let signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])
                .map_err(|e| Error::Usage(format!("interrupts cannot be watched: {e}")))?;
            let (stop, left) = (self.stop.clone(), self.left.clone());
            std::thread::spawn(move || watch(signals, &stop, &left));
        }
        Ok(())
    }

    /// What an interrupt from here on leaves behind, for its message.
    pub fn left_by_interrupt(&self, text: &str) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = text.into();
    }

    /// Whether to go on.
    ///
    /// # Errors
    /// [`Error::Interrupted`] after an interrupt.
    pub fn go_on(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted(self.left.lock().unwrap_or_else(PoisonError::into_inner).clone()));
        }
        Ok(())
    }

    /// A message, unless quiet.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            output::note(text);
        }
    }

    /// Memory of this machine to use at most: what was asked for, else 60 % of what the system has free.
    pub fn limit_ram(&self, asked: Option<u64>) -> u64 {
        asked.or_else(|| free_memory().map(|free| free / 5 * 3)).unwrap_or(u64::MAX)
    }

    /// Progress with ETA on stderr: a bar on a terminal, elsewhere a line every ten seconds.
    pub fn progress(&self, steps: usize, what: &'static str) -> Progress {
        Progress::new(steps, what, self.quiet, &self.bars)
    }
}

#[cfg(unix)]
fn watch(mut signals: signal_hook::iterator::Signals, stop: &AtomicBool, left: &Arc<Mutex<String>>) {
    for _ in signals.forever() {
        let second = stop.swap(true, Ordering::Relaxed);
        let left = left.clone();
        std::thread::spawn(move || {
            if !second {
                std::thread::sleep(PATIENCE);
            }
            let _whole = output::no_writing();
            let left = left.lock().unwrap_or_else(PoisonError::into_inner).clone();
            output::note(&format!("lupe: {}", Error::Interrupted(left)));
            signal_hook::low_level::exit(130);
        });
    }
}

/// `vulkan:NAME (software family)`.
pub fn describe(info: &AdapterInfo) -> String {
    let family = if info.caps.family == Family::Software { "software" } else { "GPU" };
    format!("{}, {} {}, {family} kernels", info.title(), info.driver, info.driver_info)
}

/// Bytes that the system could give right now, where it says so.
fn free_memory() -> Option<u64> {
    kilobytes("/proc/meminfo", "MemAvailable:")
}

/// Most bytes that the process has held so far, where the system says so.
pub fn peak_memory() -> Option<u64> {
    kilobytes("/proc/self/status", "VmHWM:")
}

/// Bytes that the process holds now, where the system says so.
pub fn held_memory() -> Option<u64> {
    kilobytes("/proc/self/status", "VmRSS:")
}

/// The system's load average of the last minute, where it says so.
pub fn load_average() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// A line `NAME  123 kB` of a file, in bytes.
fn kilobytes(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.target().starts_with("lupe") || metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &Record) {
        if self.enabled(record.metadata()) {
            output::note(&format!("{}: {}", record.level().as_str().to_lowercase(), record.args()));
        }
    }

    fn flush(&self) {}
}

/// Messages of the library go to stderr: none, then with `-v` what happens, with `-vv` details.
pub fn install_logger(quiet: bool, verbose: u8) {
    let level = match (quiet, verbose) {
        (true, _) | (_, 0) => LevelFilter::Off,
        (_, 1) => LevelFilter::Info,
        _ => LevelFilter::Debug,
    };
    if log::set_logger(&Logger).is_ok() {
        log::set_max_level(level);
    }
}
