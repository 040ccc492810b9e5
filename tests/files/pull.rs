//! `lupe weights pull` against servers on this machine: files appear whole and checked, or not at all.
#![cfg(feature = "pull")]

use crate::common::program::{Bench, done, lupe, refused, text};
use crate::common::server::{Server, asked_from, send};
use lupe::files::{Part, sha256};
use lupe::watch::Unwatched;
use lupe::weights::pull::{Order, pull};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// An entry whose hash no source states, and one whose hash begins with these digits.
const UNSTATED: (&str, &str) = ("resnet50.dino", "dino_resnet50_pretrain.pth");
const STATED: (&str, &str, &str) = ("resnet18.tv_v1", "resnet18-f37072fd.pth", "f37072fd");

fn content(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i * 7 + i / 251) as u8).collect()
}

/// `lupe weights pull NAME` with a cache of its own, without the proxy of this machine.
fn pulling(b: &Bench, name: &str, from: &str) -> Command {
    let mut command = lupe();
    for variable in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(variable).env_remove(variable.to_lowercase());
    }
    command.env("XDG_CACHE_HOME", b.path("cache")).args(["weights", "pull", name]);
    if from.is_empty() { command } else { command.args(["--from", from]).args(["--timeout", "20"]).take() }
}

trait Take {
    fn take(&mut self) -> Command;
}

impl Take for Command {
    fn take(&mut self) -> Command {
        std::mem::replace(self, Command::new("true"))
    }
}

fn place(b: &Bench, (name, file): (&str, &str)) -> PathBuf {
    b.path("cache/lupe/weights").join(name).join(file)
}

/// Nothing of a pull is left, and no folder that was made for it.
fn nothing_left(b: &Bench) {
    assert!(!b.path("cache/lupe/weights").exists(), "{:?}", b.files());
}

#[test]
fn a_file_is_fetched_once() {
    let (b, bytes) = (Bench::new(), content(300_000));
    let server = Server::file(bytes.clone(), "\"1\"");
    let said = done(&mut pulling(&b, UNSTATED.0, &server.at("x")));
    let file = place(&b, UNSTATED);
    assert_eq!(fs::read(&file).unwrap(), bytes);
    let hash = sha256(&bytes);
    for part in ["300000 bytes", &hash, "no source states it", "--weights resnet50.dino", "licence as its publisher"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "the part or its origin is left");
    let again = done(pulling(&b, UNSTATED.0, &server.at("x")).arg("--json"));
    let json: serde_json::Value = serde_json::from_str(&again).unwrap();
    assert_eq!((&json["already"], &json["sha256"], &json["checked"]), (&true.into(), &hash.into(), &().into()));
    assert_eq!(server.asked().len(), 1, "what is there is not asked for");
    let head = &server.asked()[0];
    assert!(head.starts_with("GET /x HTTP/1.1\r\n") && head.contains("user-agent: lupe/"), "{head}");
}

#[test]
fn a_stated_hash_is_met_or_nothing_appears() {
    let (b, bytes) = (Bench::new(), content(5000));
    let server = Server::file(bytes.clone(), "\"1\"");
    let hash = sha256(&bytes);
    let (address, target) = (server.at("x"), b.path("deep/x.pth"));
    for stated in [&hash, &hash[..8]] {
        let order = Order {
            address: &address,
            target: &target,
            sha256: Some(stated),
            bytes: Some(5000),
            proxy: None,
            patience: Duration::from_secs(20),
        };
        let pulled = pull(&order, &Unwatched).unwrap();
        assert_eq!((pulled.sha256, pulled.bytes, pulled.resumed), (hash.clone(), 5000, 0));
        assert_eq!(fs::read(&target).unwrap(), bytes);
    }
    let wanted = format!("expected a SHA-256 that begins with {}, got 5000 bytes with the SHA-256 {hash}", STATED.2);
    refused(&mut pulling(&b, STATED.0, &server.at("x")), 4, &[&wanted, "nothing was kept"]);
    nothing_left(&b);
    // A size that is stated is held before anything is written.
    let want = ["expected 88283115 bytes and a SHA-256 that begins with b938bf1b", "got 5000 bytes"];
    refused(&mut pulling(&b, "dinov2_vits14.facebook", &server.at("x")), 4, &want);
    nothing_left(&b);
    // A file that is there is held to it, too.
    fs::create_dir_all(place(&b, (STATED.0, STATED.1)).parent().unwrap()).unwrap();
    fs::write(place(&b, (STATED.0, STATED.1)), b"damaged").unwrap();
    refused(&mut pulling(&b, STATED.0, &server.at("x")), 4, &["is there, but its SHA-256", "remove it and pull again"]);
}

/// A server that ends the first connection after some bytes, and then serves the file.
fn cutting(bytes: Vec<u8>, after: usize, ranges: bool) -> Server {
    let first = std::sync::atomic::AtomicBool::new(true);
    Server::new(move |head, to| {
        let from = asked_from(head).filter(|_| ranges).unwrap_or(0);
        let status = match from {
            0 => "200 OK".into(),
            from => format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{}", bytes.len() - 1, bytes.len()),
        };
        if first.swap(false, std::sync::atomic::Ordering::Relaxed) {
            write!(to, "HTTP/1.1 {status}\r\nETag: \"a\"\r\nContent-Length: {}\r\n\r\n", bytes.len())?;
            return to.write_all(&bytes[..after]);
        }
        send(to, &status, "ETag: \"a\"", &bytes[from..])
    })
}

#[test]
fn what_was_cut_off_goes_on() {
    let bytes = content(100_000);
    for ranges in [true, false] {
        let (b, server) = (Bench::new(), cutting(bytes.clone(), 40_000, ranges));
        let file = place(&b, UNSTATED);
        let told = ["the connection ended after 40000 of 100000 bytes; run the same command again to go on"];
        refused(&mut pulling(&b, UNSTATED.0, &server.at("x")), 3, &told);
        assert!(!file.exists() && fs::read(Part::path_of(&file)).unwrap() == bytes[..40_000]);
        let out = pulling(&b, UNSTATED.0, &server.at("x")).arg("--json").output().unwrap();
        let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        assert_eq!(json["resumed"], if ranges { 40_000 } else { 0 });
        assert_eq!(text(&out.stderr).contains("does not go on where the part ends"), !ranges);
        assert_eq!(fs::read(&file).unwrap(), bytes);
        let head = &server.asked()[1];
        assert!(head.contains("range: bytes=40000-\r") && head.contains("if-range: \"a\"\r"), "{head}");
    }
}

#[test]
fn a_part_of_another_file_is_not_continued() {
    let (b, bytes) = (Bench::new(), content(50_000));
    let file = place(&b, UNSTATED);
    let part = Part::path_of(&file);
    let origin = PathBuf::from(format!("{}.json", part.display()));
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let left = |address: &str, tag: &str, n: usize| {
        fs::write(&part, &content(n + 1)[1..]).unwrap();
        fs::write(&origin, serde_json::json!({"address": address, "validator": tag}).to_string()).unwrap();
    };
    let server = Server::file(bytes.clone(), "\"new\"");
    let at = server.at("x");
    // Another version, another server, more than there is, nothing known of it.
    for (address, tag, n) in
        [(at.as_str(), "\"old\"", 9), ("http://127.0.0.1:1/x", "\"new\"", 9), (&at, "\"new\"", 60_000)]
    {
        left(address, tag, n);
        done(&mut pulling(&b, UNSTATED.0, &at));
        assert_eq!(fs::read(&file).unwrap(), bytes, "{address} {tag}");
        fs::remove_file(&file).unwrap();
    }
    fs::write(&part, b"?").unwrap();
    done(&mut pulling(&b, UNSTATED.0, &at));
    assert_eq!(fs::read(&file).unwrap(), bytes);
    // All of it is there already: the server has nothing to add.
    fs::remove_file(&file).unwrap();
    left(&at, "\"new\"", 0);
    fs::write(&part, &bytes).unwrap();
    done(&mut pulling(&b, UNSTATED.0, &at));
    assert_eq!(fs::read(&file).unwrap(), bytes);
    assert!(server.asked().last().unwrap().contains("range: bytes=50000-\r") && !part.exists() && !origin.exists());
}

#[test]
fn what_servers_refuse_is_said() {
    let b = Bench::new();
    let server = Server::new(|head, to| match head.split(' ').nth(1).unwrap() {
        "/page" => send(to, "200 OK", "Content-Type: text/html; charset=utf-8", b"<html>Sign in"),
        "/endless" => to.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf a file"),
        "/noise" => to.write_all(b"SSH-2.0-OpenSSH\r\n\r\n"),
        status => send(to, &format!("{} Status", &status[1..]), "X: y", b"no"),
    });
    for (path, code, want) in [
        ("404", 3, &["answered 404", "the file is not there", "--from"][..]),
        ("403", 3, &["answered 403", "does not give it to everybody"]),
        ("500", 3, &["answered 500", "try again later"]),
        ("206", 3, &["answered 206"]),
        ("page", 4, &["expected a file, got a web page; nothing was kept"]),
        ("endless", 3, &["does not say how long the file is"]),
        ("noise", 3, &["127.0.0.1"]),
    ] {
        refused(&mut pulling(&b, UNSTATED.0, &server.at(path)), code, want);
        nothing_left(&b);
    }
    refused(&mut pulling(&b, UNSTATED.0, "http://127.0.0.1:1/x"), 3, &["http://127.0.0.1:1/x: "]);
    refused(&mut pulling(&b, UNSTATED.0, "ftp://me:secret@x/y"), 2, &["ftp://x/y: expected an address that begins"]);
    refused(
        &mut pulling(&b, "resnet18", ""),
        2,
        &["unknown weights `resnet18`; available: resnet18.tv_v1, resnet18.a1_in1k"],
    );
    nothing_left(&b);
}

#[test]
fn chunks_end_by_themselves() {
    let b = Bench::new();
    let server = Server::new(|_, to| {
        to.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n4\r\n you\r\n0\r\n\r\n")
    });
    done(&mut pulling(&b, UNSTATED.0, &server.at("x")));
    assert_eq!(fs::read(place(&b, UNSTATED)).unwrap(), b"hello you");
}

#[test]
fn redirects_are_followed_but_not_for_ever() {
    let (b, bytes) = (Bench::new(), content(2000));
    let sent = bytes.clone();
    let server = Server::new(move |head, to| match head.split(' ').nth(1).unwrap() {
        "/a/old" => send(to, "302 Found", "Location: ../b", b""),
        "/b" => send(to, "301 Moved Permanently", "Location: /new", b""),
        "/new" => send(to, "200 OK", "ETag: \"1\"", &sent),
        round => send(to, "302 Found", &format!("Location: {round}"), b""),
    });
    done(&mut pulling(&b, UNSTATED.0, &server.at("a/old")));
    assert_eq!(fs::read(place(&b, UNSTATED)).unwrap(), bytes);
    // What is resumed is resumed where the redirects lead.
    let file = place(&b, UNSTATED);
    fs::rename(&file, Part::path_of(&file)).unwrap();
    let origin = serde_json::json!({"address": server.at("a/old"), "validator": "\"1\""});
    fs::write(format!("{}.json", Part::path_of(&file).display()), origin.to_string()).unwrap();
    done(&mut pulling(&b, UNSTATED.0, &server.at("a/old")));
    let last = server.asked().pop().unwrap();
    assert!(last.starts_with("GET /new ") && last.contains("range: bytes=2000-\r"), "{last}");
    let before = server.asked().len();
    refused(&mut pulling(&b, "resnet18.tv_v1", &server.at("round")), 3, &["redirects more than 5 times"]);
    assert_eq!(server.asked().len() - before, 6);
}

#[test]
fn the_environments_proxy_is_used() {
    let (b, bytes) = (Bench::new(), content(2000));
    let server = Server::file(bytes.clone(), "\"1\"");
    let proxy = Server::proxy(server.port);
    let through = |b: &Bench, host: &str, variable: &str| {
        let mut command = pulling(b, UNSTATED.0, &format!("http://{host}/x"));
        command.env(variable, format!("http://127.0.0.1:{}", proxy.port));
        command
    };
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        done(&mut through(&b, "lupe.invalid", variable));
        assert_eq!(fs::read(place(&b, UNSTATED)).unwrap(), bytes);
        fs::remove_file(place(&b, UNSTATED)).unwrap();
    }
    assert!(
        proxy.asked().len() == 3 && proxy.asked()[0].starts_with("CONNECT lupe.invalid:80 "),
        "{:?}",
        proxy.asked()
    );
    // HTTPS_PROXY is for addresses with TLS; NO_PROXY is of hosts and of what is below them.
    refused(
        &mut through(&b, "lupe.invalid", "HTTPS_PROXY"),
        3,
        &["lookup", "where a proxy is needed, set HTTPS_PROXY"],
    );
    let none = |list: &str| through(&b, "a.lupe.invalid", "HTTP_PROXY").env("NO_PROXY", list).take();
    for list in ["x.y, lupe.invalid", "a.lupe.invalid", ".lupe.invalid", "*"] {
        refused(&mut none(list), 3, &["where a proxy is needed"]);
    }
    assert_eq!(proxy.asked().len(), 3);
    done(&mut none("other.invalid"));
    let mut bad = pulling(&b, "resnet18.tv_v1", &server.at("x"));
    let told = bad.env("HTTP_PROXY", "telnet://me:secret@x").output().unwrap();
    assert_eq!(told.status.code(), Some(2));
    assert!(
        text(&told.stderr).contains("HTTP_PROXY: is not the address of a proxy")
            && !text(&told.stderr).contains("secret")
    );
    let gone = pulling(&b, "resnet18.tv_v1", &server.at("x")).env("HTTP_PROXY", "http://127.0.0.1:1").take();
    refused(&mut { gone }, 3, &["127.0.0.1"]);
}
