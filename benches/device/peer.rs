//! PyTorch as a resident process (`torch_peer.py`): a line of JSON is asked, a line of JSON is the answer.

use super::context::Context;
use lupe::{Error, Result};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The process.
pub struct Peer {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts it, and gives back what it is; without Python nothing, and why.
    pub fn start(context: &Context) -> Result<std::result::Result<(Peer, Value), String>> {
        context.begin("python3 torch_peer.py");
        let mut command = Command::new("python3");
        command.arg(context.kit.join("torch_peer.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(e) => return Ok(Err(format!("python3 cannot be started: {e}"))),
        };
        let lost = || Error::Input("torch_peer.py cannot be spoken with".into());
        let (stdin, stdout) = (child.stdin.take().ok_or_else(lost)?, child.stdout.take().ok_or_else(lost)?);
        let mut peer = Peer { child, stdin, stdout: BufReader::new(stdout) };
        let first = peer.answer()?;
        match first["missing"].as_str() {
            Some(why) => Ok(Err(why.to_string())),
            None => Ok(Ok((peer, first))),
        }
    }

    /// The answer to a question.
    pub fn ask(&mut self, question: &Value) -> Result<Value> {
        writeln!(self.stdin, "{question}").map_err(|e| Error::Input(format!("torch_peer.py has ended: {e}")))?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.stdout.read_line(&mut line).map_err(|e| Error::Input(format!("torch_peer.py has ended: {e}")))?;
        serde_json::from_str(&line).map_err(|e| Error::Input(format!("torch_peer.py said {line:?}: {e}")))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It ends where it is anyway: nothing of it is wanted any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
