//! A web server outside of Theater, for actors that send HTTP requests.
//!
//! `/missing` answers 404, `/break` closes the connection, `/silent` never answers, and any other path is a short text.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// The server; it runs until the process ends.
pub struct Upstream {
    pub address: SocketAddr,
    /// The number of requests to `/silent`.
    silent: Arc<AtomicUsize>,
}

impl Upstream {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let silent = Arc::new(AtomicUsize::new(0));
        let of_thread = Arc::clone(&silent);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let silent = Arc::clone(&of_thread);
                // Connection errors show in the actor's own result.
                thread::spawn(move || drop(answer(stream, &silent)));
            }
        });
        Self { address, silent }
    }

    pub fn silent(&self) -> usize {
        self.silent.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: TcpStream, silent: &AtomicUsize) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let begun = head.len();
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
        let line = head.get(begun..).unwrap_or_default().to_ascii_lowercase();
        length = line.strip_prefix("content-length:").map_or(length, |value| value.trim().parse().unwrap_or(0));
    }
    reader.read_exact(&mut vec![0; length])?;
    let path = head.split(' ').nth(1).unwrap_or_default();
    let (status, body) = match path.rsplit('/').next() {
        Some("break") => return Ok(()),
        Some("silent") => {
            silent.fetch_add(1, Ordering::SeqCst);
            return reader.read_to_end(&mut Vec::new()).map(drop);
        }
        Some("missing") => ("404 Not Found", "not here"),
        _ => ("200 OK", "from upstream"),
    };
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes())
}
