//! What the workers share: FOLDER TASK OUT, and the protocol, which is Lupe's own worker's.

#[path = "../../serve.rs"]
mod serve;

pub use serve::Result;
use serve::{serve, timed};
use std::path::PathBuf;

/// Threads of every system.
pub const THREADS: usize = 2;

/// What is to be run: a model, its input `[n, c, h, w]`, and where the first result goes.
pub struct Task {
    pub model: PathBuf,
    pub shape: [usize; 4],
    pub x: Vec<f32>,
    out: PathBuf,
}

impl Task {
    /// From the command line.
    pub fn new() -> Result<Task> {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let [folder, name, out] = &args[..] else { return Err("FOLDER TASK OUT are wanted".into()) };
        let path = |extension: &str| PathBuf::from(folder).join(format!("{name}.{extension}"));
        let facts: serde_json::Value = serde_json::from_slice(&std::fs::read(path("json"))?)?;
        let [n, h, w, c] = [0, 1, 2, 3].map(|i| facts["input"][i].as_u64().unwrap_or(0) as usize);
        let bytes = std::fs::read(path("f32"))?;
        let given: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let at = |i: usize| [i / (c * h * w), i / (h * w) % c, i / w % h, i % w];
        let place = |[b, k, y, x]: [usize; 4]| ((b * h + y) * w + x) * c + k;
        let x = (0..n * c * h * w).map(|i| given[place(at(i))]).collect();
        Ok(Task { model: path("onnx"), shape: [n, c, h, w], x, out: out.into() })
    }

    /// Runs once for the file, then as often as is asked; `run` gives all outputs, one after the other.
    pub fn serve(&self, mut run: impl FnMut() -> Result<Vec<f32>>) -> Result<()> {
        let first = run()?;
        serve(&self.out, &first, || timed(&mut run))
    }
}
