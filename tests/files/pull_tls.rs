//! `lupe weights pull` over TLS: the system's certificates decide, and nothing leads from https to http. The certificates of
//! `fixtures/tls` are for `localhost`, valid for a hundred years, and signed by an authority whose key was thrown away.
#![cfg(all(feature = "pull", target_os = "linux"))]

use crate::common::program::{Bench, done, lupe, refused};
use crate::common::server::{Server, head, send};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};
use std::fs;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

const AUTHORITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls/ca.pem");
const NAME: &str = "resnet50.dino";

/// A server with TLS; its port.
fn serve(answer: fn(&str, &mut dyn Write) -> io::Result<()>) -> u16 {
    let der = |name: &str| fs::read(Path::new(AUTHORITY).with_file_name(name)).unwrap();
    let key = PrivateKeyDer::try_from(der("localhost.key.der")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(der("localhost.der"))], key);
    let config = Arc::new(config.unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let one = move |mut tcp: TcpStream| -> io::Result<()> {
        let mut session = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
        let mut stream = Stream::new(&mut session, &mut tcp);
        let head = head(&mut stream)?;
        answer(&head, &mut stream)?;
        session.send_close_notify();
        session.complete_io(&mut tcp).map(drop)
    };
    // A client that turns away is what one of the tests is about.
    std::thread::spawn(move || listener.incoming().flatten().for_each(|tcp| drop(one(tcp))));
    port
}

fn pulling(b: &Bench, from: &str) -> Command {
    let mut command = lupe();
    for variable in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_DIR"] {
        command.env_remove(variable).env_remove(variable.to_lowercase());
    }
    command.env("XDG_CACHE_HOME", b.path("cache")).env("SSL_CERT_FILE", AUTHORITY);
    command.args(["weights", "pull", NAME, "--timeout", "20", "--from", from]);
    command
}

#[test]
fn the_systems_certificates_decide() {
    let b = Bench::new();
    let port = serve(|_, to| send(to, "200 OK", "ETag: \"1\"", b"weights"));
    let at = format!("https://localhost:{port}/x");
    let file = b.path("cache/lupe/weights").join(NAME).join("dino_resnet50_pretrain.pth");
    done(&mut pulling(&b, &at));
    assert_eq!(fs::read(&file).unwrap(), b"weights");
    fs::remove_file(&file).unwrap();
    // Through a proxy, which sees nothing of it.
    let proxy = Server::proxy(port);
    let via = format!("http://127.0.0.1:{}", proxy.port);
    done(pulling(&b, "https://localhost/x").env("HTTPS_PROXY", &via));
    assert_eq!(fs::read(&file).unwrap(), b"weights");
    assert!(proxy.asked()[0].starts_with("CONNECT localhost:443 "), "{:?}", proxy.asked());
    fs::remove_file(&file).unwrap();
    // Another name than the certificate's, and an authority that the system does not know.
    refused(&mut pulling(&b, &at.replace("localhost", "127.0.0.1")), 3, &["certificate", "not valid for"]);
    let strangers = b.write("none.pem", b"");
    refused(pulling(&b, &at).env("SSL_CERT_FILE", &strangers), 3, &["certificate"]);
    assert!(!file.exists());
}

#[test]
fn nothing_leads_from_https_to_http() {
    let b = Bench::new();
    let open = Server::file(b"weights".to_vec(), "\"1\"");
    let port = serve(|head, to| {
        let to_port = head.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
        send(to, "302 Found", &format!("Location: http://127.0.0.1:{to_port}/x"), b"")
    });
    let told = ["redirects from https to an address without it, which is not followed"];
    refused(&mut pulling(&b, &format!("https://localhost:{port}/{}", open.port)), 3, &told);
    assert!(open.asked().is_empty());
    // Nor by way of http, which somebody chose.
    let first = Server::new(move |head, to| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        send(to, "302 Found", &format!("Location: https://localhost:{port}{path}"), b"")
    });
    refused(&mut pulling(&b, &first.at(&open.port.to_string())), 3, &told);
    assert!(!b.path("cache/lupe/weights").exists());
}
