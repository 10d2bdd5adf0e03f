//! The permissions to bind addresses and ports: their defaults, narrowing by a parent's config, and the check of a
//! config.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Map, Value, json};
use theater_plugin_api::narrow::{Rule, object};

use crate::config::Config;

/// An inclusive range of ports.
type Range = (u16, u16);

const DEFAULT_HOSTS: [&str; 2] = ["127.0.0.1", "::1"];
const DEFAULT_PORTS: [Range; 2] = [(0, 0), (1024, u16::MAX)];

/// Limits `requested` to what `ceiling` allows, for [`Plugin::narrow`](theater_plugin_api::Plugin::narrow). A list that
/// is missing in the request means its default; a list that is missing in the ceiling allows nothing. `own` are the
/// rules for the plugin's own keys.
///
/// # Errors
/// Returns a sentence that names the invalid key.
pub fn narrow(ceiling: &Value, requested: &Value, own: &[(&str, Rule)]) -> Result<Value, String> {
    let defaults = Config::default();
    let mut rules = vec![
        ("host", Rule::Free),
        ("port", Rule::Free),
        ("tls", Rule::Free),
        ("tls_files", Rule::Powers),
        ("max_body_bytes", Rule::Smaller(defaults.max_body_bytes)),
        ("max_header_bytes", Rule::Smaller(defaults.max_header_bytes as u64)),
        ("max_headers", Rule::Smaller(defaults.max_headers as u64)),
        ("read_timeout_ms", Rule::Smaller(defaults.read_timeout_ms)),
        ("max_connections", Rule::Smaller(defaults.max_connections as u64)),
        ("allowed_hosts", Rule::Free),
        ("shutdown_grace_ms", Rule::Smaller(defaults.shutdown_grace_ms)),
    ];
    rules.extend_from_slice(own);
    let mut narrowed = match object(&rules, ceiling, requested)? {
        Value::Object(narrowed) => narrowed,
        _ => Map::new(),
    };
    // If one side lacks it, the other one's value applies; if both do, it follows from max_connections.
    let peers = [ceiling, requested].map(|config| config.get("max_connections_per_peer").and_then(Value::as_u64));
    if let Some(fewest) = peers.into_iter().flatten().min() {
        narrowed.insert("max_connections_per_peer".to_owned(), Value::from(fewest));
    }
    let (mut hosts, mut ports) = (hosts_of(requested.get("bind_hosts"))?, ports_of(requested.get("bind_ports"))?);
    if !ceiling.is_null() {
        let above = ceiling.get("bind_hosts").map_or(Ok(Vec::new()), |list| hosts_of(Some(list)))?;
        hosts.retain(|host| above.contains(host));
        let above = ceiling.get("bind_ports").map_or(Ok(Vec::new()), |list| ports_of(Some(list)))?;
        ports = both(&above, &ports);
    }
    narrowed.insert("bind_hosts".to_owned(), hosts.iter().map(|host| Value::from(host.to_string())).collect());
    narrowed.insert("bind_ports".to_owned(), ports.iter().copied().map(port_value).collect());
    Ok(Value::Object(narrowed))
}

/// Returns the address and port of a config, if its permissions allow them.
pub(crate) fn allowed(config: &Config) -> Result<(IpAddr, u16), String> {
    let host = address(&config.host).ok_or_else(|| {
        let what = "an IP address such as 127.0.0.1 (this machine only), 0.0.0.0 (every IPv4 address), ::1 or ::";
        format!("host = {:?}: {what} is needed", config.host)
    })?;
    let list = config.bind_hosts.as_ref().map(|list| json!(list));
    let hosts = hosts_of(list.as_ref())?;
    if !hosts.contains(&host) {
        let hosts = hosts.iter().map(ToString::to_string);
        return Err(format!(
            "host = \"{host}\" is not allowed: bind_hosts {}; add bind_hosts = [\"{host}\"] to the handler's config, and to \
             the permissions of its parent if it has one",
            having(hosts)
        ));
    }
    let list = config.bind_ports.as_ref().map(|list| json!(list));
    let (ports, port) = (ports_of(list.as_ref())?, config.port);
    if !ports.iter().any(|(low, high)| (*low..=*high).contains(&port)) {
        let ports = ports.iter().map(|range| port_value(*range).to_string().replace('"', ""));
        return Err(format!(
            "port = {port} is not allowed: bind_ports {}; add bind_ports = [{port}] to the handler's config, and to the \
             permissions of its parent if it has one",
            having(ports)
        ));
    }
    Ok((host, port))
}

fn having(items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.collect();
    if items.is_empty() { "allows none".to_owned() } else { format!("has {}", items.join(", ")) }
}

fn address(text: &str) -> Option<IpAddr> {
    if text.eq_ignore_ascii_case("localhost") {
        return Some(Ipv4Addr::LOCALHOST.into());
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok()
}

fn hosts_of(list: Option<&Value>) -> Result<Vec<IpAddr>, String> {
    let Some(list) = list else {
        return Ok(DEFAULT_HOSTS.iter().filter_map(|host| address(host)).collect());
    };
    let wrong = |item: &dyn std::fmt::Display| format!("bind_hosts: {item} is not an IP address such as \"127.0.0.1\"");
    let items = list.as_array().ok_or("bind_hosts: a list of IP addresses is needed, such as [\"127.0.0.1\"]")?;
    items.iter().map(|item| item.as_str().and_then(address).ok_or_else(|| wrong(item))).collect()
}

fn ports_of(list: Option<&Value>) -> Result<Vec<Range>, String> {
    let Some(list) = list else { return Ok(DEFAULT_PORTS.to_vec()) };
    let items = list.as_array().ok_or("bind_ports: a list is needed, such as [8080, \"9000-9999\"]")?;
    items
        .iter()
        .map(|item| {
            range(item).ok_or_else(|| {
                format!("bind_ports: {item} is neither a port such as 8080 nor a range such as \"9000-9999\"")
            })
        })
        .collect()
}

fn range(item: &Value) -> Option<Range> {
    if let Some(number) = item.as_u64() {
        let port = u16::try_from(number).ok()?;
        return Some((port, port));
    }
    let text = item.as_str()?;
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (low.trim().parse().ok()?, high.trim().parse().ok()?);
    (low <= high).then_some((low, high))
}

fn port_value((low, high): Range) -> Value {
    if low == high { Value::from(low) } else { Value::from(format!("{low}-{high}")) }
}

fn both(above: &[Range], below: &[Range]) -> Vec<Range> {
    let mut shared: Vec<_> = below
        .iter()
        .flat_map(|(low, high)| above.iter().map(|(l, h)| ((*low).max(*l), (*high).min(*h))))
        .filter(|(low, high)| low <= high)
        .collect();
    shared.sort_unstable();
    shared.dedup();
    shared
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_top_level_actor_gets_the_defaults_written_out() {
        let narrowed = narrow(&Value::Null, &json!({"port": 8080}), &[]).unwrap();
        assert_eq!(
            narrowed,
            json!({"port": 8080, "bind_hosts": ["127.0.0.1", "::1"], "bind_ports": [0, "1024-65535"]})
        );
    }

    #[test]
    fn a_child_gets_what_both_have() {
        let ceiling = json!({"bind_hosts": ["127.0.0.1"], "bind_ports": ["8000-8100"], "max_connections": 10});
        let asked = json!({"port": 8050, "bind_ports": [80, "8050-9000"], "max_body_bytes": 5});
        let narrowed = narrow(&ceiling, &asked, &[]).unwrap();
        assert_eq!(narrowed["bind_hosts"], json!(["127.0.0.1"]));
        assert_eq!(narrowed["bind_ports"], json!(["8050-8100"]));
        assert_eq!((&narrowed["max_connections"], &narrowed["max_body_bytes"]), (&json!(10), &json!(5)));
    }

    #[test]
    fn a_child_of_a_parent_without_the_handler_gets_nothing() {
        let narrowed = narrow(&json!({}), &json!({}), &[]).unwrap();
        assert_eq!((&narrowed["bind_hosts"], &narrowed["bind_ports"]), (&json!([]), &json!([])));
        let config: Config = serde_json::from_value(narrowed).unwrap();
        assert!(allowed(&config).unwrap_err().contains("allows none"));
    }

    #[test]
    fn what_is_not_allowed_is_named_with_the_line_to_add() {
        let refused = |config: Value| allowed(&serde_json::from_value(config).unwrap()).unwrap_err();
        assert!(refused(json!({"port": 80})).contains("add bind_ports = [80]"));
        assert!(refused(json!({"host": "0.0.0.0"})).contains("add bind_hosts = [\"0.0.0.0\"]"));
        assert!(refused(json!({"host": "example.com"})).starts_with("host = \"example.com\""));
        assert!(refused(json!({"bind_ports": ["x"]})).contains("bind_ports: \"x\""));
        assert!(refused(json!({"bind_ports": ["9-1"]})).contains("bind_ports"));
        assert!(refused(json!({"bind_hosts": ["*"]})).contains("bind_hosts: \"*\""));
    }

    #[test]
    fn addresses_are_compared_as_addresses() {
        let config: Config =
            serde_json::from_value(json!({"host": "[::1]", "bind_hosts": ["0:0:0:0:0:0:0:1"]})).unwrap();
        assert_eq!(allowed(&config).unwrap().0.to_string(), "::1");
    }
}
