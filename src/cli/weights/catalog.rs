//! `lupe weights list` and `lupe weights verify`: published weights, and whether a file is one of them.

use crate::cli::output::{new_table, print};
use crate::cli::session::Session;
use crate::error::{Error, Result, shown};
use crate::files::sha256_of;
use crate::weights::catalog::{Match, Published, published, verdict};
use serde_json::json;
use std::path::Path;

/// Runs `lupe weights list`.
pub fn list(session: &Session) -> Result<()> {
    let all = published()?;
    if session.json {
        return print(&json!(all).to_string());
    }
    let mut table = new_table(["name", "SHA-256", "pictures", "publisher's address"]);
    for p in &all {
        let hash = p.sha256.as_ref().map_or("-".into(), |s| format!("{}…", s.get(..8).unwrap_or(s)));
        table.add_row([p.name.clone(), hash, pictures(p), p.address.clone()]);
    }
    let notes = all.iter().filter_map(|p| Some(format!("  {}: {}", p.name, p.note.as_ref()?)));
    print(&format!(
        "{table}\n\n{}\n\nTo get one: lupe weights pull NAME. Licences: --json. To check a file that you have: lupe weights verify FILE",
        notes.collect::<Vec<_>>().join("\n")
    ))
}

fn pictures(p: &Published) -> String {
    match (p.resize, p.crop, &p.filter) {
        (Some(resize), Some(crop), Some(filter)) => format!("{resize} to {crop}, {filter}"),
        _ => "-".into(),
    }
}

/// Runs `lupe weights verify FILE`.
pub fn verify(session: &Session, file: &Path) -> Result<()> {
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let unread = |e| Error::Weights(vec![format!("{}: cannot be read: {e}", shown(file))]);
    let sha256 = sha256_of(file).map_err(unread)?;
    let found = verdict(&name, &sha256)?;
    let (word, known) = (found.word(), found.published());
    if session.json {
        print(&json!({"file": file, "sha256": sha256, "verdict": word, "published": known}).to_string())?;
    } else {
        let known = known.map_or("this file is not in the catalog".into(), |p| {
            format!("{} for {}, {}", p.name, p.network, p.address)
        });
        print(&format!("{}: {word}\nsha256  {sha256}\nknown   {known}", shown(file)))?;
    }
    match found {
        Match::Mismatch(p) => Err(Error::Weights(vec![format!(
            "{}: differs from the published file of that name, whose SHA-256 begins with {}; download it again from {}",
            shown(file),
            p.sha256.unwrap_or_default(),
            p.address
        )])),
        _ => Ok(()),
    }
}
