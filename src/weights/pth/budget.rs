//! How much memory a file may expand to: checked before anything is allocated.

/// What even a small file may expand to.
const FLOOR: u64 = 64 << 20;

/// Bytes that a file may still expand to.
#[derive(Clone, Debug)]
pub struct Budget {
    limit: u64,
    file: u64,
    used: u64,
}

impl Budget {
    /// For a file of that many bytes: four times that and at least 64 MiB, unless another limit was given.
    pub fn new(file: usize, asked: Option<u64>) -> Budget {
        let file = file as u64;
        Budget { limit: asked.unwrap_or_else(|| FLOOR.max(file.saturating_mul(4))), file, used: 0 }
    }

    /// Takes bytes for `what`, or reports that none are left.
    pub fn take(&mut self, bytes: u64, what: &str) -> Result<(), String> {
        self.used = self.used.saturating_add(bytes);
        if self.used <= self.limit {
            return Ok(());
        }
        Err(format!(
            "with {what} it takes {} bytes, more than the {} that a file of {} bytes may expand to; raise --limit-ram of `lupe weights convert`",
            self.used, self.limit, self.file
        ))
    }
}
