//! The page: one file that opens from disk and asks nothing of any network.

use super::cast::Cast;
use super::figure::{self, Figure};
use super::table::Table;
use super::view::View;
use super::{Section, published, tables, text, theme, times, words};
use crate::error::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// Nothing may be loaded from anywhere; style and script stand in the page itself.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";

/// Reasons of an answer that are seen at once, so that all answers are on the first screen.
const FIRST: usize = 1;

/// The page.
///
/// # Errors
/// [`crate::Error::Output`] where a plot cannot be drawn: a bug.
pub fn html(view: &View, cast: &Cast, sections: &[(&Section, Vec<Figure>)]) -> Result<String> {
    let name = text::shown(&view.results.facts.name);
    let mut drawn = vec![];
    for (section, figures) in sections {
        drawn.push(plots(section, figures)?);
    }
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (head(&name))
            body {
                a .skip href="#main" { "To the answers" }
                header {
                    p .kind { "Study by Lupe" }
                    h1 { (name) }
                    p .asked { (words::ASKED) }
                }
                main #main {
                    (answers(view))
                    (tiles(view))
                    (cautions(view))
                    (contents(sections))
                    p .quiet { (words::drawn(&cast.others)) }
                    @for section in drawn { (section) }
                    (numbers(view))
                    (apart(view))
                    (again(view))
                }
                script { (PreEscaped(include_str!("page.js"))) }
            }
        }
    };
    Ok(page.into_string() + "\n")
}

fn head(name: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta http-equiv="Content-Security-Policy" content=(POLICY);
            // An icon of its own, so that the browser requests none.
            link rel="icon" href="data:,";
            title { (name) }
            style { (PreEscaped(theme::css())) (PreEscaped(include_str!("page.css"))) }
        }
    }
}

fn answers(view: &View) -> Markup {
    html! {
        @if !view.analysis.answers.is_empty() {
            ol .answers {
                @for said in &view.analysis.answers {
                    li {
                        h2 { (text::shown(&said.question)) }
                        p .short { strong { (text::shown(&said.short)) } }
                        @let (first, rest) = said.because.split_at(said.because.len().min(FIRST));
                        @if !first.is_empty() { ul { @for reason in first { li { (text::shown(reason)) } } } }
                        @if !rest.is_empty() {
                            details {
                                summary { (text::count(rest.len(), "more reason")) }
                                ul { @for reason in rest { li { (text::shown(reason)) } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn tiles(view: &View) -> Markup {
    html! {
        dl .tiles {
            @for tile in words::tiles(view) {
                div { dt { (tile.what) } dd { strong { (tile.number) } span { (tile.of) } } }
            }
        }
    }
}

fn cautions(view: &View) -> Markup {
    let said = words::cautions(view);
    html! {
        @if !said.is_empty() {
            aside .cautions aria-label="What limits what the numbers say" {
                ul { @for caution in said { li { (caution) } } }
            }
        }
    }
}

fn contents(sections: &[(&Section, Vec<Figure>)]) -> Markup {
    let rest =
        [("numbers", "All numbers"), ("left-out", "Left out"), ("published", "Published"), ("again", "Once more")];
    html! {
        nav aria-label="Contents" {
            ul {
                @for (s, _) in sections.iter().filter(|s| !s.1.is_empty()) { li { a href={ "#" (s.id) } { (s.title) } } }
                @for (id, title) in rest { li { a href={ "#" (id) } { (title) } } }
            }
        }
    }
}

fn plots(section: &Section, drawn: &[Figure]) -> Result<Markup> {
    let legend = figure::legend(drawn)?;
    let mut figures = vec![];
    for figure in drawn {
        figures.push(figure.page()?);
    }
    Ok(html! {
        section id=(section.id) aria-labelledby={ (section.id) "-head" } {
            h2 id={ (section.id) "-head" } { (section.title) }
            @if figures.is_empty() {
                p .quiet { (section.without) }
            } @else {
                p .quiet { (section.about) }
                (legend)
                div .figures { @for figure in figures { (figure) } }
            }
        }
    })
}

/// Tables that open when they are asked for.
fn folded(title: &str, tables: &[Table], open: bool) -> Markup {
    html! {
        @if tables.iter().any(|t| !t.rows.is_empty()) {
            details open[open] {
                summary { (title) }
                @for table in tables { (table.page()) }
            }
        }
    }
}

fn numbers(view: &View) -> Markup {
    html! {
        section #numbers aria-labelledby="numbers-head" {
            h2 #numbers-head { "All numbers" }
            p .quiet { (tables::INTERVALS) " A click on a column's head sorts by it. The same rows, for programs, are in results.csv." }
            (folded("Ranking by task", &tables::rankings(view), true))
            (folded("Intervals over pictures", &[tables::by_pictures(view)], false))
            (folded("Differences between methods, distances and numbers of shots", &tables::pairs(view), false))
            (folded("Detectors by number of good pictures", &[tables::detectors(view)], false))
            (folded("Every setting of every task and data set", &tables::means(view), false))
            (folded("Times, measured on this machine", &[times::table(view)], false))
        }
    }
}

fn apart(view: &View) -> Markup {
    html! {
        section #left-out aria-labelledby="left-out-head" {
            h2 #left-out-head { "Left out" }
            @if view.results.left_out.is_empty() { p { "Nothing that was asked for." } } @else {
                dl .left {
                    @for left in &view.results.left_out {
                        div {
                            dt { (text::shown(&left.what)) }
                            dd {
                                (text::shown(&left.why))
                                @if let Some(command) = &left.command { pre tabindex="0" { code { (text::shown(command)) } } }
                            }
                        }
                    }
                }
            }
        }
        section #published aria-labelledby="published-head" {
            h2 #published-head { "Published numbers" }
            (published::table(view).page())
        }
    }
}

fn again(view: &View) -> Markup {
    let facts = &view.results.facts;
    html! {
        section #again aria-labelledby="again-head" {
            h2 #again-head { "Once more" }
            p { (words::protocol(view)) }
            pre tabindex="0" { code { (words::AGAIN) } }
            dl .facts {
                div { dt { "Plan" } dd { code { (text::shown(&facts.plan)) } } }
                div { dt { "Lupe" } dd { (text::shown(&facts.version)) } }
            }
            (folded("Methods", &[tables::methods(view)], true))
            (folded("Pictures and draws", &[tables::categories(view), tables::draws(view)], true))
        }
    }
}
