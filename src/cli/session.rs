//! What the commands share: the device, messages and progress.

use super::global::Global;
use super::progress::Bars;
use super::{env, output};
use crate::engine::gpu::{AdapterInfo, Kind, NO_ADAPTER, adapters};
use crate::engine::{Choice, Choices, Gpu, Options};
use crate::error::{Error, Result, plain, shown};
use crate::files::no_writing;
use crate::lock::lock;
use crate::measure::tuned::Tuned;
use crate::memory::free_memory;
use crate::methods::drawing::Draw;
use crate::methods::{Fitted, Methods, RunOptions};
use crate::outputs::Outputs;
use crate::watch::Watch;
use log::{LevelFilter, Log, Metadata, Record};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Flags of every command, ready to use.
pub struct Session {
    /// Which device to use.
    pub choice: Choice,
    /// Whether the program must not be started again.
    pub no_reexec: bool,
    limit_memory: Option<u64>,
    /// Results as JSON.
    pub json: bool,
    quiet: bool,
    deterministic: bool,
    stop: Arc<AtomicBool>,
    watched: AtomicBool,
    left: Arc<Mutex<String>>,
    bars: Bars,
    /// What is written, tried first.
    pub outputs: Arc<Outputs>,
    processor_told: AtomicBool,
    /// The methods that fitted models are opened with.
    pub methods: Methods,
}

/// How long an interrupt waits for the work to end cleanly; in total it is answered within a second.
#[cfg(unix)]
const PATIENCE: std::time::Duration = std::time::Duration::from_millis(600);

impl Session {
    /// From the flags.
    pub fn new(global: &Global, methods: &Methods) -> Result<Session> {
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
            bars: Bars::new(global.quiet),
            outputs: Arc::default(),
            processor_told: AtomicBool::default(),
            methods: methods.clone(),
        })
    }

    /// The device of that name or number.
    pub fn choice(text: &str) -> Result<Choice> {
        text.parse().map_err(|e| Error::Usage(format!("--device: {e:?}")))
    }

    /// The flags to pass on to a process that does part of the work.
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
        pollster::block_on(adapters(env::backends().as_deref()))
    }

    /// The adapters of these backends.
    pub fn adapters_of(&self, backends: &str) -> Vec<AdapterInfo> {
        pollster::block_on(adapters(Some(backends)))
    }

    /// Whether all devices are asked for; not every command can do that.
    pub fn all_devices(&self) -> bool {
        self.choice == Choice::Name("all".into())
    }

    /// Opens the chosen device.
    pub fn gpu(&self) -> Result<Gpu> {
        self.open(&self.choice)
    }

    /// Opens the chosen device while `read` reads what is to run on it; if both fail, the error of `read` is reported.
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
        let gpu = pollster::block_on(Gpu::new(choice, env::backends().as_deref()))?;
        if self.choice == Choice::Auto && gpu.info.backend == "gl" {
            self.say("note: only GL was found; a Vulkan driver would be faster and is better tested");
        }
        self.tell_processor(&gpu.info.title(), gpu.info.kind);
        Ok(gpu)
    }

    /// Says once that a device is the processor, where nobody asked for it.
    pub fn tell_processor(&self, device: &str, kind: Kind) {
        let unasked = self.choice == Choice::Auto && kind == Kind::Cpu;
        if unasked && !self.processor_told.swap(true, Ordering::Relaxed) {
            self.say(&format!("note: {} is your processor; no GPU was found, see `lupe devices`", plain(device)));
        }
    }

    /// An error with what only the command line knows: which flags were given, and what the environment restricts.
    pub fn explained(&self, error: Error, several: bool) -> Error {
        match (error, env::backends()) {
            (Error::Adapter(what), Some(backends)) if what == NO_ADAPTER => Error::Adapter(format!(
                "{what}. WGPU_BACKEND={backends} restricts the search: unset it to look in all backends"
            )),
            (error, _) => error.with_flags(self.limit_memory.is_some(), several),
        }
    }

    /// Maximum device memory to use: what was asked for, else, on drivers that run on the processor, what the system has free.
    pub fn limit_memory(&self, gpu: &Gpu) -> Option<u64> {
        self.limit_memory.or_else(|| if gpu.info.kind == Kind::Cpu { free_memory() } else { None })
    }

    /// Which candidates plans take: what `lupe tune` wrote for this adapter and driver, unless `--deterministic`.
    pub fn choices(&self, gpu: &Gpu) -> Choices {
        let Some(table) = self.tuned(gpu).filter(|_| !self.deterministic) else { return Choices::First };
        if table.fast {
            self.say("note: kernels tuned with --fast sum in a different order; --deterministic uses the default ones");
        }
        Choices::Table(Arc::new(table.labels))
    }

    /// What `lupe tune` wrote for this adapter, if it can be used; a note if it cannot.
    pub fn tuned(&self, gpu: &Gpu) -> Option<Tuned> {
        let path = self.tuned_file(gpu).ok()?;
        Tuned::read(&path, gpu).unwrap_or_else(|why| {
            let path = shown(&path);
            self.say(&format!("note: the tuning table {path} is not used: {why}; `lupe tune` makes a new one"));
            None
        })
    }

    /// Path of this adapter's table, whatever its driver.
    ///
    /// # Errors
    /// [`Error::Output`] if there is no cache folder.
    pub fn tuned_file(&self, gpu: &Gpu) -> Result<PathBuf> {
        env::cached("tuning/", &gpu.info.title())
            .ok_or_else(|| Error::Output("no cache folder: set XDG_CACHE_HOME or HOME to an absolute path".into()))
    }

    /// How plans are made on this device.
    pub fn options(&self, gpu: &Gpu) -> Options {
        Options { limit_memory: self.limit_memory(gpu), choices: self.choices(gpu) }
    }

    /// The same, for batches of pictures.
    pub fn run_options(&self, gpu: &Gpu, batch: u16) -> RunOptions {
        let Options { limit_memory, choices } = self.options(gpu);
        RunOptions { batch: batch.into(), limit_memory, choices }
    }

    /// The first candidate whose name contains the text that is given, else as [`Session::choices`].
    pub fn choices_or(&self, candidate: Option<&String>, gpu: &Gpu) -> Choices {
        candidate.cloned().map_or_else(|| self.choices(gpu), Choices::Named)
    }

    /// From here on [`Watch::go_on`] reports an interrupt. If the work is too busy to ask within
    /// [`PATIENCE`], or at a second interrupt, the process ends by itself, once the file being written is complete.
    pub fn watch_for_interrupts(&self) -> Result<()> {
        if self.watched.swap(true, Ordering::Relaxed) {
            return Ok(()); // registered twice, a first interrupt would count as a second one
        }
        #[cfg(unix)]
        {
            use signal_hook::consts::{SIGINT, SIGTERM};
            let signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])
                .map_err(|e| Error::Usage(format!("cannot catch interrupts: {e}")))?;
            let (stop, left, outputs) = (self.stop.clone(), self.left.clone(), self.outputs.clone());
            std::thread::spawn(move || watch(signals, &stop, &left, &outputs));
        }
        Ok(())
    }

    /// What predict and eval say before they begin, and what an interrupt would leave behind.
    pub fn begin_scoring(&self, gpu: &Gpu, fitted: &dyn Fitted, draw: Draw) -> Result<()> {
        let localises = fitted.localises();
        if draw.masks && localises && fitted.map_limit().is_none() {
            self.say("note: this model has no limit for pixels, so no masks are written (see `lupe limit --help`)");
        }
        if !localises && (draw.masks || draw.maps.is_some()) {
            self.say(&format!(
                "note: {} produces no anomaly maps, so neither maps nor masks are written",
                fitted.method()
            ));
        }
        self.watch_for_interrupts()?;
        self.left_by_interrupt("results.* and metrics.json were not written");
        self.say(&format!("device    {}", gpu.info.describe()));
        Ok(())
    }

    /// Maximum memory of this machine to use: what was asked for, else 60 % of what the system has free.
    pub fn limit_ram(&self, asked: Option<u64>) -> u64 {
        asked.or_else(|| free_memory().map(|free| free / 5 * 3)).unwrap_or(u64::MAX)
    }
}

impl Watch for Session {
    fn say(&self, text: &str) {
        if !self.quiet {
            self.bars.above(|| output::note(text));
        }
    }

    fn progress(&self, stage: &'static str, done: usize, of: usize) {
        self.bars.at(stage, done, of);
    }

    fn go_on(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted(lock(&self.left).clone()));
        }
        Ok(())
    }

    fn left_by_interrupt(&self, text: &str) {
        *lock(&self.left) = text.into();
    }
}

#[cfg(unix)]
fn watch(
    mut signals: signal_hook::iterator::Signals,
    stop: &AtomicBool,
    left: &Arc<Mutex<String>>,
    outputs: &Arc<Outputs>,
) {
    for _ in signals.forever() {
        let second = stop.swap(true, Ordering::Relaxed);
        let (left, outputs) = (left.clone(), outputs.clone());
        std::thread::spawn(move || {
            if !second {
                std::thread::sleep(PATIENCE);
            }
            let _whole = no_writing();
            outputs.tidy();
            let left = lock(&left).clone();
            output::note(&format!("lupe: {}", Error::Interrupted(left)));
            signal_hook::low_level::exit(130);
        });
    }
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
