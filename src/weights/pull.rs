//! Published weights from their publisher: the one file of the program that opens a connection.

use super::catalog::public;
use crate::error::{Error, Result, plain, shown};
use crate::files::{Part, write};
use crate::watch::Watch;
use serde::{Deserialize, Serialize};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::http::{HeaderMap, Response, StatusCode};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body, Proxy, ResponseExt};

/// A file to fetch.
#[derive(Clone, Debug)]
pub struct Order<'o> {
    /// Its address: https, or http where somebody chose that.
    pub address: &'o str,
    /// Where it belongs.
    pub target: &'o Path,
    /// The hexadecimal SHA-256 that it must have, or the start of it.
    pub sha256: Option<&'o str>,
    /// The size that it must have, in bytes.
    pub bytes: Option<u64>,
    /// The proxy to go through.
    pub proxy: Option<&'o Via>,
    /// For how long nothing may come.
    pub patience: Duration,
}

/// A proxy as the environment names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// The variable that names it: its value may hold a password, and is never shown.
    pub variable: &'static str,
    /// Its address.
    pub address: String,
    /// Hosts that are reached without it, with everything below them; `*` is all.
    pub except: Vec<String>,
}

/// A file that was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// Its hexadecimal SHA-256, of what is on disk.
    pub sha256: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// How many of them were there before.
    pub resumed: u64,
}

/// Redirects that are followed: publishers need one or two.
const REDIRECTS: u32 = 5;

/// No published file is larger: laion's H/14 with its text tower has 986 million parameters, 4 GB.
const LARGEST: u64 = 8 << 30;

/// Bytes that are taken at a time.
const PIECE: usize = 1 << 16;

/// What is known of a part, kept beside it: where it comes from, and what tells the file there from a later one.
#[derive(Debug, Default, Deserialize, PartialEq, Serialize)]
struct Origin {
    address: String,
    validator: Option<String>,
}

/// Fetches a file: its target appears whole and checked, or not at all. What comes is kept beside it as a part, with which the next call
/// goes on.
///
/// # Errors
/// [`Error::Input`] if the server has nothing to give or the connection ends, [`Error::TimedOut`] if it falls silent, [`Error::Weights`]
/// if what came is not the file, [`Error::Output`] if it cannot be written, [`Error::Usage`] for a proxy or address that is none, and what
/// [`Watch::go_on`] returns.
pub fn pull(order: &Order, watch: &dyn Watch) -> Result<Pulled> {
    let agent = agent(order)?;
    let mut part = Part::open(order.target)?;
    let kept = shown(&Part::path_of(order.target));
    watch.left_by_interrupt(&format!("what came is kept in {kept}; run the same command again to go on"));
    let resumed = match receive(&agent, order, &mut part, watch) {
        Err(e) if part.bytes() == 0 => {
            part.remove()?;
            forget(order)?;
            return Err(e);
        }
        received => received?,
    };
    let (sha256, bytes) = (part.sha256()?, part.bytes());
    if order.sha256.is_some_and(|stated| !sha256.starts_with(stated))
        || order.bytes.is_some_and(|stated| bytes != stated)
    {
        part.remove()?;
        forget(order)?;
        return Err(wrong(order, &format!("{bytes} bytes with the SHA-256 {sha256}")));
    }
    part.finish()?;
    forget(order)?;
    Ok(Pulled { sha256, bytes, resumed })
}

fn agent(order: &Order) -> Result<Agent> {
    let secure = order.address.starts_with("https://");
    if !secure && !order.address.starts_with("http://") {
        let address = public(order.address);
        return Err(Error::Usage(format!("{address}: expected an address that begins with https:// or http://")));
    }
    let config = Agent::config_builder()
        .https_only(secure)
        .http_status_as_error(false)
        .max_redirects(REDIRECTS)
        .save_redirect_history(true)
        .proxy(order.proxy.map(proxy).transpose()?)
        .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
        .user_agent(concat!("lupe/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("identity")
        .timeout_resolve(Some(order.patience))
        .timeout_connect(Some(order.patience))
        .timeout_recv_response(Some(order.patience))
        .timeout_per_read(Some(order.patience))
        .timeout_per_write(Some(order.patience));
    Ok(config.build().new_agent())
}

fn proxy(via: &Via) -> Result<Proxy> {
    let no = |_| Error::Usage(format!("{}: is not the address of a proxy; expected http://HOST:PORT", via.variable));
    let plain = Proxy::new(&via.address).map_err(no)?;
    let mut builder = Proxy::builder(plain.protocol()).host(plain.host()).port(plain.port());
    builder = plain.username().into_iter().fold(builder, |b, name| b.username(name));
    builder = plain.password().into_iter().fold(builder, |b, word| b.password(word));
    for host in via.except.iter().map(|h| h.trim().trim_start_matches('.')).filter(|h| !h.is_empty()) {
        builder = builder.no_proxy(host).no_proxy(&format!(".{host}"));
    }
    builder.build().map_err(no)
}

/// Receives what is missing of the file, and returns how many bytes were there before.
fn receive(agent: &Agent, order: &Order, part: &mut Part, watch: &dyn Watch) -> Result<u64> {
    let known = origin(order);
    let validator = known.filter(|known| known.address == public(order.address)).and_then(|known| known.validator);
    // Without a hash and without a validator, the rest could be of another file.
    let mut from = if order.sha256.is_some() || validator.is_some() { part.bytes() } else { 0 };
    loop {
        let answer = ask(agent, order, from, validator.as_deref())?;
        let (status, range) = (answer.status(), range(answer.headers()));
        match status {
            StatusCode::OK => {
                if from > 0 {
                    watch.say("note: the server does not go on where the part ends; the file is fetched anew");
                }
                from = 0;
            }
            StatusCode::PARTIAL_CONTENT if range.0 == Some(from) => {}
            StatusCode::RANGE_NOT_SATISFIABLE if from > 0 && range.1 == Some(from) => return Ok(from),
            StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PARTIAL_CONTENT if from > 0 => {
                from = 0;
                continue;
            }
            _ => return Err(refused(order, status)),
        }
        let whole = whole(order, &answer, if from > 0 { range.1 } else { None })?;
        if from == 0 {
            part.restart()?;
            remember(order, answer.headers())?;
        }
        copy(order, part, answer, whole, watch)?;
        return Ok(from);
    }
}

fn ask(agent: &Agent, order: &Order, from: u64, validator: Option<&str>) -> Result<Response<Body>> {
    let mut request = agent.get(order.address);
    if from > 0 {
        request = request.header("Range", format!("bytes={from}-"));
        request = validator.into_iter().fold(request, |r, v| r.header("If-Range", v));
    }
    let answer = request.call().map_err(|e| failed(order, e, None))?;
    let secure = |uri: &ureq::http::Uri| uri.scheme_str() == Some("https");
    let way = answer.get_redirect_history().unwrap_or_default();
    if way.iter().zip(way.iter().skip(1)).any(|(a, b)| secure(a) && !secure(b)) {
        return Err(Error::Input(format!("{}: {INSECURE}", public(order.address))));
    }
    Ok(answer)
}

const INSECURE: &str = "the server redirects from https to an address without it, which is not followed";

/// First byte and size of the whole file, as `Content-Range` states them.
fn range(headers: &HeaderMap) -> (Option<u64>, Option<u64>) {
    let text = headers.get("Content-Range").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let (part, whole) = text.trim_start_matches("bytes ").split_once('/').unwrap_or_default();
    (part.split('-').next().and_then(|n| n.parse().ok()), whole.parse().ok())
}

/// The size of the whole file, if it is stated; refuses what cannot be the file.
fn whole(order: &Order, answer: &Response<Body>, stated: Option<u64>) -> Result<Option<u64>> {
    let of = |name: &str| answer.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_lowercase();
    let whole = stated.or_else(|| answer.body().content_length());
    if of("Content-Type").starts_with("text/html") {
        return Err(wrong(order, "a web page"));
    }
    if let (Some(whole), Some(bytes)) = (whole, order.bytes)
        && whole != bytes
    {
        return Err(wrong(order, &format!("{whole} bytes")));
    }
    if whole.is_none() && order.sha256.is_none() && of("Transfer-Encoding") != "chunked" {
        let what = "the server does not say how long the file is, and no source states its hash";
        return Err(Error::Input(format!("{}: {what}: a part could pass for the whole", public(order.address))));
    }
    Ok(whole)
}

fn copy(order: &Order, part: &mut Part, answer: Response<Body>, whole: Option<u64>, watch: &dyn Watch) -> Result<()> {
    let mebi = |bytes: u64| usize::try_from(bytes.div_ceil(1 << 20)).unwrap_or(usize::MAX);
    let (mut body, mut piece) = (answer.into_body().into_reader(), vec![0; PIECE]);
    loop {
        watch.go_on()?;
        if let Some(whole) = whole {
            watch.progress("MiB", mebi(part.bytes()), mebi(whole));
        }
        let read = body.read(&mut piece).map_err(|e| failed(order, e.into(), Some((part.bytes(), whole))))?;
        let Some(came) = piece.get(..read).filter(|came| !came.is_empty()) else { break };
        part.add(came)?;
        if part.bytes() > whole.unwrap_or(LARGEST) {
            return Err(wrong(order, &format!("more than {} bytes", whole.unwrap_or(LARGEST))));
        }
    }
    match whole.filter(|whole| *whole != part.bytes()) {
        Some(_) => {
            Err(failed(order, io::Error::from(io::ErrorKind::UnexpectedEof).into(), Some((part.bytes(), whole))))
        }
        None => Ok(()),
    }
}

fn origin_file(order: &Order) -> PathBuf {
    let mut name = Part::path_of(order.target).into_os_string();
    name.push(".json");
    name.into()
}

/// What is known of the part that is there; nothing of one that was left without.
fn origin(order: &Order) -> Option<Origin> {
    serde_json::from_slice(&std::fs::read(origin_file(order)).ok()?).ok()
}

fn remember(order: &Order, headers: &HeaderMap) -> Result<()> {
    let of = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_string);
    // A weak tag may stay the same where bytes differ.
    let validator = of("ETag").filter(|tag| !tag.starts_with("W/")).or_else(|| of("Last-Modified"));
    let origin = serde_json::json!(Origin { address: public(order.address), validator });
    write(&origin_file(order), origin.to_string().as_bytes())
}

fn forget(order: &Order) -> Result<()> {
    let file = origin_file(order);
    match std::fs::remove_file(&file) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(Error::Output(format!("{} cannot be removed: {e}", shown(&file))))
        }
        _ => Ok(()),
    }
}

/// Something else than the file came.
fn wrong(order: &Order, came: &str) -> Error {
    let size = order.bytes.map(|bytes| format!("{bytes} bytes"));
    let hash = order.sha256.map(|stated| format!("a SHA-256 that begins with {stated}"));
    let wanted: Vec<String> = size.into_iter().chain(hash).collect();
    let wanted = if wanted.is_empty() { "a file".into() } else { wanted.join(" and ") };
    Error::Weights(vec![format!("{}: expected {wanted}, got {came}; nothing was kept", public(order.address))])
}

fn refused(order: &Order, status: StatusCode) -> Error {
    let what = match status.as_u16() {
        404 | 410 => "the file is not there; look for it at its publisher, and give its new address with --from",
        401 | 403 => "the server does not give it to everybody; get it by hand, or give a mirror's address with --from",
        407 => "the proxy wants a name and a password, as in http://NAME:PASSWORD@HOST:PORT",
        429 | 500.. => "try again later",
        _ => "give another address of the file with --from",
    };
    Error::Input(format!("{}: the server answered {status}: {what}", public(order.address)))
}

/// What went wrong on the way; `came` is how many bytes there are, and of how many.
fn failed(order: &Order, error: ureq::Error, came: Option<(u64, Option<u64>)>) -> Error {
    let address = public(order.address);
    let on = if came.is_some() { "; run the same command again to go on" } else { "" };
    let how_far = || match came {
        Some((bytes, Some(of))) => format!(" after {bytes} of {of} bytes"),
        Some((bytes, None)) => format!(" after {bytes} bytes"),
        None => String::new(),
    };
    let what = match error {
        ureq::Error::Timeout(_) => return silent(order, &how_far(), on),
        ureq::Error::Io(e) if matches!(e.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {
            return silent(order, &how_far(), on);
        }
        ureq::Error::Io(e) if e.kind() == io::ErrorKind::UnexpectedEof => format!("the connection ended{}", how_far()),
        ureq::Error::TooManyRedirects => format!("the server redirects more than {REDIRECTS} times"),
        ureq::Error::RequireHttpsOnly(_) => INSECURE.into(),
        ureq::Error::ConnectProxyFailed(e) => {
            format!("the proxy of {} makes no connection: {e}", order.proxy.map_or("the environment", |p| p.variable))
        }
        e if came.is_some() => format!("{}{}", reason(&e), how_far()),
        e => format!("{}; where a proxy is needed, set HTTPS_PROXY to its address", reason(&e)),
    };
    Error::Input(format!("{address}: {}{on}", plain(&what)))
}

/// An error in words, without the part of the HTTP crate that it comes from.
fn reason(error: &ureq::Error) -> String {
    error.to_string().trim_start_matches("io: ").to_string()
}

fn silent(order: &Order, how_far: &str, on: &str) -> Error {
    let seconds = order.patience.as_secs();
    Error::TimedOut(format!("{}: nothing came for {seconds} s{how_far}{on}", public(order.address)))
}
