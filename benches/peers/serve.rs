//! How a resident worker answers; `peers::work` and the workers of `rs` speak by it alike.

use std::error::Error;
use std::io::{BufRead, Write};

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Writes the first result to `out` and says `READY`; then answers a line `run K` with `LAT` and what `time` says K times, in ms.
pub fn serve(out: &std::path::Path, first: &[f32], mut time: impl FnMut() -> Result<f64>) -> Result<()> {
    std::fs::write(out, first.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())?;
    let say = |text: &str| -> Result<()> {
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{text}")?;
        Ok(stdout.flush()?)
    };
    say("READY")?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let Some(count) = line.strip_prefix("run ") else { break };
        let times = (0..count.trim().parse()?).map(|_| time()).collect::<Result<Vec<f64>>>()?;
        say(&times.iter().fold("LAT".to_string(), |text, ms| format!("{text} {ms:.4}")))?;
    }
    Ok(())
}

/// Milliseconds of one run.
pub fn timed<T>(run: impl FnOnce() -> Result<T>) -> Result<f64> {
    let start = std::time::Instant::now();
    std::hint::black_box(run()?);
    Ok(start.elapsed().as_secs_f64() * 1e3)
}
