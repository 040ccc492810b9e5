//! `lupe weights list` and `lupe weights verify`: published weights, and whether a file is one of them.

use crate::cli::output::{new_table, print};
use crate::cli::session::Session;
use crate::error::{Error, Result, shown};
use crate::weights::catalog::{Match, Published, published, verdict};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// Runs `lupe weights list`.
pub fn list(session: &Session) -> Result<()> {
    let all = published()?;
    if session.json {
        return print(&json!(all).to_string());
    }
    let mut table = new_table(["name", "SHA-256", "pictures", "publisher's address"]);
    for p in &all {
        let hash = p.sha256.as_ref().map_or("-".into(), |s| format!("{s}…"));
        table.add_row([p.name.clone(), hash, pictures(p), p.address.clone()]);
    }
    let notes = all.iter().filter_map(|p| Some(format!("  {}: {}", p.name, p.note.as_ref()?)));
    print(&format!(
        "{table}\n\n{}\n\nLupe downloads nothing. Licences: --json. To check a file that you have: lupe weights verify FILE",
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
    let sha256 = hash(file)?;
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

fn hash(file: &Path) -> Result<String> {
    let wrong = |e: std::io::Error| Error::Weights(vec![format!("{}: cannot be read: {e}", shown(file))]);
    let mut source = BufReader::new(File::open(file).map_err(wrong)?);
    let (mut sum, mut piece) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        let n = source.read(&mut piece).map_err(wrong)?;
        let Some(part) = piece.get(..n).filter(|p| !p.is_empty()) else { break };
        sum.update(part);
    }
    Ok(sum.finalize().iter().map(|b| format!("{b:02x}")).collect())
}
