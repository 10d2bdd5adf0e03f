//! Attempts to reach addresses that are not public. Each is refused, nothing is sent, and the error names no manifest
//! line that would allow it.

use std::sync::Arc;

use serde_json::json;
use theater_connector::Resolver;

use crate::tests::{Answers, Says, Server, exactly, resolved};

/// URIs whose host is an address, in every spelling that some parser accepts.
const ADDRESSES: [&str; 92] = [
    "http://127.0.0.1/",
    "http://127.0.0.1:80/",
    "http://127.0.0.2/",
    "http://127.1.2.3/",
    "http://127.255.255.255/",
    "http://0.0.0.0/",
    "http://0.0.0.0:8080/",
    "http://0.1.2.3/",
    "http://10.0.0.1/",
    "http://10.255.255.255/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.0.1/",
    "http://192.168.255.255/",
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.0.1/",
    "http://169.254.170.2/",
    "http://100.64.0.1/",
    "http://100.100.100.200/",
    "http://192.0.0.192/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://239.1.2.3/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://192.0.2.1/",
    "http://198.51.100.1/",
    "http://203.0.113.1/",
    // Decimal, octal, hexadecimal, short, and mixed.
    "http://2130706433/",
    "http://017700000001/",
    "http://0x7f000001/",
    "http://0x7f.0x0.0x0.0x1/",
    "http://0177.0.0.1/",
    "http://0177.0.0.01/",
    "http://127.1/",
    "http://127.0.1/",
    "http://127.00.0.1/",
    "http://127.000.000.001/",
    "http://0x7f.1/",
    "http://0177.1/",
    "http://127.0x1/",
    "http://0/",
    "http://0x0/",
    "http://00/",
    "http://0.0/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0xa9.0xfe.0xa9.0xfe/",
    "http://0251.0376.0251.0376/",
    "http://025177524776/",
    "http://169.254.43518/",
    "http://169.16689662/",
    "http://3232235521/",
    "http://167772161/",
    "http://4294967295/",
    "http://4294967296/",
    "http://0x100000000/",
    "http://1.2.3.4.5/",
    "http://256.1.1.1/",
    "http://127.0.0.1./",
    "http://2130706433./",
    "http://%31%32%37.0.0.1/",
    "http://127%2e0%2e0%2e1/",
    "http://127.0.0.1%00.example.com/",
    "http://127.0.0.1%23.example.com/",
    "http://127.0.0.1\\@example.com/",
    "http://\u{2460}27.0.0.1/",
    "http://127\u{3002}0\u{3002}0\u{3002}1/",
    "http://\u{ff11}27.0.0.1/",
    // IPv6.
    "http://[::1]/",
    "http://[::]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[::ffff:10.0.0.1]/",
    "http://[::127.0.0.1]/",
    "http://[::7f00:1]/",
    "http://[64:ff9b::127.0.0.1]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[2002:7f00:1::]/",
    "http://[2002:a9fe:a9fe::]/",
    "http://[2001::1]/",
    "http://[fd00:ec2::254]/",
    "http://[fc00::1]/",
    "http://[fd12:3456:789a::1]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25lo]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[100::1]/",
];

/// URIs with misleading text before or after the host that counts.
const SPELLINGS: [&str; 30] = [
    "http://example.com@127.0.0.1/",
    "http://example.com:80@127.0.0.1/",
    "http://127.0.0.1@example.com/",
    "http://example.com%40127.0.0.1/",
    "http://example.com#@127.0.0.1/x",
    "http://127.0.0.1#@example.com/",
    "http://127.0.0.1?@example.com/",
    "http:/127.0.0.1/",
    "http:127.0.0.1/",
    "http:///127.0.0.1/",
    "//127.0.0.1/",
    "http:\\\\127.0.0.1\\",
    "http://example.com\\.127.0.0.1/",
    "http://127.0.0.1\t/",
    "http://127.0.\n0.1/",
    "http://127.0.0.1\r\nx: y/",
    " http://127.0.0.1/",
    "\thttp://127.0.0.1/",
    "HTTP://127.0.0.1/",
    "hTTps://127.0.0.1/",
    "https://127.0.0.1/",
    "https://[::1]/",
    "http://127.0.0.1:65536/",
    "http://127.0.0.1:0/",
    "http://127.0.0.1:/",
    "ftp://127.0.0.1/",
    "file:///etc/passwd",
    "gopher://127.0.0.1/",
    "dict://127.0.0.1/",
    "unix:///var/run/docker.sock",
];

/// Addresses that a name may resolve to.
const ANSWERS: [&str; 24] = [
    "127.0.0.1",
    "127.0.0.53",
    "0.0.0.0",
    "10.1.2.3",
    "172.17.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "198.18.0.1",
    "224.0.0.251",
    "255.255.255.255",
    "240.0.0.1",
    "::1",
    "::",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "fe80::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::fb",
    "2002:a00:1::",
    "2001:db8::1",
];

/// [http-client-11] [http-client-12] [http-client-13] [http-client-14] [http-client-15] [http-client-16]
#[test]
fn no_spelling_of_an_address_inside_is_reached() {
    // The actor may reach one public host and its subdomains, but none of the addresses.
    let actor = exactly(json!({ "allowed_hosts": ["example.com", "*.example.com"] }));
    for uri in ADDRESSES.iter().chain(&SPELLINGS) {
        let error = actor.get(uri).expect_err(uri);
        assert!(!error.contains("config ="), "{uri}: {error}");
    }
}

/// [http-client-11] [http-client-12] [http-client-13] [http-client-14] [http-client-15]
#[test]
fn no_name_leads_inside() {
    for address in ANSWERS {
        let answers = Answers::new(&[address]);
        let actor = resolved(json!({ "allowed_hosts": ["example.com"] }), answers as Arc<dyn Resolver>);
        let error = actor.get("http://example.com/").expect_err(address);
        assert!(error.contains("address of the public internet") && !error.contains("config ="), "{address}: {error}");
    }
}

/// [http-client-18]
#[test]
fn no_redirect_leads_inside() {
    // A server that the actor may reach redirects it.
    for uri in ADDRESSES.iter().chain(&SPELLINGS).filter(|uri| uri.is_ascii() && !uri.contains(['\r', '\n', '#', '?']))
    {
        let server =
            Server::start(vec![Says::Last(format!("HTTP/1.1 302 x\r\nlocation: {uri}\r\ncontent-length: 0\r\n\r\n"))]);
        let host = server.url("").replace("http://", "");
        let actor = exactly(json!({ "allowed_hosts": [host], "allow_private_addresses": true }));
        let error = actor.get(&server.url("/")).expect_err(uri);
        assert!(!error.contains("config ="), "{uri}: {error}");
        assert_eq!(server.seen().len(), 1, "{uri}");
    }
}

#[test]
fn there_are_as_many_vectors_as_promised() {
    assert!(ADDRESSES.len() + SPELLINGS.len() + ANSWERS.len() >= 120);
}
