//! `lupe weights pull` that is interrupted, left waiting, or out of room, and what it says without a connection.
#![cfg(all(feature = "pull", unix))]

use crate::common::program::{Bench, done, lupe, no_gpu, refused, text};
use crate::common::server::{Server, asked_from, send};
use crate::common::skip::{skip, this_test};
use lupe::files::Part;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const NAME: &str = "resnet50.dino";

fn pulling(cache: &Path, from: &str) -> Command {
    let mut command = lupe();
    for variable in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(variable).env_remove(variable.to_lowercase());
    }
    command.env("XDG_CACHE_HOME", cache).args(["weights", "pull", NAME, "--from", from]);
    command
}

fn place(cache: &Path) -> PathBuf {
    cache.join("lupe/weights").join(NAME).join("dino_resnet50_pretrain.pth")
}

/// A server that sends the first half of a file and falls silent, unless it is asked for the rest.
fn stalling(bytes: Vec<u8>) -> Server {
    Server::new(move |head, to| match asked_from(head) {
        Some(from) => {
            let range = format!("Content-Range: bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
            send(to, "206 Partial Content", &range, &bytes[from..])
        }
        None => {
            write!(to, "HTTP/1.1 200 OK\r\nETag: \"s\"\r\nContent-Length: {}\r\n\r\n", bytes.len())?;
            to.write_all(&bytes[..bytes.len() / 2])?;
            std::thread::sleep(Duration::from_secs(60));
            Ok(())
        }
    })
}

#[test]
fn an_interrupt_leaves_the_part_and_the_next_pull_goes_on() {
    let (b, bytes) = (Bench::new(), vec![7; 200_000]);
    let (cache, server) = (b.path("cache"), stalling(bytes.clone()));
    let part = Part::path_of(&place(&cache));
    let child = pulling(&cache, &server.at("x")).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    while fs::metadata(&part).map_or(0, |m| m.len()) < 100_000 {
        std::thread::sleep(Duration::from_millis(2));
    }
    // Meanwhile another pull of the same file waits for nothing and spoils nothing.
    refused(&mut pulling(&cache, &server.at("x")), 10, &["another process is writing it"]);
    let sent = Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let end = child.wait_with_output().unwrap();
    let said = text(&end.stderr);
    assert_eq!(end.status.code(), Some(130), "{said}");
    assert!(said.contains(".pth.part; run the same command again to go on"), "{said}");
    assert!(!place(&cache).exists() && fs::metadata(&part).unwrap().len() == 100_000);
    done(&mut pulling(&cache, &server.at("x")));
    assert!(fs::read(place(&cache)).unwrap() == bytes && !part.exists());
    assert!(server.asked().last().unwrap().contains("range: bytes=100000-\r"));
}

#[test]
fn silence_has_an_end() {
    let b = Bench::new();
    let (cache, server) = (b.path("cache"), stalling(vec![7; 1000]));
    let told = ["nothing came for 1 s after 500 of 1000 bytes; run the same command again to go on"];
    refused(pulling(&cache, &server.at("x")).args(["--timeout", "1"]), 124, &told);
    assert_eq!(fs::metadata(Part::path_of(&place(&cache))).unwrap().len(), 500);
    let mute = Server::new(|_, _| {
        std::thread::sleep(Duration::from_secs(60));
        Ok(())
    });
    refused(pulling(&b.path("other"), &mute.at("x")).args(["--timeout", "1"]), 124, &["nothing came for 1 s"]);
    assert!(!b.path("other").join("lupe").exists());
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_code_10_and_keeps_what_came() {
    let b = Bench::new();
    let mount = b.path("mount");
    fs::create_dir(&mount).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&mount).status();
    if !mounted.is_ok_and(|s| s.success()) {
        return skip(&this_test(), "a tmpfs may not be mounted here");
    }
    let server = Server::file(vec![7; 3_000_000], "\"1\"");
    let result = std::panic::catch_unwind(|| {
        let told = ["cannot be written", "No space left", "make room and run the same command again"];
        refused(&mut pulling(&mount, &server.at("x")), 10, &told);
        let kept = fs::metadata(Part::path_of(&place(&mount))).unwrap().len();
        assert!(!place(&mount).exists() && kept > 500_000, "{kept}");
        // With room, it goes on.
        let more = Command::new("mount").args(["-o", "remount,size=8m"]).arg(&mount).status().unwrap();
        assert!(more.success());
        done(&mut pulling(&mount, &server.at("x")));
        assert_eq!(fs::read(place(&mount)).unwrap(), vec![7; 3_000_000]);
        assert!(asked_from(server.asked().last().unwrap()).is_some_and(|from| from > 500_000));
    });
    assert!(Command::new("umount").arg(&mount).status().unwrap().success());
    result.unwrap();
}

#[test]
fn printing_needs_no_connection_and_tells_what_a_hand_does() {
    let b = Bench::new();
    let pull = |name: &str| {
        let mut command = lupe();
        command.env("XDG_CACHE_HOME", b.path("cache")).args(["weights", "pull", name]);
        command
    };
    let said = done(pull("dinov2_vits14.facebook").arg("--print"));
    for part in [
        "https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/dinov2_vits14_pretrain.pth",
        "88283115 bytes",
        "Apache-2.0",
        "its SHA-256, b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9 (stated by several projects",
        "cache/lupe/weights/dinov2_vits14.facebook/dinov2_vits14_pretrain.pth",
    ] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    let said = done(pull("caml.clip").arg("--print"));
    assert!(said.contains("by hand  Google Drive asks a person") && said.contains("CAML_CLIP/model.pth"), "{said}");
    let json: serde_json::Value = serde_json::from_str(&done(pull("caml.clip").args(["--print", "--json"]))).unwrap();
    assert!(json["published"]["hand"].is_string() && json["there"] == false, "{json}");
    let want = ["https://drive.google.com/", "caml_pretrained_models", "and move it to", "weights/caml.clip/model.pth"];
    refused(&mut pull("caml.clip"), 2, &want);
    assert!(!b.path("cache").exists());
}

#[test]
fn weights_are_named_where_files_are() {
    let b = Bench::new();
    let with = |words: &[&str]| {
        let mut command = lupe();
        command.env("XDG_CACHE_HOME", b.path("cache")).current_dir(b.dir.path()).args(words);
        command
    };
    let advice = "get it with `lupe weights pull resnet50.dino`";
    refused(&mut with(&["weights", "inspect", NAME]), 4, &[advice]);
    refused(&mut with(&["embed", "x.png", "--model", "resnet50", "--weights", NAME]), 4, &[advice]);
    refused(with(&["weights", "inspect", NAME]).env_remove("XDG_CACHE_HOME").env_remove("HOME"), 4, &[advice]);
    let thin = Path::new(env!("CARGO_MANIFEST_DIR")).join("weights/resnet50_thin.f16.safetensors");
    fs::create_dir_all(place(&b.path("cache")).parent().unwrap()).unwrap();
    fs::copy(&thin, place(&b.path("cache"))).unwrap();
    assert!(done(&mut with(&["weights", "inspect", NAME])).contains("resnet50_thin"));
    // A file of that name comes first.
    b.write(NAME, b"mine");
    refused(&mut with(&["weights", "inspect", NAME]), 4, &["resnet50.dino: "]);
    fs::remove_file(b.path(NAME)).unwrap();
    if no_gpu() {
        return;
    }
    let picture = b.picture("a.png");
    let by = |weights: &str| {
        let mut command = with(&["embed", "--model", "resnet50_thin", "--json", "--weights", weights]);
        done(command.arg(&picture))
    };
    assert_eq!(by(NAME), by(thin.to_str().unwrap()));
}

/// Where there is no network at all, every command but `pull` does what it does anywhere.
#[test]
#[cfg(target_os = "linux")]
fn no_other_command_opens_a_connection() {
    let alone = |words: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["-n", env!("CARGO_BIN_EXE_lupe")]).args(words);
        let usual = lupe();
        command.envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    };
    if !alone(&["--version"]).output().is_ok_and(|o| o.status.success()) {
        return skip(&this_test(), "a network namespace may not be made here");
    }
    let b = Bench::new();
    let picture = b.picture("a.png");
    let picture = picture.to_str().unwrap();
    let embedded = ["embed", picture, "--json"];
    for words in
        [&["weights", "list"][..], &["weights", "pull", "caml.clip", "--print"], &["help", "exit-codes"], &embedded]
    {
        if words[0] == "embed" && no_gpu() {
            continue;
        }
        assert_eq!(done(&mut alone(words)), done(lupe().args(words)), "{words:?}");
    }
    let cache = b.path("cache");
    let mut pull = alone(&["weights", "pull", NAME]);
    refused(
        pull.env("XDG_CACHE_HOME", &cache).env_remove("HTTPS_PROXY").env_remove("ALL_PROXY"),
        3,
        &["where a proxy is needed"],
    );
    assert!(!cache.join("lupe").exists());
}
