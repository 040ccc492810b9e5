//! What a compiler may refuse, and why. An entry that no longer fails must go.

use super::units::Unit;

/// A candidate that a tool refuses for a reason that is known.
pub struct Exception {
    /// The op's file.
    pub op: &'static str,
    /// Part of the candidate's label.
    pub candidate: &'static str,
    /// The tool.
    pub tool: &'static str,
    /// Why it is no fault of ours, or why it does no harm.
    pub reason: &'static str,
}

/// The one table of exceptions.
pub const EXCEPTIONS: &[Exception] = &[];

impl Exception {
    fn covers(&self, tool: &str, unit: &Unit) -> bool {
        self.tool == tool && self.op == unit.op && unit.label.contains(self.candidate)
    }
}

/// Failures of `tool` that no exception covers, and exceptions that cover none. `failures` has an entry for every unit.
pub fn verdict(table: &[Exception], tool: &str, units: &[&Unit], failures: &[Option<String>]) -> Vec<String> {
    let failed = || units.iter().zip(failures).filter_map(|(u, f)| f.as_ref().map(|f| (*u, f)));
    let open = failed().filter(|(u, _)| !table.iter().any(|e| e.covers(tool, u)));
    let mut out: Vec<String> = open.map(|(u, f)| format!("{tool} refuses {}: {}\n{f}", u.op, u.label)).collect();
    for e in table.iter().filter(|e| e.tool == tool) {
        if !failed().any(|(u, _)| e.covers(tool, u)) {
            out.push(format!("{tool} no longer refuses {} {}: delete its exception ({})", e.op, e.candidate, e.reason));
        }
    }
    out
}
