//! The command line: one file per command, which parses and prints; the work itself is done in the library.

mod args;
mod bench;
mod child;
mod classify;
mod data;
mod demo;
mod devices;
mod distill;
mod embed;
mod env;
mod episodes;
mod eval;
mod experiment;
mod fit;
mod global;
mod help;
mod import;
mod limit;
mod output;
mod plan;
mod predict;
mod profile;
mod progress;
mod renamed;
mod session;
mod shaders;
mod subject;
mod tune;
mod verify;
mod weights;
mod width;
mod working;

pub use help::install_panic_hook;

use crate::error::{Error, Result};
use crate::methods::Methods;
use args::{Cli, Command};
use clap::{CommandFactory, FromArgMatches, Parser};
use session::Session;
use std::ffi::{OsStr, OsString};

/// Parses the program's arguments, runs the command and returns the exit code.
pub fn main() -> u8 {
    env::prepare();
    install_panic_hook();
    output::keep_running_at_file_size_limit();
    line(&Methods::default(), std::env::args_os(), true)
}

/// Parses `words`, the program's name first, runs the command and returns the exit code. Fitted models are opened by `methods`: a program
/// that brings a method of its own has all commands for it.
pub fn run(methods: &Methods, words: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> u8 {
    line(methods, words, false)
}

/// `own` says whether the process runs this command line only: then it may be started again.
fn line(methods: &Methods, words: impl IntoIterator<Item = impl Into<OsString> + Clone>, own: bool) -> u8 {
    let cli = match parsed(words) {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version go to stdout with code 0, anything else to stderr with code 2; a closed pipe changes neither.
            let code = if e.use_stderr() { 2 } else { 0 };
            return match e.print() {
                Err(e) if code == 0 && e.kind() != std::io::ErrorKind::BrokenPipe => {
                    output::note(&format!("lupe: cannot write to stdout: {e}"));
                    10
                }
                _ => code,
            };
        }
    };
    session::install_logger(cli.global.quiet, cli.global.verbose);
    match started(methods, &cli, own) {
        Ok(()) => 0,
        Err(e) => {
            output::note(&format!("lupe: {e}"));
            e.exit_code()
        }
    }
}

/// What the words say; a list option that names a value twice is refused, whatever the command.
fn parsed(words: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> std::result::Result<Cli, clap::Error> {
    let mut command = args::with_negative_numbers(Cli::command());
    let matches = command.try_get_matches_from_mut(words)?;
    match args::repeated(&command, &matches) {
        Some(what) => Err(command.error(clap::error::ErrorKind::ValueValidation, what)),
        None => Cli::from_arg_matches(&matches),
    }
}

fn started(methods: &Methods, cli: &Cli, own: bool) -> Result<()> {
    let session = Session::new(&cli.global, methods)?;
    let done = prepared(&session, cli, own).and_then(|()| command(&session, &cli.command));
    session.outputs.tidy();
    done.map_err(|e| session.explained(e, cli.command.several_pictures()))
}

fn prepared(session: &Session, cli: &Cli, own: bool) -> Result<()> {
    if cli.command.looks_for_devices() {
        env::check_backends()?;
    }
    if cli.command.needs_device() {
        if own {
            width::settle(session);
        }
        output::make_cache();
    }
    Ok(())
}

fn command(session: &Session, command: &Command) -> Result<()> {
    match command {
        Command::Fit(args) => fit::run(session, args),
        Command::Predict(args) => predict::run(session, args),
        Command::Eval(args) => eval::run(session, args),
        Command::Import(args) => import::run(session, args),
        Command::Limit(args) => limit::run(session, args),
        Command::Embed(args) => embed::run(session, args),
        Command::Classify(args) => classify::run(session, args),
        Command::Distill(args) => distill::run(session, args),
        Command::Episodes(args) => episodes::run(session, args),
        Command::Data(args) => data::run(session, args),
        Command::Experiment(args) => experiment::run(session, args),
        Command::Demo(args) => demo::run(session, args, &|words| typed(session, words)),
        Command::Weights(args) => weights::run(session, args),
        Command::Devices(args) => devices::run(session, args),
        Command::Profile(args) => profile::run(session, args),
        Command::Bench(args) => bench::run(session, args),
        Command::Tune(args) => tune::run(session, args),
        Command::Plan(args) => plan::run(session, args),
        Command::Verify(args) => verify::run(session, args),
        Command::Shaders(args) => shaders::run(session, args),
        Command::Help(args) => help::run::<Cli>(args),
        Command::Patchcore(args) => renamed::run(args),
    }
}

/// Runs a command, given the words that follow `lupe`, as if they had been typed, in the session of another one.
fn typed(session: &Session, words: &[&OsStr]) -> Result<()> {
    let line = std::iter::once(OsStr::new("lupe")).chain(words.iter().copied());
    let cli = Cli::try_parse_from(line).map_err(|e| Error::Usage(e.to_string()))?;
    command(session, &cli.command)
}
