//! Flags of every command, and how sizes are written.

use clap::Args;

/// Flags of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// Adapter: auto, its number in `lupe devices`, or part of its name
    #[arg(short, long, global = true, default_value = "auto", value_name = "auto|INDEX|NAME")]
    pub device: String,
    /// Print results as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Print results and errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Print more about what happens; twice for details
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Use the default kernels, whatever `lupe tune` chose
    #[arg(long, global = true)]
    pub deterministic: bool,
    /// Maximum device memory to use, e.g. 512M or 2G
    #[arg(long, global = true, value_name = "SIZE", value_parser = bytes)]
    pub limit_memory: Option<u64>,
    /// Keep the software driver's own vector width (as LUPE_NO_REEXEC does); does not affect results
    #[arg(long, global = true)]
    pub no_reexec: bool,
}

/// `512M`, `2G`, `1000000`.
pub fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.strip_prefix(digits).map(str::to_ascii_uppercase).as_deref() {
        Some("" | "B") => 1u64,
        Some("K" | "KB" | "KIB") => 1 << 10,
        Some("M" | "MB" | "MIB") => 1 << 20,
        Some("G" | "GB" | "GIB") => 1 << 30,
        _ => return Err("expected a number with K, M or G, as in 512M".into()),
    };
    let number: u64 = digits.parse().map_err(|_| "expected a number with K, M or G, as in 512M".to_string())?;
    number.checked_mul(unit).ok_or("the number is too large".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(bytes("8M"), Ok(8 << 20));
        assert_eq!(bytes("2gib"), Ok(2 << 30));
        assert_eq!(bytes("100"), Ok(100));
        for bad in ["", "M", "8X", "-1M", "99999999999G"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }
}
