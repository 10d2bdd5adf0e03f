//! Decides which hosts a request may name (RFC 9110, section 7.4). If a server answered for any name, the pages of any
//! site could reach it: the site's owner only has to make the site's name resolve to this machine for a moment (DNS
//! rebinding).
//!
//! Hosts that no one else can make resolve to this machine are accepted: the bound address, the machine's own name,
//! names without a dot, which no public zone has, and `localhost` if a loopback address is bound. Others must be
//! configured.

use std::net::IpAddr;

/// The hosts that a server answers for.
#[derive(Debug, Clone)]
pub(crate) struct Hosts {
    bound: IpAddr,
    machine: String,
    allowed: Vec<String>,
}

impl Hosts {
    /// Creates the hosts of a server that is bound to `bound`, with the names from its config.
    pub(crate) fn new(bound: IpAddr, allowed: &[String]) -> Self {
        let machine = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
        Self { bound, machine, allowed: allowed.iter().map(|name| bare(name).to_ascii_lowercase()).collect() }
    }

    /// Returns whether the server answers for an authority. The port is ignored, since it may be forwarded from
    /// another.
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
        // `localhost` itself has no dot; names such as `a.localhost` count only if the server is bound to loopback.
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

/// Returns the host of an authority, without its port and without the dot that ends a fully qualified name.
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
