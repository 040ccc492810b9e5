//! `lupe classify`: pictures in, the likeliest classes out.

use super::output::{new_table, print};
use super::session::Session;
use super::subject::{PicturesArgs, say_notes};
use crate::error::{Result, plain, shown};
use crate::methods::classify::{Classes, Labels, Likely, PLACE, likeliest};
use crate::watch::Watch;
use serde_json::json;
use std::path::PathBuf;

/// What `lupe classify` accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    named: PicturesArgs,
    /// Names of the classes, one a line in their order [default: ImageNet's if there are 1000, else numbers]
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Number of classes shown for each picture, the likeliest first [default: 5]
    #[arg(long, value_name = "N")]
    top: Option<usize>,
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    let (named, labels) = (&args.named, args.labels.as_deref().map(Labels::open).transpose()?);
    let (network, weights) = named.open(session)?;
    let classes = Classes::new(network, &weights, labels, named.weights.is_none())?;
    let top = classes.top(args.top)?;
    say_notes(session, classes.note());
    let (places, mut found) = ([PLACE.to_string()], vec![]);
    named.each(session, (network, &weights), &places, &mut |values| {
        values.iter().try_for_each(|logits| likeliest(&logits.data, top).map(|likely| found.push(likely)))
    })?;
    print(&if session.json { as_json(args, &classes, &found) } else { table(args, &classes, &found) })?;
    session.say(&named.counted().to_string());
    Ok(())
}

/// One object a picture, on a line of its own.
fn as_json(args: &Args, classes: &Classes, found: &[Vec<Likely>]) -> String {
    let class = |l: &Likely| json!({"class": l.class, "name": classes.name(l.class), "probability": l.probability});
    let line = |(path, likely): (&PathBuf, &Vec<Likely>)| {
        let classes: Vec<_> = likely.iter().map(class).collect();
        json!({"path": path.display().to_string(), "model": args.named.model, "classes": classes}).to_string()
    };
    args.named.pictures.iter().zip(found).map(line).collect::<Vec<_>>().join("\n")
}

/// A picture's name stands in the first of its rows.
fn table(args: &Args, classes: &Classes, found: &[Vec<Likely>]) -> String {
    let mut table = new_table(["picture", "class", "name", "probability"]);
    for (path, likely) in args.named.pictures.iter().zip(found) {
        let pictures = std::iter::once(shown(path)).chain(std::iter::repeat(String::new()));
        for (picture, Likely { class, probability }) in pictures.zip(likely) {
            let name = classes.name(*class).map_or(format!("class {class}"), plain);
            table.add_row([picture, class.to_string(), name, format!("{:.3} %", 100.0 * probability)]);
        }
    }
    table.to_string()
}
