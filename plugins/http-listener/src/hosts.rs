//! Which hosts requests may be for (RFC 9110, section 7.4): a server that answers for any name can be reached by every page
//! of every site, whose own name its owner lets lead to this machine for a moment (DNS rebinding).
//!
//! What cannot be made to lead here by somebody else is let through: the address that is bound, the machine's own name, names
//! without a dot, which no public zone has, and `localhost` where a loopback address is bound. All else is to be named.

use std::net::IpAddr;

/// The hosts of a server.
#[derive(Debug, Clone)]
pub(crate) struct Hosts {
    bound: IpAddr,
    machine: String,
    allowed: Vec<String>,
}

impl Hosts {
    /// Those of a server that is bound to an address, and those that its config has beside.
    pub(crate) fn new(bound: IpAddr, allowed: &[String]) -> Self {
        let machine = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
        Self { bound, machine, allowed: allowed.iter().map(|name| bare(name).to_ascii_lowercase()).collect() }
    }

    /// Whether a request for that authority is for this server. The port is not looked at: it may be forwarded from another.
    pub(crate) fn has(&self, authority: &str) -> bool {
        let host = bare(authority).to_ascii_lowercase();
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            let is_own = address == self.bound
                || self.bound.is_unspecified()
                || (self.bound.is_loopback() && address.is_loopback());
            return is_own || self.is_allowed(&host);
        }
        let has_no_dot = !host.is_empty() && !host.contains('.');
        let is_localhost = host == "localhost" || host.ends_with(".localhost");
        // Of a server that others reach, localhost is a name like any other without a dot.
        has_no_dot || (is_localhost && self.bound.is_loopback()) || host == self.machine || self.is_allowed(&host)
    }

    fn is_allowed(&self, host: &str) -> bool {
        self.allowed.iter().any(|allowed| match allowed.strip_prefix('*') {
            Some("") => true,
            Some(suffix) => suffix.starts_with('.') && host.len() > suffix.len() && host.ends_with(suffix),
            None => allowed == host,
        })
    }
}

/// The host of an authority, without its port and without the dot that ends a whole name.
fn bare(authority: &str) -> &str {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    host.strip_suffix('.').unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(bound: &str, allowed: &[&str]) -> Hosts {
        let allowed: Vec<_> = allowed.iter().map(ToString::to_string).collect();
        Hosts { machine: "box.example".to_owned(), ..Hosts::new(bound.parse().unwrap(), &allowed) }
    }

    #[test]
    fn a_server_of_this_machine_alone_is_not_reached_by_names_of_others() {
        let own = hosts("127.0.0.1", &[]);
        for host in
            ["127.0.0.1", "127.0.0.1:80", "localhost:1", "LOCALHOST", "a.localhost", "[::1]:1", "web", "box.example"]
        {
            assert!(own.has(host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:80",
            "evil.example.",
            "10.0.0.1",
            "[::2]",
            "",
            "a.b",
            "localhost.evil.example",
        ] {
            assert!(!own.has(host), "{host:?}");
        }
    }

    #[test]
    fn a_server_for_others_has_its_addresses_and_the_names_it_is_given() {
        let open = hosts("0.0.0.0", &["api.example:443", "*.shop.example"]);
        for host in ["192.0.2.1", "[2001:db8::1]:80", "API.example", "a.shop.example:8080", "a.b.shop.example."] {
            assert!(open.has(host), "{host}");
        }
        for host in ["evil.example", "shop.example", "evilshop.example", "api.example.evil.example"] {
            assert!(!open.has(host), "{host}");
        }
        let one = hosts("192.0.2.1", &[]);
        assert!(one.has("192.0.2.1") && !one.has("192.0.2.2") && !one.has("127.0.0.1"));
        assert!(hosts("192.0.2.1", &["*"]).has("evil.example"));
    }
}
