//! Lupe's side of `make peers`: writes what all systems read, and runs tasks as a worker that stays. `benches/peers/run` drives it.

mod export;
mod networks;
mod serve;
mod training;
mod work;

use lupe::engine::{Choice, Gpu};
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str =
    "This is driven by `make peers`: export FOLDER, device, profile FOLDER TASK, or work FOLDER TASK OUT.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["export", folder] => export::export(Path::new(folder)),
        ["device"] => device(),
        ["profile", folder, task] => work::profile(Path::new(folder), task),
        ["work", folder, task, out] => work::work(Path::new(folder), task, Path::new(out)),
        _ => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

/// Which device it is.
fn device() -> Result<(), Box<dyn std::error::Error>> {
    let gpu = pollster::block_on(Gpu::new(&Choice::Auto, None))?;
    println!("{}, {} {}", gpu.info.title(), gpu.info.driver, gpu.info.driver_info);
    Ok(())
}
