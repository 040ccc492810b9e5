//! `lupe weights pull`: published weights into the cache folder, from where `--weights NAME` takes them.

use crate::cli::env;
use crate::cli::output::{print, quoted};
use crate::cli::session::Session;
use crate::error::{Error, Result, shown};
use crate::files::sha256_of;
use crate::weights::catalog::{Published, named, public};
use serde_json::{Value, json};
use std::path::Path;

/// What `lupe weights pull` accepts.
#[derive(Debug, clap::Args)]
pub struct Pull {
    /// Name in `lupe weights list`
    name: String,
    /// Say where the file is, what will be checked and where it will lie; no connection is opened
    #[arg(long)]
    print: bool,
    /// Another address of the same file, such as a company's mirror (https or http); the file is checked all the same
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// Give up after this many seconds in which nothing comes
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(1..=3600))]
    timeout: u16,
}

/// Runs the command.
pub fn run(session: &Session, args: &Pull) -> Result<()> {
    let entry = named(&args.name)?;
    let cache = env::cache()
        .ok_or_else(|| Error::Output("no cache folder: set XDG_CACHE_HOME or HOME to an absolute path".into()))?;
    let place = entry.place(&cache).ok_or_else(|| Error::Internal(format!("{} has no file", entry.name)))?;
    if args.print {
        return told(session, &entry, &place, args.from.as_deref());
    }
    if place.exists() {
        return there(session, &entry, &place);
    }
    let address = args.from.as_deref().or(entry.direct()).ok_or_else(|| {
        let hand = entry.hand.as_deref().unwrap_or_default();
        Error::Usage(format!("{}: {}; {hand}, and move it to {}", entry.name, entry.address, shown(&place)))
    })?;
    fetch(session, &entry, address, &place, args.timeout)
}

/// `--print`.
fn told(session: &Session, entry: &Published, place: &Path, from: Option<&str>) -> Result<()> {
    let address = public(from.unwrap_or(&entry.address));
    if session.json {
        let there = place.exists();
        return print(&json!({"published": entry, "address": address, "file": place, "there": there}).to_string());
    }
    let size = entry.bytes.map_or("as the server says".into(), |b| format!("{b} bytes"));
    let by = entry.stated.as_ref().map_or(String::new(), |by| format!(" (stated by {by})"));
    let lines = [
        ("name", entry.name.clone()),
        ("network", entry.network.clone()),
        ("address", address),
        ("size", size),
        ("licence", entry.licence.clone()),
        ("checked", format!("{}{by}", entry.checked())),
        ("file", format!("{}{}", shown(place), if place.exists() { ", which is there" } else { "" })),
    ];
    let note = entry.note.iter().map(|n| ("note", n.clone()));
    let hand = entry
        .hand
        .iter()
        .filter(|_| from.is_none())
        .map(|h| ("by hand", format!("{h}, and move it to the file's place")));
    let all: Vec<String> = lines.into_iter().chain(note).chain(hand).map(|(k, v)| format!("{k:8} {v}")).collect();
    print(&all.join("\n"))
}

/// The file was fetched before.
fn there(session: &Session, entry: &Published, place: &Path) -> Result<()> {
    let unread = |e| Error::Weights(vec![format!("{}: cannot be read: {e}", shown(place))]);
    let sha256 = sha256_of(place).map_err(unread)?;
    let bytes = place.metadata().map_err(unread)?.len();
    if let Some(stated) = entry.sha256.as_ref().filter(|stated| !sha256.starts_with(stated.as_str())) {
        return Err(Error::Weights(vec![format!(
            "{}: is there, but its SHA-256 is {sha256}, and that of {} begins with {stated}; remove it and pull again",
            shown(place),
            entry.name
        )]));
    }
    said(session, entry, place, &sha256, json!({"bytes": bytes, "already": true, "resumed": 0}), "is there already")
}

/// What the file is, and what of it was checked.
fn said(session: &Session, entry: &Published, place: &Path, sha256: &str, more: Value, how: &str) -> Result<()> {
    if session.json {
        let mut all = json!({"name": entry.name, "file": place, "sha256": sha256, "checked": entry.sha256});
        if let (Some(all), Value::Object(more)) = (all.as_object_mut(), more) {
            all.extend(more);
        }
        return print(&all.to_string());
    }
    let checked = match &entry.sha256 {
        Some(stated) if stated.len() == sha256.len() => "as stated".into(),
        Some(stated) => format!("begins as stated, with {stated}"),
        None => "not checked: no source states it; compare it with one that you trust".into(),
    };
    let (file, name) = (quoted(place), &entry.name);
    print(&format!("{file}: {how}\nsha256  {sha256}, {checked}\nuse     --weights {name}\nlicence {}", entry.licence))
}

#[cfg(feature = "pull")]
fn fetch(session: &Session, entry: &Published, address: &str, place: &Path, timeout: u16) -> Result<()> {
    use crate::files::folder_of;
    use crate::outputs::Inputs;
    use crate::watch::Watch;
    use crate::weights::pull::{Order, pull};
    session.outputs.file(place, &Inputs::default())?;
    session.watch_for_interrupts()?;
    session.say(&format!("from      {}", public(address)));
    let proxy = env::proxy(address.starts_with("https://"));
    let order = Order {
        address,
        target: place,
        sha256: entry.sha256.as_deref(),
        bytes: entry.bytes,
        proxy: proxy.as_ref(),
        patience: std::time::Duration::from_secs(timeout.into()),
    };
    let pulled = pull(&order, session)?;
    log::info!("{} bytes into {}", pulled.bytes, shown(folder_of(place)));
    let more = json!({"bytes": pulled.bytes, "already": false, "resumed": pulled.resumed});
    said(session, entry, place, &pulled.sha256, more, &format!("{} bytes", pulled.bytes))
}

#[cfg(not(feature = "pull"))]
fn fetch(_: &Session, entry: &Published, address: &str, place: &Path, _: u16) -> Result<()> {
    Err(Error::Usage(format!(
        "this program was built without the feature `pull` and opens no connection: get {} by other means, and move it to {} for \
         --weights {}",
        public(address),
        shown(place),
        entry.name
    )))
}
