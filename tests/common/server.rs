//! A server on 127.0.0.1 that a test runs: it answers each request as it is told, and remembers what it was asked.
#![allow(dead_code)]

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A running server; it ends with the test.
pub struct Server {
    pub port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Answers every connection by `answer`, which gets the head of the request.
    pub fn new(answer: impl Fn(&str, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, asked) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(vec![])));
        let (answer, log) = (Arc::new(answer), asked.clone());
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (answer, log) = (answer.clone(), log.clone());
                thread::spawn(move || {
                    let head = head(&mut stream)?;
                    log.lock().unwrap().push(head.clone());
                    answer(&head, &mut stream)
                });
            }
        });
        Server { port, asked }
    }

    /// Serves one file with a tag: whole, or from where it is asked for, if the tag is still the same.
    pub fn file(bytes: Vec<u8>, tag: &'static str) -> Server {
        Server::new(move |head, to| {
            let from = asked_from(head).filter(|_| head.contains(&format!("if-range: {tag}\r")));
            let (status, of) = match from {
                Some(from) if from >= bytes.len() => {
                    return send(
                        to,
                        "416 Range Not Satisfiable",
                        &format!("Content-Range: bytes */{}", bytes.len()),
                        b"",
                    );
                }
                Some(from) => (
                    format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{}", bytes.len() - 1, bytes.len()),
                    from,
                ),
                None => ("200 OK".into(), 0),
            };
            send(to, &status, &format!("ETag: {tag}"), &bytes[of..])
        })
    }

    /// Passes connections on, whatever host they are for, to one port of this machine.
    pub fn proxy(to: u16) -> Server {
        Server::new(move |_, from| {
            let mut there = TcpStream::connect(("127.0.0.1", to))?;
            from.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
            let (mut back, mut home) = (there.try_clone()?, from.try_clone()?);
            thread::spawn(move || {
                io::copy(&mut back, &mut home).and_then(|_| home.shutdown(std::net::Shutdown::Write))
            });
            io::copy(from, &mut there).map(drop)
        })
    }

    /// The address of a file there.
    pub fn at(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// The heads of all requests so far, names of headers in small letters.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// The first byte that a request asks for, if it asks for a part.
pub fn asked_from(head: &str) -> Option<usize> {
    head.split_once("\r\nrange: bytes=")?.1.split_once('-')?.0.parse().ok()
}

/// An answer with the length of its body.
pub fn send(to: &mut dyn Write, status: &str, header: &str, body: &[u8]) -> io::Result<()> {
    write!(to, "HTTP/1.1 {status}\r\n{header}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    to.write_all(body)?;
    to.flush()
}

/// The head of a request.
pub fn head(from: &mut dyn Read) -> io::Result<String> {
    let (mut head, mut byte) = (vec![], [0]);
    while !head.ends_with(b"\r\n\r\n") {
        from.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let lower = |line: &str| match line.split_once(": ") {
        Some((name, value)) => format!("{}: {value}", name.to_lowercase()),
        None => line.into(),
    };
    Ok(text.split("\r\n").map(lower).collect::<Vec<_>>().join("\r\n"))
}
