//! Help topics, and what is printed when the program panics.

use super::output;
use crate::error::{EXIT_CODES, Error, Result};
use clap::CommandFactory;
use std::backtrace::Backtrace;

/// What `lupe help` accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A command, or `exit-codes`
    topic: Vec<String>,
}

/// `lupe help [COMMAND...|exit-codes]` of the program `P`.
pub fn run<P: CommandFactory>(args: &Args) -> Result<()> {
    let topic = &args.topic;
    if *topic == ["exit-codes"] {
        let lines: Vec<String> = EXIT_CODES.iter().map(|(code, what)| format!("{code:>4}  {what}")).collect();
        return output::print(&lines.join("\n"));
    }
    let mut command = P::command();
    command.build();
    let mut found = &mut command;
    for name in topic {
        let unknown = || Error::Usage(format!("unknown topic `{name}`; try `lupe help` or `lupe help exit-codes`"));
        found = found.find_subcommand_mut(name).ok_or_else(unknown)?;
    }
    let text = found.render_long_help().to_string();
    output::print(text.trim_end())
}

/// A panic is a bug in Lupe: says what to report, and ends with code 70.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(|info| {
        output::note(&report(&info.to_string(), &Backtrace::force_capture().to_string()));
        std::process::exit(70);
    }));
}

fn report(what: &str, trace: &str) -> String {
    let command: Vec<String> = std::env::args().collect();
    format!(
        "lupe: internal error. This is a bug in Lupe; no input should cause it. Please report everything below.\n\
         version {} on {} {}\ncommand {}\n{what}\n{trace}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
        command.join(" ")
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_bug_report_has_what_is_needed() {
        let text = super::report("panicked at src/x.rs:1:2", "0: main");
        for want in ["bug", "report", env!("CARGO_PKG_VERSION"), "src/x.rs:1:2", "0: main", "command "] {
            assert!(text.contains(want), "{want} is not in {text}");
        }
    }
}
