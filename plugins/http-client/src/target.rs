//! Parses and checks the URI of a request.

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use theater_connector::Name;
use url::{Host, Url};

use crate::error::Error;

/// A parsed absolute `http` or `https` URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub secure: bool,
    pub name: Name,
    pub port: u16,
    /// Path and query as given, without normalization: a signature may cover them.
    pub path: String,
    url: Url,
}

impl fmt::Display for Target {
    /// Formats the URI without its query, which may contain secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.url.scheme(), self.authority(), self.url.path())
    }
}

impl Target {
    /// Parses a URI (RFC 3986). Refuses spellings that two parsers could read differently: spaces, control characters,
    /// bytes outside ASCII, backslashes, user names, percent-encoded hosts, and IPv4 addresses that are not written as
    /// four decimal numbers.
    pub fn parse(uri: &str) -> Result<Self, Error> {
        let wrong = |why| Error::Uri { uri: uri.to_owned(), why };
        if !uri.bytes().all(|byte| byte.is_ascii_graphic()) || uri.contains('\\') {
            return Err(wrong("it has characters that have to be percent-encoded"));
        }
        let absolute = "an absolute one is needed, such as https://example.com/path";
        let (scheme, rest) = uri.split_once("://").ok_or_else(|| wrong(absolute))?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(wrong("its scheme is neither http nor https")),
        };
        let url = Url::parse(uri).map_err(|_| wrong(absolute))?;
        let written = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if written.is_empty() {
            return Err(wrong(absolute));
        }
        if written.contains('@') {
            return Err(wrong("it names a user; send the header authorization instead"));
        }
        let name = match url.host() {
            None => return Err(wrong(absolute)),
            Some(Host::Ipv6(address)) => Name::Address(address.into()),
            Some(Host::Ipv4(address)) => {
                let host = written.split(':').next().unwrap_or_default();
                if host != address.to_string() {
                    return Err(wrong("its address is not written as four decimal numbers"));
                }
                Name::Address(address.into())
            }
            Some(Host::Domain(domain)) => {
                if written.contains('%') {
                    return Err(wrong("its host is percent-encoded"));
                }
                Name::Domain(domain.to_owned())
            }
        };
        let port = url.port_or_known_default().filter(|port| *port > 0).ok_or_else(|| wrong("no server has port 0"))?;
        let path = path_and_query(rest.get(written.len()..).unwrap_or_default());
        Ok(Self { secure, name, port, path, url })
    }

    /// Returns the host, with the port if it is not the scheme's default.
    pub fn authority(&self) -> String {
        match self.url.port() {
            Some(port) => format!("{}:{port}", self.name),
            None => self.name.to_string(),
        }
    }

    /// Returns whether both have the same scheme, host and port.
    pub fn is_at(&self, other: &Self) -> bool {
        (self.secure, &self.name, self.port) == (other.secure, &other.name, other.port)
    }

    /// Resolves the value of a `location` header (RFC 9110, section 10.2.2) against this URI.
    pub fn join(&self, location: &str) -> Result<Self, Error> {
        let nowhere = || Error::Location { from: self.to_string(), location: location.to_owned() };
        let url = self.url.join(location).map_err(|_| nowhere())?;
        Self::parse(url.as_str()).map_err(|_| nowhere())
    }

    /// Returns the URI in the type that surf requires.
    pub fn url(&self) -> Url {
        self.url.clone()
    }
}

/// Visible ASCII characters that are not allowed in a request target (RFC 3986, sections 3.3 and 3.4) and are
/// percent-encoded. Square brackets are not allowed either, but clients commonly send them.
const NOT_IN_A_TARGET: &AsciiSet =
    &CONTROLS.add(b'"').add(b'<').add(b'>').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

/// Returns the path and query from the part of a URI after its authority, without the fragment.
fn path_and_query(behind: &str) -> String {
    let target = behind.split('#').next().unwrap_or_default();
    let slash = if target.starts_with('/') { "" } else { "/" };
    format!("{slash}{}", utf8_percent_encode(target, NOT_IN_A_TARGET))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_sent_as_it_was_given() {
        for (uri, path) in [
            ("http://a", "/"),
            ("http://a?b", "/?b"),
            ("http://a#b", "/"),
            ("http://a/%2e%2e/ok", "/%2e%2e/ok"),
            ("http://a/../b/./c//d/", "/../b/./c//d/"),
            ("http://a/x?q=[1]&r=%zz'!$()*;:@+,=~", "/x?q=[1]&r=%zz'!$()*;:@+,=~"),
            ("http://a/\"<>^`{|}", "/%22%3C%3E%5E%60%7B%7C%7D"),
            ("http://a:80/b/%E9", "/b/%E9"),
        ] {
            assert_eq!(Target::parse(uri).unwrap().path, path, "{uri}");
        }
    }

    /// [http-client-9]
    #[test]
    fn only_absolute_http_uris_are_taken() {
        let target = Target::parse("HTTP://Example.com:8080/a/./b?c=d#e").unwrap();
        assert_eq!((target.secure, target.port, target.path.as_str()), (false, 8080, "/a/./b?c=d"));
        assert_eq!(
            (target.authority().as_str(), target.to_string().as_str()),
            ("example.com:8080", "http://example.com:8080/a/b")
        );
        assert_eq!(Target::parse("https://[2001:db8::1]").unwrap().authority(), "[2001:db8::1]");
        assert_eq!(Target::parse("https://a:443/").unwrap().authority(), "a");
        for uri in [
            "",
            "/path",
            "example.com",
            "//example.com/",
            "http:",
            "http:/",
            "http://",
            "http:///path",
            "ftp://a/",
            "file:///a",
            "ws://a/",
            "javascript:1",
            "http:example.com",
            "http://a b/",
            "http://a/\u{e9}",
            "http://\u{e9}/",
            "http://a/\n",
            "http:\\\\a\\b",
            "http://a\\@b/",
            "http://user@a/",
            "http://user:pass@a/",
            "http://@a/",
            "http://a:0/",
            "http://a:99999/",
            "http://a:b/",
            "http://[::1/",
            "http://[fe80::1%25eth0]/",
            "http://%61/",
            "http://1.2.3/",
            "http://1.2.3.4.5/",
            "http://0x1.2.3.4/",
            "http://01.2.3.4/",
            "http://16909060/",
            "http://1.2.3.4./",
        ] {
            assert!(matches!(Target::parse(uri), Err(Error::Uri { .. })), "{uri:?}: {:?}", Target::parse(uri));
        }
    }
}
