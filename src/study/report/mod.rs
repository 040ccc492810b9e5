//! What a study writes for people: tables, plots, a summary, and one page that needs nothing else.
//!
//! Everything is a function of [`Results`] and [`Analysis`]; who calls it writes the files. Times are in the files of [`timed`] alone: all
//! others are the same bytes on every machine.

mod cast;
mod chart;
mod figure;
mod look;
mod page;
mod plots;
mod published;
mod sheets;
mod summary;
mod table;
mod tables;
mod text;
mod theme;
mod times;
mod view;
mod words;

use super::Results;
use super::analysis::Analysis;
use crate::error::Result;
use cast::Cast;
use figure::Figure;
use view::View;

/// The page's name.
pub const PAGE: &str = "report.html";

/// Whether a file of [`files`] holds times, so that it differs from run to run.
pub fn timed(path: &str) -> bool {
    path == PAGE || path == format!("plots/{}.svg", plots::adapt::NAME)
}

/// A section of the page.
struct Section {
    /// The name of its place.
    id: &'static str,
    /// Its head.
    title: &'static str,
    /// How it is read.
    about: &'static str,
    /// What is said where it has no figure.
    without: &'static str,
    /// What draws it.
    figures: fn(&View, &Cast) -> Vec<Figure>,
}

/// All of them, in their order.
const SECTIONS: [Section; 8] = [
    Section {
        id: "shots",
        title: "Accuracy against shots",
        about: "Bands are 95 % intervals over repeats. Dashed: what calling everything the commonest class scores, and chance.",
        without: "None of T1, T2 and T3 was run with a learner.",
        figures: plots::shots::figures,
    },
    Section {
        id: "imbalance",
        title: "More good shots than defective ones",
        about: "Solid lines are methods as published, dashed lines with hollow points the same corrected for unequal shots. Where TPR falls while \
             TNR and AUROC rise, the threshold moved, not the ranking.",
        without: "Neither T4 nor T5 was run with a learner.",
        figures: plots::imbalance::figures,
    },
    Section {
        id: "distances",
        title: "Euclidean distance beside cosine",
        about: "On the dashed lines both distances score the same.",
        without: "No network took part with both distances.",
        figures: plots::distances::figures,
    },
    Section {
        id: "two-way",
        title: "Good or defective: everyone beside each other",
        about: "A detector has a bar for each way of finding its limit: from good pictures kept apart, from the draw's shots, and, hollow, from the \
             answers themselves, an upper bound. Accuracy of the ones is never set beside AUROC of the others.",
        without: "T2 was not run.",
        figures: plots::two_way::figures,
    },
    Section {
        id: "confusion",
        title: "What was taken for what",
        about: "Rows are what pictures are, columns what they were called, in percent of the row: most shots, all repeats together.",
        without: "There is no confusion matrix.",
        figures: plots::confusion::figures,
    },
    Section {
        id: "roc",
        title: "Defects found against good pictures rejected",
        about: "Further up and left is better. Dashed: guessing.",
        without: "There is no ROC curve: T2 was not run, or nothing gave scores.",
        figures: plots::roc::figures,
    },
    Section {
        id: "good-pictures",
        title: "AUROC against the number of good pictures",
        about: "Lines are detectors, which saw no defect. Points without a line are learners, which saw as many defective pictures too.",
        without: "T2 was not run, or nothing gave scores.",
        figures: plots::pictures::figures,
    },
    Section {
        id: "time",
        title: "Time to adapt against AUROC",
        about: "Measured on this machine, network included; the only plot that differs from machine to machine. Further up and left is better.",
        without: "No times were kept.",
        figures: plots::adapt::figures,
    },
];

/// All files of a study's report, paths relative to its folder: `episodes.jsonl`, `results.csv`, `summary.md`, `report.html`, and those in
/// `confusion/` and `plots/`. A plot that has no numbers is left out, and the page says so.
///
/// # Errors
/// [`crate::Error::Output`] where results do not fit each other (an outcome of no draw), or something cannot be drawn: a bug.
pub fn files(results: &Results, analysis: &Analysis) -> Result<Vec<(String, Vec<u8>)>> {
    let view = View::new(results, analysis);
    let cast = Cast::of(&view);
    let drawn: Vec<(&Section, Vec<Figure>)> = SECTIONS.iter().map(|s| (s, (s.figures)(&view, &cast))).collect();
    let mut files = vec![
        ("episodes.jsonl".to_string(), sheets::episodes(&results.draws)?),
        ("results.csv".to_string(), sheets::results(&view)?),
    ];
    files.extend(sheets::confusion(&view)?);
    let figures = || drawn.iter().flat_map(|s| &s.1);
    for figure in figures() {
        files.push((format!("plots/{}.svg", figure.name), figure.file()?.into_bytes()));
    }
    // The summary is the same bytes on every machine, so times have no place in it.
    let lasting: Vec<&Figure> = figures().filter(|f| f.name != plots::adapt::NAME).collect();
    files.push(("summary.md".to_string(), summary::markdown(&view, &cast, &lasting).into_bytes()));
    files.push((PAGE.to_string(), page::html(&view, &cast, &drawn)?.into_bytes()));
    Ok(files)
}
