//! One theme for the page and for every plot: colours by name, light and dark, and a plot's fixed colours turned into these.

use plotters::style::RGBColor;
use std::fmt::Write;

/// Lines of different methods at most: as many colours and shapes as are told apart, also by those who see two primaries.
pub const HUES: u8 = 8;

/// What something is drawn with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Text.
    Ink,
    /// Labels and axes.
    Quiet,
    /// The lines of a grid.
    Rule,
    /// What everything lies on.
    Paper,
    /// A method's colour.
    Hue(u8),
}

/// Colours of light and dark pages. Hues are apart in lightness too: blue, vermilion, green, magenta, sky, amber, violet, gray.
const COLORS: [(&str, &str, &str); 12] = [
    ("ink", "#1d1f23", "#e9e7e2"),
    ("quiet", "#5c5f66", "#a6a8ad"),
    ("rule", "#dedcd5", "#3a3d42"),
    ("paper", "#fdfdfb", "#17181b"),
    ("h0", "#0062a8", "#5fb2f2"),
    ("h1", "#c9480a", "#ff8d57"),
    ("h2", "#007a5c", "#3fd0a4"),
    ("h3", "#b03a88", "#f093cf"),
    ("h4", "#2c93cf", "#a5dcff"),
    ("h5", "#a87400", "#f4c04e"),
    ("h6", "#5b3fa0", "#b8a3ff"),
    ("h7", "#6b6b6b", "#c9c9c9"),
];

impl Paint {
    /// Its place among [`COLORS`].
    fn place(self) -> usize {
        match self {
            Paint::Ink => 0,
            Paint::Quiet => 1,
            Paint::Rule => 2,
            Paint::Paper => 3,
            Paint::Hue(hue) => 4 + usize::from(hue % HUES),
        }
    }

    /// A colour that stands for it until [`themed`] puts the true one there.
    pub fn whole(self) -> RGBColor {
        RGBColor(self.place() as u8, 0, 0)
    }

    /// As [`Paint::whole`], for lines that are dashed then.
    pub fn dashed(self) -> RGBColor {
        RGBColor(self.place() as u8, 1, 0)
    }
}

/// A drawing with its stand-ins replaced: every `fill` and `stroke` gets the light colour, which any reader of SVG shows, and a class by
/// which a style sheet may choose another.
pub fn themed(drawn: &str) -> String {
    let mut out = String::with_capacity(drawn.len() + drawn.len() / 4);
    let mut parts = drawn.split("=\"#");
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let kind = if out.ends_with("fill") { 'f' } else { 's' };
        let (code, rest) = part.split_at_checked(6).unwrap_or((part, ""));
        let number = u32::from_str_radix(code, 16).unwrap_or(0);
        let (place, dashed) = (number >> 16, number >> 8 & 255 == 1);
        let (name, light, _) = COLORS.get(place as usize).copied().unwrap_or(("ink", "#1d1f23", ""));
        let rest = rest.strip_prefix('"').unwrap_or(rest);
        let dash = if dashed { " stroke-dasharray=\"11 8\"" } else { "" };
        let _ = write!(out, "=\"{light}\" class=\"{kind}-{name}\"{dash}{rest}");
    }
    out
}

/// The style sheet of plots, alone or within a page. What is printed is light.
pub fn css() -> String {
    let values = |dark: bool| -> String {
        let value =
            |&(name, light, night): &(&str, &str, &str)| format!("--{name}:{};", if dark { night } else { light });
        COLORS.iter().map(value).collect()
    };
    let mut css = format!(
        ":root{{color-scheme:light dark;{}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{}}}}}\n",
        values(false),
        values(true)
    );
    for (name, ..) in COLORS {
        let _ = writeln!(css, ".plot .f-{name}{{fill:var(--{name})}}.plot .s-{name}{{stroke:var(--{name})}}");
    }
    css.push_str(".plot polyline,.plot line{stroke-linecap:round;stroke-linejoin:round}\n");
    css.push_str(".plot text{font-family:system-ui,-apple-system,\"Segoe UI\",Roboto,\"Noto Sans\",sans-serif}\n");
    css
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stand_ins_become_colours_and_classes() {
        let drawn = "<a fill=\"none\" stroke=\"#040100\" x=\"1\"/><b fill=\"#000000\"/><t>=&quot;#040000&quot;</t>";
        let expected = "<a fill=\"none\" stroke=\"#0062a8\" class=\"s-h0\" stroke-dasharray=\"11 8\" x=\"1\"/>\
                        <b fill=\"#1d1f23\" class=\"f-ink\"/><t>=&quot;#040000&quot;</t>";
        assert_eq!(themed(drawn), expected);
    }

    #[test]
    fn text_and_hues_stand_out_on_their_paper() {
        let light = |hex: &str| -> f64 {
            let part = |i: usize| f64::from(u8::from_str_radix(&hex[i..i + 2], 16).unwrap()) / 255.0;
            let linear = |v: f64| if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) };
            0.2126 * linear(part(1)) + 0.7152 * linear(part(3)) + 0.0722 * linear(part(5))
        };
        let contrast = |a: &str, b: &str| {
            let (a, b) = (light(a) + 0.05, light(b) + 0.05);
            if a > b { a / b } else { b / a }
        };
        let (_, paper, night) = COLORS[Paint::Paper.place()];
        for (name, by_day, by_night) in COLORS {
            // WCAG 2.2: 4.5 for text, 3 for what is drawn.
            let least = if ["ink", "quiet"].contains(&name) { 4.5 } else { 3.0 };
            if !["paper", "rule"].contains(&name) {
                assert!(contrast(by_day, paper) >= least, "{name} by day: {}", contrast(by_day, paper));
                assert!(contrast(by_night, night) >= least, "{name} by night: {}", contrast(by_night, night));
            }
        }
    }
}
