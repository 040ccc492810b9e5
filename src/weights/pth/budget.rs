//! How much a file may become: asked before anything is allocated.

/// What a small file may become in any case.
const FLOOR: u64 = 64 << 20;

/// Bytes that are left to be made of a file.
#[derive(Clone, Debug)]
pub struct Budget {
    limit: u64,
    file: u64,
    used: u64,
}

impl Budget {
    /// For a file of that many bytes: four times that and at least 64 MiB, unless something else was asked for.
    pub fn new(file: usize, asked: Option<u64>) -> Budget {
        let file = file as u64;
        Budget { limit: asked.unwrap_or_else(|| FLOOR.max(file.saturating_mul(4))), file, used: 0 }
    }

    /// Takes bytes for `what`, or says that there are no more.
    pub fn take(&mut self, bytes: u64, what: &str) -> Result<(), String> {
        self.used = self.used.saturating_add(bytes);
        if self.used <= self.limit {
            return Ok(());
        }
        Err(format!(
            "with {what} it takes {} bytes, more than the {} that a file of {} bytes may become; --limit-ram of `lupe weights convert` allows more",
            self.used, self.limit, self.file
        ))
    }
}
