//! What the report accepts.

use super::parts;
use clap::{Parser, ValueEnum};
use lupe::{Error, Result};
use std::path::{Path, PathBuf};

/// Measures what matters on a GPU and writes report.json, report.md and report.tar.gz.
#[derive(Clone, Debug, Parser)]
#[command(name = "device", after_help = parts::help())]
pub struct Args {
    /// Adapter: its number in `lupe devices`, or part of its name [default: the best that is no processor]
    #[arg(short, long, value_name = "INDEX|NAME")]
    pub device: Option<String>,
    /// Folder for the report, new or empty
    #[arg(short, long, default_value = "lupe-report", value_name = "DIR")]
    pub output: PathBuf,
    /// Only these parts, with commas between
    #[arg(long, value_delimiter = ',', value_name = "PART,...")]
    pub parts: Vec<String>,
    /// Minutes that all of it may take; the limits of the parts follow
    #[arg(long, default_value_t = parts::MINUTES, value_name = "N", value_parser = minutes)]
    pub minutes: f64,
    /// How much is measured [default: full; on a processor small]
    #[arg(long, value_enum)]
    pub amount: Option<Amount>,
    /// Folder with golden.json, golden.lupe and torch_peer.py [default: the program's own]
    #[arg(long, value_name = "DIR")]
    pub kit: Option<PathBuf>,
    /// The binary to measure [default: `lupe` in the program's folder]
    #[arg(long, value_name = "FILE")]
    pub lupe: Option<PathBuf>,
    /// Makes golden.json and golden.lupe in this folder on the device -d, for a kit
    #[arg(long, value_name = "DIR")]
    pub golden: Option<PathBuf>,
    /// One part in this very process, for the one that started it
    #[arg(long, hide = true, value_name = "PART")]
    pub part: Option<String>,
    /// Seconds that the part has, by the same
    #[arg(long, hide = true, value_name = "N", default_value_t = f64::INFINITY)]
    pub seconds: f64,
    /// For tests: this part hangs, or where it comes to what has this in its name
    #[arg(long, hide = true, value_name = "PART[:TEXT]")]
    pub hang: Option<String>,
    /// For tests: the same, but it crashes
    #[arg(long, hide = true, value_name = "PART[:TEXT]")]
    pub crash: Option<String>,
    /// Given by cargo
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Amount {
    /// A few small things, to try the report itself
    Tiny,
    /// No large batch, no large bank: for a device that is a processor
    Small,
    /// All
    Full,
}

impl Amount {
    /// As it is written on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Amount::Tiny => "tiny",
            Amount::Small => "small",
            Amount::Full => "full",
        }
    }
}

impl Args {
    /// The folder that the program lies in.
    fn own(&self) -> Result<PathBuf> {
        let at =
            std::env::current_exe().map_err(|e| Error::Input(format!("the program's folder is not known: {e}")))?;
        Ok(at.parent().unwrap_or(Path::new(".")).to_path_buf())
    }

    /// The folder with what travels beside the binaries.
    pub fn kit(&self) -> Result<PathBuf> {
        self.kit.clone().map_or_else(|| self.own(), Ok)
    }

    /// The binary to measure.
    pub fn lupe(&self) -> Result<PathBuf> {
        let beside = |folder: PathBuf| folder.join(format!("lupe{}", std::env::consts::EXE_SUFFIX));
        let path = self.lupe.clone().map_or_else(|| self.own().map(beside), Ok)?;
        match path.canonicalize() {
            Ok(path) => Ok(path),
            Err(e) => Err(Error::Input(format!("{}: {e}; name the binary with --lupe", path.display()))),
        }
    }

    /// The parts that are wanted, in their order.
    pub fn wanted(&self) -> Result<Vec<&'static parts::Part>> {
        let known = |name: &String| parts::ALL.iter().any(|p| p.name == name);
        if let Some(name) = self.parts.iter().find(|name| !known(name)) {
            let names: Vec<&str> = parts::ALL.iter().map(|p| p.name).collect();
            return Err(Error::Usage(format!("--parts: there is no part {name}; there are {}", names.join(", "))));
        }
        let wanted = |p: &&parts::Part| self.parts.is_empty() || self.parts.iter().any(|name| name == p.name);
        Ok(parts::ALL.iter().filter(wanted).collect())
    }
}

fn minutes(text: &str) -> std::result::Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|v| v.is_finite() && *v > 0.0);
    value.ok_or("a number of minutes above 0 is wanted".into())
}
