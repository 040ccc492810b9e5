//! Composes a shader: constants overwritten, snippets appended, marked loops written out. Every file stays plain WGSL.
//!
//! Three directives, one line each: `#import name` appends `shaders/lib/name.wgsl` at the end (so line numbers of the file hold
//! in error messages until a loop is written out); a line `const NAME: … = …;` or `alias NAME = …;` may get a new right side;
//! `// unroll` at the end of a `for` line with constant bounds replaces the loop by copies of its body.

use std::collections::BTreeMap;

macro_rules! snippets {
    ($($name:literal),* $(,)?) => {
        /// Names and texts of `shaders/lib`.
        pub const SNIPPETS: &[(&str, &str)] = &[$(
            ($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/lib/", $name, ".wgsl")))
        ),*];
    };
}

snippets![
    "activation",
    "activation_gelu",
    "activation_quick_gelu",
    "after",
    "after_none",
    "apart",
    "apply_four",
    "apply_one",
    "attention_tile",
    "best",
    "better",
    "bias",
    "bias_none",
    "blocks",
    "cells_buffer",
    "cells_image",
    "channels_four",
    "channels_three",
    "divide",
    "down",
    "down_alone",
    "dy_buffer",
    "dy_image",
    "earlier",
    "earlier_none",
    "eight",
    "finish_four",
    "finish_one",
    "four",
    "four_products",
    "four_scalars",
    "gradient_four",
    "gradient_one",
    "grid",
    "heads_four",
    "heads_one",
    "joined",
    "joined_slope",
    "label",
    "later_pixel",
    "maximum",
    "nearest",
    "nonfinite",
    "numbers",
    "numbers_four",
    "parts",
    "pixel",
    "pixel_products",
    "power",
    "quad_in_four",
    "quad_in_one",
    "quad_out_four",
    "quad_out_one",
    "reaches",
    "reduce",
    "reduce_alone",
    "residual",
    "residual4",
    "residual4_none",
    "residual_buffer",
    "residual_image",
    "residual_image_none",
    "residual_none",
    "row_products",
    "rows_buffer",
    "rows_image",
    "second_column",
    "second_none",
    "second_one",
    "second_row",
    "second_same",
    "skip",
    "skip_none",
    "slope",
    "slope_four",
    "slope_gelu",
    "slope_one",
    "slope_quick_gelu",
    "source_buffer",
    "source_image",
    "spread",
    "spread_loads",
    "straight",
    "taps_apart",
    "taps_packed",
    "target_buffer",
    "target_image",
    "tile",
    "turned",
    "windows",
];

type Text = std::result::Result<String, String>;

/// The WGSL of `source` with constants overwritten (`set`) and snippets swapped (`imports`), or what is wrong.
pub fn compose(source: &str, set: &[(&str, String)], imports: &[(&str, &str)]) -> Text {
    let mut text = import(source, imports)?;
    for (name, value) in set {
        text = overwrite(&text, name, value)?;
    }
    unroll(text)
}

fn import(source: &str, swaps: &[(&str, &str)]) -> Text {
    let (mut text, mut wanted) = (String::new(), vec![]);
    blank_imports(source, &mut text, &mut wanted);
    let mut unused: Vec<&str> = swaps.iter().map(|s| s.0).collect();
    let mut done = 0;
    while done < wanted.len() {
        let asked = wanted[done].clone();
        let name = swaps.iter().find(|s| s.0 == asked).map_or(asked.as_str(), |s| s.1);
        unused.retain(|u| *u != asked);
        let snippet = SNIPPETS.iter().find(|s| s.0 == name).ok_or(format!("no snippet named {name}"))?;
        blank_imports(snippet.1, &mut text, &mut wanted);
        done += 1;
    }
    if unused.is_empty() { Ok(text) } else { Err(format!("it does not import {}", unused.join(", "))) }
}

fn blank_imports(source: &str, text: &mut String, wanted: &mut Vec<String>) {
    for line in source.lines() {
        match line.strip_prefix("#import ") {
            Some(name) if !wanted.iter().any(|w| w == name.trim()) => wanted.push(name.trim().to_string()),
            Some(_) => {}
            None => text.push_str(line),
        }
        text.push('\n');
    }
}

fn overwrite(text: &str, name: &str, value: &str) -> Text {
    let (constant, alias) = (format!("const {name}:"), format!("alias {name} "));
    let (mut out, mut hits) = (String::new(), 0);
    for line in text.lines() {
        if line.starts_with(&constant) || line.starts_with(&alias) {
            let left = line.split('=').next().unwrap_or(line).trim_end();
            out += &format!("{left} = {value};\n");
            hits += 1;
        } else {
            out += line;
            out.push('\n');
        }
    }
    if hits == 1 { Ok(out) } else { Err(format!("const {name} is declared {hits} times; it must be once")) }
}

const MARK: &str = "// unroll";

fn unroll(mut text: String) -> Text {
    let constants = constants(&text);
    while let Some(mark) = text.find(MARK) {
        let start = text[..mark].rfind('\n').map_or(0, |i| i + 1);
        let header = &text[start..mark];
        let open = start + header.find('{').ok_or(format!("no loop on the line: {header}"))?;
        let loop_ = Loop::parse(&text[start..open], &constants)?;
        let clean = format!("{}{}", &text[..mark].trim_end_matches(' '), &text[mark + MARK.len()..]);
        let close = open + closing(&clean[open..]).ok_or(format!("no end of the loop: {header}"))?;
        let body = &clean[open..=close];
        let mut out = clean[..start].to_string();
        for i in loop_.values() {
            out += &replace_word(body, &loop_.counter, &format!("{i}u"));
            out.push('\n');
        }
        out += &clean[close + 1..];
        text = out;
    }
    Ok(fold(&text, &constants))
}

/// `text` with what stands in brackets, or in parentheses of its own, as a number where it is a constant expression: naga's front end
/// takes time with the square of the expressions of a function.
fn fold(text: &str, constants: &BTreeMap<String, u64>) -> String {
    let (mut out, mut open) = (String::with_capacity(text.len()), vec![]);
    for c in text.chars() {
        match c {
            '(' | '[' => open.push(out.len()),
            ')' | ']' => {
                let value = open.pop().and_then(|at| Some((at, evaluate(&out[at + 1..], constants).ok()?)));
                match value {
                    Some((at, value)) if c == ']' => out.replace_range(at + 1.., &format!("{value}u")),
                    Some((at, value)) if !out[..at].ends_with(in_name) => {
                        out.replace_range(at.., &format!("{value}u"));
                        continue;
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        out.push(c);
    }
    out
}

/// Whether it may stand in a name.
fn in_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

struct Loop {
    counter: String,
    from: u64,
    to: u64,
    step: u64,
}

impl Loop {
    /// Parses `for (var i = A; i < B; i++)` or `i += C`.
    fn parse(header: &str, constants: &BTreeMap<String, u64>) -> std::result::Result<Loop, String> {
        let bad = || format!("cannot write out this loop: {}", header.trim());
        let inner = header.trim().strip_prefix("for (").and_then(|h| h.trim_end().strip_suffix(')')).ok_or_else(bad)?;
        let [init, test, next] = inner.split(';').map(str::trim).collect::<Vec<_>>().try_into().map_err(|_| bad())?;
        let (counter, from) = init.strip_prefix("var ").and_then(|i| i.split_once('=')).ok_or_else(bad)?;
        let counter = counter.trim();
        let to = test.strip_prefix(counter).and_then(|t| t.trim().strip_prefix('<')).ok_or_else(bad)?;
        let step = match next.strip_prefix(counter).map(str::trim) {
            Some("++") => 1,
            Some(s) => evaluate(s.strip_prefix("+=").ok_or_else(bad)?, constants)?,
            None => return Err(bad()),
        };
        let loop_ =
            Loop { counter: counter.into(), from: evaluate(from, constants)?, to: evaluate(to, constants)?, step };
        if loop_.values().count() > 1024 { Err(bad()) } else { Ok(loop_) }
    }

    fn values(&self) -> impl Iterator<Item = u64> {
        (self.from..self.to).step_by(self.step.max(1) as usize)
    }
}

/// Offset of the brace that closes the one `text` begins with.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    text.char_indices().find_map(|(i, c)| {
        depth += match c {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        (depth == 0).then_some(i)
    })
}

fn replace_word(text: &str, word: &str, by: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(word) {
        let (before, after) = (&rest[..at], &rest[at + word.len()..]);
        out += before;
        let inside = out.ends_with(|c| in_name(c) || c == '.') || after.starts_with(in_name);
        out += if inside { word } else { by };
        rest = after;
    }
    out + rest
}

/// The integer constants of a text, in the order they are declared.
fn constants(text: &str) -> BTreeMap<String, u64> {
    let mut known = BTreeMap::new();
    for line in text.lines().filter_map(|l| l.strip_prefix("const ")) {
        let Some((left, right)) = line.split_once('=') else { continue };
        let name = left.split(':').next().unwrap_or(left).trim();
        let right = right.split(';').next().unwrap_or(right);
        if let Ok(value) = evaluate(right, &known) {
            known.insert(name.to_string(), value);
        }
    }
    known
}

/// Value of a constant expression of unsigned integers: `+ - * / %`, parentheses, names.
fn evaluate(text: &str, known: &BTreeMap<String, u64>) -> std::result::Result<u64, String> {
    let mut rest = text.trim();
    let value = sum(&mut rest, known).ok_or(format!("not a constant expression: {}", text.trim()))?;
    if rest.is_empty() { Ok(value) } else { Err(format!("not a constant expression: {}", text.trim())) }
}

fn eat(rest: &mut &str, symbols: &[char]) -> Option<char> {
    let c = rest.chars().next().filter(|c| symbols.contains(c))?;
    *rest = rest[1..].trim_start();
    Some(c)
}

fn sum(rest: &mut &str, known: &BTreeMap<String, u64>) -> Option<u64> {
    let mut left = product(rest, known)?;
    while let Some(op) = eat(rest, &['+', '-']) {
        let right = product(rest, known)?;
        left = if op == '+' { left.checked_add(right)? } else { left.checked_sub(right)? };
    }
    Some(left)
}

fn product(rest: &mut &str, known: &BTreeMap<String, u64>) -> Option<u64> {
    let mut left = atom(rest, known)?;
    while let Some(op) = eat(rest, &['*', '/', '%']) {
        let right = atom(rest, known)?;
        left = match op {
            '*' => left.checked_mul(right)?,
            '/' => left.checked_div(right)?,
            _ => left.checked_rem(right)?,
        };
    }
    Some(left)
}

fn atom(rest: &mut &str, known: &BTreeMap<String, u64>) -> Option<u64> {
    if eat(rest, &['(']).is_some() {
        let value = sum(rest, known)?;
        return eat(rest, &[')']).map(|_| value);
    }
    let end = rest.find(|c| !in_name(c)).unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    *rest = after.trim_start();
    word.trim_end_matches('u').parse().ok().or_else(|| known.get(word).copied())
}

/// Names and types (`u32`, `f32`) of `struct Params`, in order.
pub fn params(text: &str) -> Vec<(String, String)> {
    let Some((_, rest)) = text.split_once("struct Params {") else { return vec![] };
    let body = rest.split('}').next().unwrap_or(rest);
    let code: String = body.lines().map(|l| l.split("//").next().unwrap_or(l)).collect();
    let fields = code.split(',').filter_map(|f| f.split_once(':'));
    fields.map(|(name, ty)| (name.trim().to_string(), ty.trim().to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(source: &str, set: &[(&str, String)]) -> Text {
        compose(source, set, &[])
    }

    #[test]
    fn constants_are_overwritten_once() {
        let out = text("const WG: u32 = 64u;\nalias elem = f32;\n", &[("WG", "8u".into()), ("elem", "f16".into())]);
        assert_eq!(out.unwrap(), "const WG: u32 = 8u;\nalias elem = f16;\n");
        assert!(text("const WG: u32 = 64u;\n", &[("TM", "1".into())]).unwrap_err().contains("0 times"));
    }

    #[test]
    fn loops_are_written_out_with_literals() {
        let source = "const TM: u32 = 8u;\nconst N: u32 = TM / 4u;\nfor (var r = 0u; r < N; r++) { // unroll\n  for (var j = 1u; j < 1u + 2u; j++) { acc[r][j] = p.r + rr + car; } // unroll\n}\nend\n";
        let out = text(source, &[]).unwrap();
        for want in ["acc[0u][1u] = p.r + rr + car;", "acc[0u][2u]", "acc[1u][1u]", "acc[1u][2u]", "end"] {
            assert!(out.contains(want), "{want} is not in {out}");
        }
        assert!(!out.contains("for") && !out.contains("unroll"));
        let source = "const TM: u32 = 4u;\nfor (var i = 0u; i < TM; i += 2u) { a(i); } // unroll\n";
        assert_eq!(text(source, &[("TM", "6u".into())]).unwrap().matches("a(").count(), 3);
    }

    #[test]
    fn constant_expressions_become_numbers() {
        let source = "const TM: u32 = 32u;\nlet a = w[(2u * TM / 4u + 3u) / 8u][i + 1u] + f(TM) + (x) + (TM + 1u) % 2u; // a) b (\n";
        let want = "const TM: u32 = 32u;\nlet a = w[2u][i + 1u] + f(TM) + (x) + 33u % 2u; // a) b (\n";
        assert_eq!(text(source, &[]).unwrap(), want);
    }

    #[test]
    fn what_cannot_be_written_out_is_an_error() {
        for bad in ["for (var i = 0u; i < p.n; i++) { a(); } // unroll", "while x { } // unroll", "x; // unroll"] {
            assert!(text(bad, &[]).is_err(), "{bad}");
        }
    }

    #[test]
    fn imports_are_appended_and_may_be_swapped() {
        let out = compose("#import bias\nmain\n", &[], &[("bias", "bias_none")]).unwrap();
        assert!(out.starts_with("\nmain\n") && out.contains("fn bias_at"));
        assert!(!out.contains("@binding"));
        assert!(compose("main", &[], &[("bias", "bias_none")]).is_err());
        assert!(compose("#import nothing\n", &[], &[]).unwrap_err().contains("nothing"));
    }

    #[test]
    fn params_are_read_in_order() {
        let fields = params("struct Params { a: u32, b: f32,\n  c: u32, // sea\n}\n");
        let names: Vec<_> = fields.iter().map(|(n, t)| format!("{n}:{t}")).collect();
        assert_eq!(names, ["a:u32", "b:f32", "c:u32"]);
    }
}
