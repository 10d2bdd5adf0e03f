//! Tests with real sockets and fake name servers.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use futures_lite::{AsyncReadExt, AsyncWriteExt};

use crate::net::{TcpListener, block_on, spawn};
use crate::{Connector, Error, Name, Resolver, is_public};

/// Returns its answers in order; a query after the last one fails the test.
struct Answers(Mutex<VecDeque<Vec<IpAddr>>>);

impl Resolver for Answers {
    fn resolve(&self, _: &str) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
        let answer = self.0.lock().unwrap().pop_front().expect("a name is resolved once");
        Box::pin(std::future::ready(Ok(answer)))
    }
}

fn answers(all: &[&[&str]]) -> Arc<Answers> {
    let parsed = all.iter().map(|one| one.iter().map(|address| address.parse().unwrap()).collect());
    Arc::new(Answers(Mutex::new(parsed.collect())))
}

fn domain(name: &str) -> Name {
    Name::Domain(name.to_owned())
}

#[test]
fn addresses_are_public_or_not() {
    let public = [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2606:4700:4700::1111",
        "2001:4860:4860::8888",
        "2001:200::",
        "3ffe::1",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2003::1",
    ];
    let inside = [
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.0.0",
        "169.254.169.254",
        "172.16.0.0",
        "172.31.255.255",
        "192.0.0.0",
        "192.0.0.255",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.0",
        "192.168.255.255",
        "198.18.0.0",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.0",
        "255.255.255.255",
        "::",
        "::1",
        "::2",
        "::ffff:0.0.0.0",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:192.168.1.1",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:0:8.8.8.8",
        "64:ff9b::127.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:10::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "2002:808:808::1",
        "3fff::1",
        "4000::1",
        "5f00::1",
        "fc00::1",
        "fd00::1",
        "fd00:ec2::254",
        "fdff:ffff::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff00::1",
        "ff02::1",
        "ff0e::1",
    ];
    for address in public {
        assert!(is_public(address.parse().unwrap()), "{address}");
    }
    for address in inside {
        assert!(!is_public(address.parse().unwrap()), "{address}");
    }
}

#[test]
fn one_address_inside_refuses_the_whole_name() {
    for found in [&["127.0.0.1"][..], &["8.8.8.8", "10.0.0.1"], &["2606:4700::1", "::1"]] {
        let connector = Connector::with(answers(&[found]), false);
        let error = block_on(connector.connect(&domain("example.com"), 80, None)).unwrap_err();
        assert!(matches!(error, Error::LeadsInside { .. }), "{error}");
    }
    let error =
        block_on(Connector::with(answers(&[&[]]), false).connect(&domain("example.com"), 80, None)).unwrap_err();
    assert!(matches!(error, Error::NoAddress(_)), "{error}");
    let error = block_on(Connector::new(false).connect(&Name::Address([127, 0, 0, 1].into()), 80, None)).unwrap_err();
    assert!(matches!(error, Error::NotPublic(_)), "{error}");
}

#[test]
fn the_connection_goes_to_the_first_answer_that_works_and_nobody_asks_again() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"hello").await.unwrap();
        });
        // Nothing listens on the first address.
        let connector = Connector::with(answers(&[&["127.0.0.9", "127.0.0.1"]]), true);
        let mut stream = connector.connect(&domain("example.com"), port, None).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hello");
        served.await;
    });
}

#[test]
fn who_takes_no_connection_is_named() {
    let port = block_on(async { TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port() });
    let error = block_on(Connector::new(true).connect(&domain("localhost"), port, None)).unwrap_err().to_string();
    assert!(error.contains("could not connect") && error.contains(&port.to_string()), "{error}");
    let error = block_on(Connector::new(true).connect(&domain("no-such-name.invalid"), port, None)).unwrap_err();
    assert!(matches!(error, Error::Resolve { .. }), "{error}");
}
