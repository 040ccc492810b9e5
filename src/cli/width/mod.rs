//! The width of vectors that Mesa's software driver computes with: its 512-bit mode is faster, but correct in some versions only.
//!
//! The driver reads the width when it is loaded, so the program replaces itself where the wide mode pays: on a
//! processor with AVX-512, if the device that would be used is that driver in a version known to be good, and once its kernels have been
//! compared with their references in that mode. Results are the same to the bit at every width (`tests/engine/width.rs`).

mod verdict;

use super::env;
use super::session::Session;
use crate::engine::Choice;
use crate::engine::gpu::{AdapterInfo, Kind, choose_of};
use crate::files::folder;
use crate::measure::width::{Next, Situation, WIDE, choose, found_when_wide};
use crate::watch::Watch;

/// Starts the program again at another width if that pays; returns if it does not.
pub fn settle(session: &Session) {
    if env::reexecuted() || env::width_is_set() || turned_off(session) || cpu().is_none() {
        return; // not even a list of adapters is needed
    }
    // Only a Vulkan driver can have the mode, and only Metal could be chosen before it.
    let adapters = session.adapters_of(&env::backends().unwrap_or("vulkan,metal".into()));
    let Some(a) = choose_of(&session.choice, &adapters) else { return };
    if matches!(&session.choice, Choice::Name(name) if !found_when_wide(&a.title(), name)) {
        return;
    }
    match choose(&known(session, a)) {
        Next::Stay(_) => {}
        Next::Widen => again(),
        Next::Test => {
            if tested(session, a) && choose(&known(session, a)) == Next::Widen {
                again();
            }
        }
    }
}

/// Why an adapter has the width that it has.
pub fn why(session: &Session, a: &AdapterInfo) -> String {
    match choose(&known(session, a)) {
        Next::Stay(why) if !why.is_empty() => why,
        Next::Stay(_) if env::reexecuted() => "chosen for the Vulkan adapter".into(),
        Next::Stay(_) if env::width_is_set() => "LP_NATIVE_VECTOR_WIDTH is set".into(),
        Next::Stay(_) => "the default".into(),
        Next::Test => "the default; 512 bits were not tested, see -v".into(),
        Next::Widen => "the default; 512 bits if --device chooses this one".into(),
    }
}

fn turned_off(session: &Session) -> bool {
    session.no_reexec || env::no_reexec()
}

fn known(session: &Session, a: &AdapterInfo) -> Situation {
    let software = a.kind == Kind::Cpu && a.backend == "vulkan" && a.driver == "llvmpipe";
    let key = key(a);
    Situation {
        again: env::reexecuted() && a.width == Some(WIDE),
        set: env::width_is_set(),
        off: turned_off(session),
        cpu: cpu().is_some(),
        driver: software.then(|| a.driver_info.clone()),
        verdict: verdict::file(&key).and_then(|path| verdict::read(&path, &key)),
    }
}

/// What a verdict is about.
fn key(a: &AdapterInfo) -> String {
    format!("{} {}; {}; lupe {}", a.driver, a.driver_info, cpu().unwrap_or_default(), env!("CARGO_PKG_VERSION"))
}

/// Runs the self-test and keeps its result; whether it did. If nothing can be kept, it is not run: it would run at every start.
fn tested(session: &Session, a: &AdapterInfo) -> bool {
    let key = key(a);
    let kept = || -> Result<(), String> {
        let path = verdict::file(&key).ok_or("no cache folder: HOME is not set")?;
        folder(path.parent().unwrap_or(&path)).map_err(|e| e.to_string())?;
        session.say("note: testing the driver's 512-bit mode; this takes a few seconds, once");
        let verdict = verdict::test(a.index)?;
        verdict::write(&path, &key, &verdict).map_err(|e| e.to_string())
    };
    kept().map_err(|e| log::info!("the 512-bit mode cannot be tested: {e}")).is_ok()
}

/// The parts of AVX-512 that the processor has, if it has those that matter.
#[cfg(all(unix, target_arch = "x86_64"))]
fn cpu() -> Option<String> {
    macro_rules! has {
        ($($name:tt)*) => { [$(($name, std::is_x86_feature_detected!($name))),*] };
    }
    let needed = has!("avx512f" "avx512bw" "avx512dq" "avx512vl" "avx512cd");
    let more = has!("avx512vnni" "avx512ifma" "avx512vbmi" "avx512vbmi2" "avx512bf16" "avx512fp16" "avx512bitalg");
    let names = needed.iter().chain(&more).filter(|f| f.1).map(|f| f.0).collect::<Vec<_>>();
    needed.iter().all(|f| f.1).then(|| names.join(" "))
}

#[cfg(not(all(unix, target_arch = "x86_64")))]
fn cpu() -> Option<String> {
    None
}

/// Replaces this program by itself, with the same arguments; returns only if that fails.
#[cfg(unix)]
fn again() {
    use std::os::unix::process::CommandExt;
    let mut words = std::env::args_os();
    let failed = match (std::env::current_exe(), words.next()) {
        (Ok(program), name) => {
            let mut command = std::process::Command::new(&program);
            command.arg0(name.unwrap_or(program.into())).args(words);
            env::widen(&mut command, WIDE).exec()
        }
        (Err(e), _) => e,
    };
    log::info!("cannot restart at {WIDE} bits: {failed}");
}

#[cfg(not(unix))]
fn again() {}
