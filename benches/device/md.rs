//! Markdown: tables and numbers.

use serde_json::Value;

/// What a part has to say.
#[derive(Default)]
pub struct Page {
    /// Rows of the table at the head of the report: name and finding.
    pub head: Vec<[String; 2]>,
    /// The part's own section, without its title.
    pub body: String,
}

impl Page {
    /// With one more row at the head.
    pub fn head(mut self, name: impl Into<String>, finding: impl Into<String>) -> Page {
        self.head.push([name.into(), finding.into()]);
        self
    }

    /// With a line each for what failed, and one for what there was no time for.
    pub fn gaps(self, data: &Value) -> Page {
        let of = |key: &str| -> Vec<&str> { list(data, key).iter().filter_map(Value::as_str).collect() };
        let failed: String = of("/failed").iter().map(|f| format!("- failed: {f}\n")).collect();
        let left = of("/left").join("; ");
        self.and(failed).and(if left.is_empty() { left } else { format!("Left out for lack of time: {left}.") })
    }

    /// With one more paragraph, list or table.
    pub fn and(mut self, text: impl AsRef<str>) -> Page {
        if !text.as_ref().is_empty() {
            self.body += text.as_ref().trim_end();
            self.body += "\n\n";
        }
        self
    }
}

/// A table; nothing without rows.
pub fn table<R: AsRef<[String]>>(columns: &[&str], rows: &[R]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let line = |cells: &mut dyn Iterator<Item = String>| format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "));
    let mut text = line(&mut columns.iter().map(|c| c.to_string()));
    text += &line(&mut columns.iter().map(|_| "---".into()));
    for row in rows {
        text += &line(&mut row.as_ref().iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")));
    }
    text
}

/// What stands at `path`, as text; `–` where there is nothing.
pub fn text(value: &Value, path: &str) -> String {
    match value.pointer(path) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => "–".into(),
        Some(other) => other.to_string(),
    }
}

/// The number at `path`.
pub fn number(value: &Value, path: &str) -> Option<f64> {
    value.pointer(path).and_then(Value::as_f64)
}

/// The number at `path` with three digits that count.
pub fn short(value: &Value, path: &str) -> String {
    number(value, path).map_or("–".into(), digits)
}

/// With three digits that count.
pub fn digits(v: f64) -> String {
    match v.abs() {
        a if a >= 100.0 => format!("{v:.0}"),
        a if a >= 10.0 => format!("{v:.1}"),
        a if a >= 1.0 => format!("{v:.2}"),
        a if a >= 0.01 => format!("{v:.3}"),
        0.0 => "0".into(),
        _ => format!("{v:.1e}"),
    }
}

/// The list at `path`.
pub fn list<'v>(value: &'v Value, path: &str) -> &'v [Value] {
    value.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A text as a block that stands as it is.
pub fn block(text: &str) -> String {
    if text.trim().is_empty() { String::new() } else { format!("```\n{}\n```", text.trim_end()) }
}
