//! Patterns: the entries of `allowed_hosts`.

use std::fmt;

use theater_connector::Name;
use url::Host;

/// One entry: a name, all subdomains of a name, or an address; for one port or every port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    /// The entry began with `*.`: it covers the subdomains of `name`, but not `name` itself.
    below: bool,
    name: Name,
    port: Option<u16>,
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.below { "*." } else { "" }, self.name)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl HostPattern {
    /// Parses an entry.
    ///
    /// # Errors
    /// A message that quotes the entry and lists the accepted forms.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "allowed_hosts: {text:?} is not a host: write \"example.com\", \"*.example.com\", \"192.0.2.1\" or \
                 \"[2001:db8::1]\", with or without a port such as \"example.com:8443\""
            )
        };
        let (below, rest) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, Some(port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?))
            }
            _ => (rest, None),
        };
        let bare = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
        let name = match Host::parse(&bare).map_err(|_| wrong())? {
            // Refuse a disguised address such as `0x7f.1`: its author may have meant something else.
            Host::Ipv4(address) if address.to_string() == bare => Name::Address(address.into()),
            Host::Ipv6(address) => Name::Address(address.into()),
            Host::Domain(name) if name.eq_ignore_ascii_case(&bare) && !name.contains('*') => Name::Domain(name),
            _ => return Err(wrong()),
        };
        if below && matches!(name, Name::Address(_)) { Err(wrong()) } else { Ok(Self { below, name, port }) }
    }

    /// Returns whether the entry covers a host at a port.
    pub fn covers(&self, name: &Name, port: u16) -> bool {
        let named = if self.below { is_below(&self.name, name) } else { self.name == *name };
        named && self.port.is_none_or(|only| only == port)
    }

    /// Returns whether the entry is for exactly this name, not for the subdomains of another.
    pub fn names(&self, name: &Name) -> bool {
        !self.below && self.name == *name
    }

    /// Returns the entry that covers exactly what both cover, or `None` if that is nothing.
    pub fn and(&self, other: &Self) -> Option<Self> {
        let port = match (self.port, other.port) {
            (Some(one), Some(other)) if one != other => return None,
            (one, other) => one.or(other),
        };
        let (below, name) = match (self.below, other.below) {
            (false, false) if self.name == other.name => (false, &self.name),
            (true, false) if is_below(&self.name, &other.name) => (false, &other.name),
            (false, true) if is_below(&other.name, &self.name) => (false, &self.name),
            (true, true) if self.name == other.name || is_below(&self.name, &other.name) => (true, &other.name),
            (true, true) if is_below(&other.name, &self.name) => (true, &self.name),
            _ => return None,
        };
        Some(Self { below, name: name.clone(), port })
    }
}

fn is_below(above: &Name, name: &Name) -> bool {
    match (above, name) {
        (Name::Domain(above), Name::Domain(name)) => {
            name.strip_suffix(above.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(host: &str) -> Name {
        match Host::parse(host).unwrap() {
            Host::Domain(name) => Name::Domain(name),
            Host::Ipv4(address) => Name::Address(address.into()),
            Host::Ipv6(address) => Name::Address(address.into()),
        }
    }

    fn covers(pattern: &str, host: &str, port: u16) -> bool {
        HostPattern::parse(pattern).unwrap().covers(&name(host), port)
    }

    #[test]
    fn two_patterns_together_cover_what_each_covers() {
        let patterns = [
            "example.com",
            "a.example.com",
            "*.example.com",
            "*.example.com:443",
            "*.b.example.com",
            "*.com",
            "*.example.org",
            "example.org:80",
            "127.0.0.1",
        ];
        let hosts = ["example.com", "a.example.com", "x.b.example.com", "example.org", "x.example.org", "127.0.0.1"];
        for one in patterns {
            for other in patterns {
                let both = HostPattern::parse(one).unwrap().and(&HostPattern::parse(other).unwrap());
                for (host, port) in hosts.iter().flat_map(|host| [80, 443].map(|port| (*host, port))) {
                    let covered = both.as_ref().is_some_and(|both| both.covers(&name(host), port));
                    let each = covers(one, host, port) && covers(other, host, port);
                    assert_eq!(covered, each, "{one} and {other}: {host}:{port}");
                }
            }
        }
    }

    #[test]
    fn a_pattern_names_one_host_and_none_that_is_below_it() {
        let named =
            |pattern: &str, name: &str| HostPattern::parse(pattern).unwrap().names(&Name::Domain(name.to_owned()));
        assert!(named("example.com", "example.com") && named("example.com:80", "example.com"));
        assert!(!named("*.example.com", "a.example.com") && !named("*.example.com", "example.com"));
        assert!(!named("example.com", "example.org"));
    }

    /// [http-client-1] [http-client-2] [http-client-3]
    #[test]
    fn a_host_is_named_exactly_or_from_above_with_its_port_or_all() {
        for (pattern, host, port, covered) in [
            ("example.com", "example.com", 80, true),
            ("Example.COM", "example.com", 8443, true),
            ("example.com", "a.example.com", 80, false),
            ("example.com", "example.com.evil.org", 80, false),
            ("example.com", "notexample.com", 80, false),
            ("example.com:443", "example.com", 443, true),
            ("example.com:443", "example.com", 80, false),
            ("*.example.com", "a.example.com", 1, true),
            ("*.example.com", "a.b.example.com", 1, true),
            ("*.example.com", "example.com", 1, false),
            ("*.example.com", "notexample.com", 1, false),
            ("*.example.com", ".example.com", 1, false),
            ("*.example.com:8080", "a.example.com", 8080, true),
            ("192.0.2.1", "192.0.2.1", 80, true),
            ("192.0.2.1:81", "192.0.2.1", 80, false),
            ("[::1]:80", "[::1]", 80, true),
            ("::1", "[0:0:0:0:0:0:0:1]", 80, true),
            ("[::1]", "[::2]", 80, false),
        ] {
            assert_eq!(covers(pattern, host, port), covered, "{pattern} {host} {port}");
        }
        for text in [
            "",
            "*",
            "*.",
            "*.*.com",
            "a.*.com",
            "*.1.2.3.4",
            "0x7f.1",
            "127.1",
            "a b",
            "a/b",
            "a:0",
            "a:x",
            "a:99999",
            "http://a",
        ] {
            assert!(HostPattern::parse(text).is_err(), "{text:?}");
        }
    }
}
