//! The summary in Markdown: answers first, then tables.

use super::cast::Cast;
use super::figure::Figure;
use super::table::Table;
use super::view::View;
use super::{published, tables, text, words};
use std::fmt::Write;

/// The summary.
pub fn markdown(view: &View, cast: &Cast, figures: &[&Figure]) -> String {
    let mut out = String::new();
    let facts = &view.results.facts;
    let _ = write!(out, "# {}\n\n{}\n\n", text::markdown(&facts.name), words::ASKED);
    answers(view, &mut out);
    for tile in words::tiles(view) {
        let [what, number, of] = [&tile.what, &tile.number, &tile.of].map(|t| text::markdown(t));
        let _ = writeln!(out, "- {what}: **{number}** {of}");
    }
    out.push('\n');
    for caution in words::cautions(view) {
        let _ = writeln!(out, "> {}\n>", text::markdown(&caution));
    }
    section(&mut out, "Ranking", tables::INTERVALS, &tables::rankings(view));
    section(&mut out, "Intervals over pictures", "", &[tables::by_pictures(view)]);
    section(&mut out, "Differences", "", &tables::pairs(view));
    section(&mut out, "Detectors", "", &[tables::detectors(view)]);
    section(&mut out, "All settings", "", &tables::means(view));
    section(&mut out, "Published numbers", "", &[published::table(view)]);
    left_out(view, &mut out);
    let plots = [words::drawn(&cast.others), String::new()].join("\n");
    let _ = write!(out, "## Plots\n\n{}\n", text::markdown(plots.trim()));
    for figure in figures {
        let _ = write!(out, "\n![{}](plots/{}.svg)\n", text::markdown(&figure.title), figure.name);
    }
    out.push('\n');
    section(
        &mut out,
        "Who and what took part",
        "",
        &[tables::methods(view), tables::categories(view), tables::draws(view)],
    );
    let _ = write!(out, "## Once more\n\n{}\n\n{}", text::markdown(&words::protocol(view)), text::fenced(words::AGAIN));
    let _ = writeln!(out, "\nLupe {}, plan {}.", text::markdown(&facts.version), text::markdown(&facts.plan));
    out
}

fn answers(view: &View, out: &mut String) {
    for (i, said) in view.analysis.answers.iter().enumerate() {
        let [question, short] = [&said.question, &said.short].map(|t| text::markdown(t));
        let _ = write!(out, "## {}. {question}\n\n**{short}**\n\n", i + 1);
        for reason in &said.because {
            let _ = writeln!(out, "- {}", text::markdown(reason));
        }
        out.push('\n');
    }
}

fn section(out: &mut String, title: &str, about: &str, all: &[Table]) {
    if all.iter().all(|t| t.rows.is_empty()) {
        return;
    }
    let _ = write!(out, "## {title}\n\n");
    if !about.is_empty() {
        let _ = write!(out, "{about}\n\n");
    }
    for table in all.iter().filter(|t| !t.rows.is_empty()) {
        let _ = write!(out, "### {}\n\n{}\n", text::markdown(&table.title), table.markdown());
    }
}

fn left_out(view: &View, out: &mut String) {
    out.push_str("## Left out\n\n");
    if view.results.left_out.is_empty() {
        out.push_str("Nothing that was asked for.\n\n");
    }
    for left in &view.results.left_out {
        let _ = write!(out, "**{}**: {}\n\n", text::markdown(&left.what), text::markdown(&left.why));
        if let Some(command) = &left.command {
            let _ = writeln!(out, "{}", text::fenced(command));
        }
    }
}
