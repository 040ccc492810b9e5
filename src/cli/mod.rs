//! The command line: one file per command.

mod args;
mod background;
mod bench;
mod catalog;
mod demo;
mod devices;
mod embed;
mod env;
mod help;
mod inspect;
mod network;
mod output;
mod patchcore;
mod plan;
mod profile;
mod progress;
mod session;
mod shaders;
mod subject;
mod tune;
mod tuning;
mod verify;
mod weights;
mod width;

pub use help::install_panic_hook;

use crate::error::Result;
use args::{Cli, Command};
use clap::Parser;
use session::Session;

/// Parses the arguments, runs the command and returns the exit code.
pub fn main() -> u8 {
    env::prepare();
    install_panic_hook();
    output::keep_running_at_file_size_limit();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version go to stdout with code 0, anything else to stderr with code 2; a closed pipe changes neither.
            let code = if e.use_stderr() { 2 } else { 0 };
            return e.print().map_or(code, |()| code);
        }
    };
    session::install_logger(cli.global.quiet, cli.global.verbose);
    match run(&cli) {
        Ok(()) => 0,
        Err(e) => {
            output::note(&format!("lupe: {e}"));
            e.exit_code()
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let session = Session::new(&cli.global)?;
    width::settle(&session, &cli.command);
    if cli.command.needs_device() {
        output::make_cache();
    }
    match &cli.command {
        Command::Devices(args) => devices::run(&session, args),
        Command::Embed(args) => embed::run(&session, args),
        Command::Patchcore(args) => patchcore::run(&session, args),
        Command::Weights(args) => weights::run(&session, args),
        Command::Profile(args) => profile::run(&session, args),
        Command::Bench(args) => bench::run(&session, args),
        Command::Tune(args) => tune::run(&session, args),
        Command::Plan(args) => plan::run(&session, args),
        Command::Verify(args) => verify::run(&session, args),
        Command::Shaders(args) => shaders::run(&session, args),
        Command::Demo { output } => demo::run(&session, output),
        Command::Help { topic } => help::run(topic),
    }
}
