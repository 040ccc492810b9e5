//! A table: once put together, the same in Markdown and on the page.

use super::text;
use maud::{Markup, html};

/// A cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// What it says.
    pub text: String,
    /// The number that it is, by which a column is sorted.
    pub value: Option<f64>,
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// What is to be known to read it; may be empty.
    pub note: String,
    /// Heads of columns.
    pub heads: Vec<String>,
    /// Rows of as many cells; the first names the row.
    pub rows: Vec<Vec<Entry>>,
}

impl Entry {
    /// Words.
    pub fn words(text: impl Into<String>) -> Entry {
        Entry { text: text.into(), value: None }
    }

    /// A whole number.
    pub fn number(value: usize) -> Entry {
        Entry { text: value.to_string(), value: Some(value as f64) }
    }

    /// A number, shown as `text`.
    pub fn value(value: f64, text: String) -> Entry {
        Entry { text, value: Some(value) }
    }

    /// Nothing.
    pub fn none() -> Entry {
        Entry { text: "–".into(), value: None }
    }
}

impl Table {
    /// Without columns that say nothing in any row; the first one stays.
    pub fn filled(mut self) -> Table {
        let says = |i: usize| self.rows.iter().any(|r| r.get(i).is_some_and(|e| !matches!(e.text.as_str(), "" | "–")));
        let keep: Vec<bool> = (0..self.heads.len()).map(|i| i == 0 || says(i)).collect();
        fn kept<T>(list: &mut Vec<T>, keep: &[bool]) {
            let mut flags = keep.iter().copied();
            list.retain(|_| flags.next().unwrap_or(true));
        }
        kept(&mut self.heads, &keep);
        self.rows.iter_mut().for_each(|row| kept(row, &keep));
        self
    }

    /// Whether a column is numbers, as far as it says anything.
    fn numeric(&self, column: usize) -> bool {
        self.rows.iter().any(|r| r.get(column).is_some_and(|e| e.value.is_some()))
    }

    /// In Markdown, without its title.
    pub fn markdown(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let rule = (0..self.heads.len()).map(|i| if self.numeric(i) { "---:" } else { "---" }.to_string());
        let mut out = if self.note.is_empty() { String::new() } else { text::markdown(&self.note) + "\n\n" };
        out += &line(self.heads.iter().map(|h| text::markdown(h)).collect());
        out += &line(rule.collect());
        for row in &self.rows {
            out += &line(row.iter().map(|e| text::markdown(&e.text)).collect());
        }
        out
    }

    /// On the page: within something that scrolls sideways by itself and can be reached by keyboard.
    pub fn page(&self) -> Markup {
        let class = |i: usize| if self.numeric(i) { "n" } else { "t" };
        // What is short stays on one line, and the table scrolls.
        let cell = |i: usize, e: &Entry| class(i).to_string() + if e.text.chars().count() <= 40 { " s" } else { "" };
        html! {
            @if !self.rows.is_empty() {
                div .wide tabindex="0" role="region" aria-label=(text::shown(&self.title)) {
                    table {
                        caption {
                            b { (text::shown(&self.title)) }
                            @if !self.note.is_empty() { " " span { (text::shown(&self.note)) } }
                        }
                        thead { tr {
                            @for (i, head) in self.heads.iter().enumerate() {
                                th scope="col" class=(class(i)) { (text::shown(head)) }
                            }
                        } }
                        tbody {
                            @for row in &self.rows { tr {
                                @for (i, entry) in row.iter().enumerate() {
                                    @if i == 0 {
                                        th scope="row" class=(cell(i, entry)) data-v=[entry.value] { (text::shown(&entry.text)) }
                                    } @else {
                                        td class=(cell(i, entry)) data-v=[entry.value] { (text::shown(&entry.text)) }
                                    }
                                }
                            } }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_nothing_is_left_out_and_what_says_something_stays_text() {
        let row = |name: &str, v: f64| vec![Entry::words(name), Entry::none(), Entry::value(v, format!("{v:.1}"))];
        let heads = ["name", "empty", "n"].map(String::from).to_vec();
        let rows = vec![row("a|b", 1.0), row("<i>", 2.0)];
        let table = Table { title: "t".into(), note: String::new(), heads, rows }.filled();
        assert_eq!(table.markdown(), "| name | n |\n| --- | ---: |\n| a\\|b | 1.0 |\n| &lt;i&gt; | 2.0 |\n");
        let page = table.page().into_string();
        assert!(
            page.contains("<th scope=\"row\" class=\"t s\">&lt;i&gt;</th><td class=\"n s\" data-v=\"2\">2.0</td>"),
            "{page}"
        );
    }
}
