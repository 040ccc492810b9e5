//! Words and numbers as they are shown, and names of users' making so that no format takes them for anything but text.

use crate::methods::metrics::Spread;

/// Text without what cannot be seen or turns what is around it: control characters, and marks that change the direction of reading. XML
/// forbids most of the former, and the latter make a name look like another one.
pub fn shown(text: &str) -> String {
    let safe = |c: char| match c {
        '\t' | '\n' | '\r' => ' ',
        c if c.is_control() => '\u{fffd}',
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
        c => c,
    };
    text.chars().map(safe).collect()
}

/// At most `most` characters of it, the last one an ellipsis where some are missing.
pub fn short(text: &str, most: usize) -> String {
    let text = shown(text);
    if text.chars().count() <= most {
        return text;
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// For a cell or a line of Markdown: nothing in it is markup.
pub fn markdown(text: &str) -> String {
    let mut safe = String::new();
    for c in shown(text).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' => safe.extend(['\\', c]),
            c => safe.push(c),
        }
    }
    safe
}

/// A block of code in Markdown, its fence longer than any in the text.
pub fn fenced(text: &str) -> String {
    let text = shown(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}sh\n{text}\n{fence}\n")
}

/// For a cell of a table that a spreadsheet may open: what would be a formula there begins with an apostrophe.
pub fn cell(text: &str) -> String {
    let formula = text.trim_start().starts_with(['=', '+', '-', '@']) || text.starts_with(['\t', '\r']);
    if formula { format!("'{text}") } else { text.into() }
}

/// For the name of a file on any system: letters, digits, `-` and `_` of ASCII, 48 at most.
pub fn slug(text: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' };
    text.chars().map(safe).take(48).collect()
}

/// A share in percent, to a tenth.
pub fn percent(share: f64) -> String {
    let text = format!("{:.1}", 100.0 * share);
    if text == "-0.0" { "0.0".into() } else { text }
}

/// A mean in percent with its interval, where there is one.
pub fn spread(spread: &Spread) -> String {
    within(spread.mean, spread.interval)
}

/// A share in percent, and half the width of its interval where there is one.
pub fn within(share: f64, half: Option<f64>) -> String {
    let half = half.map(|h| format!(" ± {}", percent(h))).unwrap_or_default();
    percent(share) + &half
}

/// A difference of shares in points, with its sign.
pub fn points(spread: &Spread) -> String {
    let text = self::spread(spread);
    let sign = if text.starts_with(['-', '0']) && !text.starts_with("0.") || spread.mean <= 0.0 { "" } else { "+" };
    format!("{sign}{text}")
}

/// A p value.
pub fn p(value: f64) -> String {
    if value < 0.001 { "< 0.001".into() } else { format!("{value:.3}") }
}

/// Three digits of a number of seconds or milliseconds, which may be small or large.
pub fn digits(value: f64) -> String {
    let after = if value == 0.0 || !value.is_finite() {
        0
    } else {
        (2.0 - value.abs().log10().floor()).clamp(0.0, 6.0) as usize
    };
    format!("{value:.after$}")
}

/// A whole number in groups of three digits.
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let space = |i: usize| i > 0 && (digits.len() - i).is_multiple_of(3) && digits.len() > 4;
    let each = digits.char_indices().flat_map(|(i, c)| [space(i).then_some('\u{202f}'), Some(c)]);
    each.flatten().collect()
}

/// `1 repeat`, `2 repeats`.
pub fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_text() {
        assert_eq!(shown("a\u{0}\u{202e}b\nc"), "a\u{fffd}\u{fffd}b c");
        assert_eq!(short("abcdef", 4), "abc…");
        assert_eq!(markdown("<b>|*x*|"), "&lt;b&gt;\\|\\*x\\*\\|");
        assert_eq!(fenced("a ``` b"), "````sh\na ``` b\n````\n");
        for (name, safe) in [("=1+1", "'=1+1"), (" @x", "' @x"), ("-x", "'-x"), ("a=1", "a=1"), ("\tx", "'\tx")] {
            assert_eq!(cell(name), safe);
        }
        assert_eq!(slug("../<b>&é-1"), "____b___-1");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!((percent(0.8125), percent(-0.0001)), ("81.2".into(), "0.0".into()));
        let spread = |mean, interval| Spread { count: 2, mean, deviation: None, interval };
        assert_eq!(points(&spread(0.013, Some(0.004))), "+1.3 ± 0.4");
        assert_eq!(points(&spread(-0.061, None)), "-6.1");
        assert_eq!(points(&spread(0.0, None)), "0.0");
        assert_eq!(
            (digits(0.01234), digits(12.34), digits(1234.5), digits(0.0)),
            ("0.0123".into(), "12.3".into(), "1234".into(), "0".into())
        );
        assert_eq!((thousands(1234), thousands(1234567)), ("1234".into(), "1\u{202f}234\u{202f}567".into()));
        assert_eq!((count(1, "draw"), count(3, "draw")), ("1 draw".into(), "3 draws".into()));
    }
}
