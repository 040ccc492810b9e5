//! What the commands share: the device, messages and progress.

use super::args::Global;
use super::{env, output};
use crate::engine::gpu::{AdapterInfo, Kind, adapters};
use crate::engine::{Choice, Family, Gpu};
use crate::error::{Error, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use log::{LevelFilter, Log, Metadata, Record};
use std::cell::Cell;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Flags of every command, ready to use.
pub struct Session {
    choice: Choice,
    limit_memory: Option<u64>,
    /// Results as JSON.
    pub json: bool,
    quiet: bool,
    stop: Arc<AtomicBool>,
    watched: Cell<bool>,
}

impl Session {
    /// From the flags.
    pub fn new(global: &Global) -> Result<Session> {
        let choice = global.device.parse().map_err(|e| Error::Usage(format!("--device: {e:?}")))?;
        Ok(Session {
            choice,
            limit_memory: global.limit_memory,
            json: global.json,
            quiet: global.quiet,
            stop: Arc::default(),
            watched: Cell::default(),
        })
    }

    /// All adapters.
    pub fn adapters(&self) -> Vec<AdapterInfo> {
        pollster::block_on(adapters(env::backends().as_deref()))
    }

    /// Opens the chosen device.
    pub fn gpu(&self) -> Result<Gpu> {
        let gpu = pollster::block_on(Gpu::new(&self.choice, env::backends().as_deref()))?;
        if self.choice == Choice::Auto && gpu.info.backend == "gl" {
            self.say("note: only GL was found; a Vulkan driver would be faster and is better tested");
        }
        Ok(gpu)
    }

    /// Device memory to use at most: what was asked for, else on drivers that run on the processor what the system has free.
    pub fn limit_memory(&self, gpu: &Gpu) -> Option<u64> {
        self.limit_memory.or_else(|| if gpu.info.kind == Kind::Cpu { free_memory() } else { None })
    }

    /// From here on an interrupt is an answer that [`Session::go_on`] gives; a second one ends the process at once.
    pub fn watch_for_interrupts(&self) -> Result<()> {
        if self.watched.replace(true) {
            return Ok(()); // registered twice, a first interrupt would count as a second one
        }
        #[cfg(unix)]
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            let watch = signal_hook::flag::register_conditional_shutdown(signal, 130, self.stop.clone())
                .and_then(|_| signal_hook::flag::register(signal, self.stop.clone()));
            watch.map_err(|e| Error::Usage(format!("interrupts cannot be watched: {e}")))?;
        }
        Ok(())
    }

    /// Whether to go on.
    ///
    /// # Errors
    /// [`Error::Interrupted`] after an interrupt.
    pub fn go_on(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted("nothing was written".into()));
        }
        Ok(())
    }

    /// A message, unless quiet.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            output::note(text);
        }
    }

    /// A progress bar with ETA, where stderr is a terminal.
    pub fn progress(&self, steps: usize, what: &str) -> ProgressBar {
        if self.quiet || !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stderr());
        let template =
            if env::no_color() { "{msg} {bar:30} {pos}/{len} {eta}" } else { "{msg} {bar:30.cyan} {pos}/{len} {eta}" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what.to_string());
        bar
    }
}

/// `vulkan:NAME (software family)`.
pub fn describe(info: &AdapterInfo) -> String {
    let family = if info.caps.family == Family::Software { "software" } else { "GPU" };
    format!("{}, {} {}, {family} kernels", info.title(), info.driver, info.driver_info)
}

/// Bytes that the system could give right now, where it says so.
fn free_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
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
