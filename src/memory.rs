//! What the system reports about memory and load.

/// Bytes of memory that are free right now, if the system reports it.
pub fn free_memory() -> Option<u64> {
    kilobytes("/proc/meminfo", "MemAvailable:")
}

/// Most bytes that the process has held so far, if the system reports it.
pub fn peak_memory() -> Option<u64> {
    kilobytes("/proc/self/status", "VmHWM:")
}

/// Bytes that the process holds now, if the system reports it.
pub fn held_memory() -> Option<u64> {
    kilobytes("/proc/self/status", "VmRSS:")
}

/// The system's load average of the last minute, if it reports one.
pub fn load_average() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// How many processors share that load, if the system reports them.
pub fn processors() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    Some(text.lines().filter(|l| l.starts_with("processor")).count()).filter(|n| *n > 0)
}

/// A line `NAME  123 kB` of a file, in bytes.
fn kilobytes(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// With `-v`, reports how much memory it took.
pub fn log_peak() {
    if let Some(bytes) = peak_memory() {
        log::info!("peak memory {:.0} MB", bytes as f64 / 1e6);
    }
}
