//! Finds the handler of a request.
//!
//! Routes are in a tree with one level for each path segment. A lookup walks it depth first and prefers an exact
//! segment to a capture, and a capture to the rest of the path. The first leaf that has the method wins; the methods of
//! all matching leaves are collected for `Allow`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use theater_http_listener::{Received, Reply};

use crate::error::Error;
use crate::path::{Part, Path, PathPattern, PathPrefix};

/// The method of a route that takes all methods.
const ANY: &str = "*";

/// A route as it was added.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) id: u64,
    pub(crate) path: String,
    pub(crate) method: String,
    pub(crate) handler: u64,
}

/// A middleware as it was added.
#[derive(Debug, Clone)]
pub(crate) struct Middleware {
    pub(crate) id: u64,
    pub(crate) path: String,
    pub(crate) handler: u64,
    prefix: PathPrefix,
}

/// The handlers of the websockets at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Websocket {
    pub(crate) connect: Option<u64>,
    pub(crate) message: u64,
    pub(crate) disconnect: Option<u64>,
}

/// The routes, middleware and websockets of one server.
#[derive(Default)]
pub(crate) struct Routing {
    tree: RouteNode,
    /// By id, which is the order they were added in.
    routes: BTreeMap<u64, Route>,
    middleware: Vec<Middleware>,
    /// By path, as given.
    websockets: BTreeMap<String, Websocket>,
}

/// The routes below one prefix of a path.
#[derive(Default)]
struct RouteNode {
    exact: HashMap<Vec<u8>, RouteNode>,
    capture: Option<Box<RouteNode>>,
    rest: RouteLeaf,
    here: RouteLeaf,
}

/// The targets of a path.
#[derive(Default)]
struct RouteLeaf {
    methods: BTreeMap<String, MethodRoute>,
    /// With the names of its captures.
    websocket: Option<(Websocket, Vec<String>)>,
}

struct MethodRoute {
    route: u64,
    handler: u64,
    names: Vec<String>,
}

/// The result of a lookup.
pub(crate) struct RouteMatch {
    pub(crate) target: RouteTarget,
    /// Headers with the captures of the path.
    pub(crate) captures: Vec<(String, String)>,
    /// The handlers of the middleware to call first, in order.
    pub(crate) middleware: Vec<u64>,
}

pub(crate) enum RouteTarget {
    Handler(u64),
    Websocket(Websocket),
}

/// The prefix of the headers that carry captures.
pub(crate) const CAPTURED: &str = "x-route-param-";

impl Routing {
    pub(crate) fn add_route(&mut self, server: u64, route: Route) -> Result<(), Error> {
        let pattern = PathPattern::parse(&route.path)?;
        let capital = |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_lowercase();
        let is_token =
            !route.method.is_empty() && route.method.bytes().all(capital) && !route.method.contains(SEPARATORS);
        if route.method != ANY && !is_token {
            return Err(Error::Method(route.method));
        }
        let methods = &mut self.tree.leaf(&pattern.parts).methods;
        if let Some(there) = methods.get(&route.method) {
            return Err(Error::Taken { server, method: route.method, path: route.path, route: there.route });
        }
        let target = MethodRoute { route: route.id, handler: route.handler, names: pattern.names };
        methods.insert(route.method.clone(), target);
        self.routes.insert(route.id, route);
        Ok(())
    }

    /// Removes a route. Returns false if there is none with this id.
    pub(crate) fn remove_route(&mut self, id: u64) -> bool {
        let Some(route) = self.routes.remove(&id) else { return false };
        if let Ok(pattern) = PathPattern::parse(&route.path) {
            self.tree.leaf(&pattern.parts).methods.remove(&route.method);
            self.tree.prune();
        }
        true
    }

    pub(crate) fn add_middleware(&mut self, id: u64, path: String, handler: u64) -> Result<(), Error> {
        let prefix = PathPrefix::parse(&path)?;
        self.middleware.push(Middleware { id, path, handler, prefix });
        Ok(())
    }

    /// Removes a middleware. Returns false if there is none with this id.
    pub(crate) fn remove_middleware(&mut self, id: u64) -> bool {
        let before = self.middleware.len();
        self.middleware.retain(|middleware| middleware.id != id);
        self.middleware.len() < before
    }

    /// Sets the websocket handlers of a path. Open connections keep the handlers they were opened with.
    pub(crate) fn enable_websocket(&mut self, path: String, websocket: Websocket) -> Result<(), Error> {
        let pattern = PathPattern::parse(&path)?;
        self.websockets.retain(|known, _| PathPattern::parse(known).is_ok_and(|known| known.parts != pattern.parts));
        self.tree.leaf(&pattern.parts).websocket = Some((websocket, pattern.names));
        self.websockets.insert(path, websocket);
        Ok(())
    }

    pub(crate) fn routes(&self) -> impl ExactSizeIterator<Item = &Route> {
        self.routes.values()
    }

    pub(crate) fn middleware(&self) -> &[Middleware] {
        &self.middleware
    }

    pub(crate) fn websockets(&self) -> &BTreeMap<String, Websocket> {
        &self.websockets
    }

    /// Finds the handler of a request, or returns the response if the actor is not needed.
    pub(crate) fn find(&self, received: &Received, asks_websocket: bool) -> Result<RouteMatch, Reply> {
        let target = received.path();
        if !target.starts_with('/') {
            return Err(self.without_path(&received.method));
        }
        let path = Path::of(target).map_err(|sentence| Reply::text(400, sentence))?;
        let mut methods = BTreeSet::new();
        let (mut handler, mut websocket) = (None, None);
        self.tree.visit(&path, 0, &mut Vec::new(), &mut |leaf, captured| {
            methods.extend(leaf.methods.keys().map(String::as_str));
            if let Some((found, names)) = &leaf.websocket
                && websocket.is_none()
            {
                websocket = Some((RouteTarget::Websocket(*found), headers(names, captured)));
            }
            if let Some(target) = leaf.target(&received.method)
                && handler.is_none()
            {
                handler = Some((RouteTarget::Handler(target.handler), headers(&target.names, captured)));
            }
            if asks_websocket { websocket.is_some() } else { handler.is_some() }
        });
        // Websockets are opened with GET. If the handshake is incomplete, the response of `request::opened` says what
        // is missing.
        methods.extend(websocket.iter().map(|_| "GET"));
        let found = if asks_websocket {
            websocket.or(handler)
        } else {
            handler.or(websocket.filter(|_| received.method == "GET"))
        };
        match found {
            Some((target, captures)) => Ok(RouteMatch { target, captures, middleware: self.before(&path) }),
            None => Err(unmet(&received.method, &methods)),
        }
    }

    /// Returns the handlers of the middleware that covers a path, in the order it was added.
    fn before(&self, path: &Path<'_>) -> Vec<u64> {
        self.middleware.iter().filter(|one| one.prefix.covers(path)).map(|one| one.handler).collect()
    }

    /// Answers a request without a path: `OPTIONS *` is about the server as a whole (RFC 9110, section 9.3.7), and
    /// CONNECT is for proxies (9.3.6).
    fn without_path(&self, method: &str) -> Reply {
        if method != "OPTIONS" {
            return Reply::text(501, "CONNECT is for proxies");
        }
        let methods = self.routes.values().map(|route| route.method.as_str()).collect();
        Reply::no_content().header("allow", &allowed(&methods))
    }
}

/// The visible ASCII characters that a token cannot contain (RFC 9110, section 5.6.2).
const SEPARATORS: [char; 17] = ['"', '(', ')', ',', '/', ':', ';', '<', '=', '>', '?', '@', '[', '\\', ']', '{', '}'];

/// Returns the response if no route matches: the path has none, or none for the method.
fn unmet(method: &str, methods: &BTreeSet<&str>) -> Reply {
    if methods.is_empty() {
        Reply::text(404, "there is nothing at this path")
    } else if method == "OPTIONS" {
        Reply::no_content().header("allow", &allowed(methods))
    } else {
        Reply::text(405, "this path does not support the method").header("allow", &allowed(methods))
    }
}

/// Returns the value of `Allow`: the methods of the routes, HEAD if there is GET, and OPTIONS.
fn allowed(methods: &BTreeSet<&str>) -> String {
    let mut all: BTreeSet<&str> = methods.iter().copied().filter(|method| *method != ANY).collect();
    if all.contains("GET") {
        all.insert("HEAD");
    }
    all.insert("OPTIONS");
    all.into_iter().collect::<Vec<_>>().join(", ")
}

impl RouteLeaf {
    fn target(&self, method: &str) -> Option<&MethodRoute> {
        let of_get = || self.methods.get("GET").filter(|_| method == "HEAD");
        self.methods.get(method).or_else(of_get).or_else(|| self.methods.get(ANY))
    }

    fn is_empty(&self) -> bool {
        self.methods.is_empty() && self.websocket.is_none()
    }
}

/// Returns the headers that carry captures.
fn headers(names: &[String], captured: &[&str]) -> Vec<(String, String)> {
    let named = names.iter().zip(captured);
    named.map(|(name, value)| (format!("{CAPTURED}{name}"), (*value).to_owned())).collect()
}

impl RouteNode {
    /// Returns the leaf of a pattern, and creates it if it does not exist.
    fn leaf(&mut self, parts: &[Part]) -> &mut RouteLeaf {
        match parts {
            [] => &mut self.here,
            [Part::Exact(segment), rest @ ..] => self.exact.entry(segment.clone()).or_default().leaf(rest),
            [Part::Capture, rest @ ..] => self.capture.get_or_insert_default().leaf(rest),
            [Part::Rest, ..] => &mut self.rest,
        }
    }

    /// Removes the nodes below which there are no targets.
    fn prune(&mut self) {
        self.exact.retain(|_, node| {
            node.prune();
            !node.is_empty()
        });
        if let Some(capture) = &mut self.capture {
            capture.prune();
        }
        self.capture.take_if(|capture| capture.is_empty());
    }

    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.capture.is_none() && self.rest.is_empty() && self.here.is_empty()
    }

    /// Passes the matching leaves to `take`, exact segments first and the rest of the path last, until it returns true.
    /// Returns whether it did. Visits each node at most once.
    fn visit<'a, 'p>(
        &'a self,
        path: &Path<'p>,
        at: usize,
        captured: &mut Vec<&'p str>,
        take: &mut impl FnMut(&'a RouteLeaf, &[&'p str]) -> bool,
    ) -> bool {
        let Some(segment) = path.segments.get(at) else { return take(&self.here, captured) };
        if let Some(node) = self.exact.get(&*segment.decoded)
            && node.visit(path, at + 1, captured, take)
        {
            return true;
        }
        if let Some(node) = &self.capture
            && !segment.raw.is_empty()
        {
            captured.push(segment.raw);
            if node.visit(path, at + 1, captured, take) {
                return true;
            }
            captured.pop();
        }
        captured.push(path.text.get(segment.start..).unwrap_or_default());
        let taken = take(&self.rest, captured);
        captured.pop();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATHS: [&str; 7] = ["/a/b", "/a/b/c", "/a/:x", "/a/:x/d", "/a/:x/d/*rest", "/e/*rest", "/"];

    fn routing() -> Routing {
        let mut routing = Routing::default();
        for (number, path) in PATHS.iter().enumerate() {
            let route = Route { id: number as u64, path: (*path).to_owned(), method: "GET".to_owned(), handler: 1 };
            routing.add_route(1, route).unwrap();
        }
        routing
    }

    /// Returns the leaf of a path, if it exists.
    fn found<'a>(routing: &'a Routing, path: &str) -> Option<&'a RouteLeaf> {
        let mut node = &routing.tree;
        for part in &PathPattern::parse(path).unwrap().parts {
            node = match part {
                Part::Exact(segment) => node.exact.get(segment)?,
                Part::Capture => node.capture.as_deref()?,
                Part::Rest => return Some(&node.rest),
            };
        }
        Some(&node.here)
    }

    #[test]
    fn a_route_that_is_removed_takes_no_other_along_and_leaves_nothing_behind() {
        for first in 0..PATHS.len() {
            let mut routing = routing();
            let mut left: Vec<_> = (0..PATHS.len()).collect();
            // In a different order each time.
            while !left.is_empty() {
                let removed = left.remove(first % left.len());
                assert!(routing.remove_route(removed as u64) && !routing.remove_route(removed as u64));
                assert!(found(&routing, PATHS[removed]).is_none_or(|leaf| leaf.methods.is_empty()));
                for path in left.iter().map(|number| PATHS[*number]) {
                    assert!(found(&routing, path).is_some_and(|leaf| leaf.methods.contains_key("GET")), "{path}");
                }
            }
            assert!(routing.tree.exact.is_empty() && routing.tree.capture.is_none());
        }
    }

    #[test]
    fn a_websocket_stays_where_the_routes_beside_it_go() {
        let mut routing = routing();
        let websocket = Websocket { connect: None, message: 1, disconnect: None };
        routing.enable_websocket("/a/b".to_owned(), websocket).unwrap();
        for number in 0..PATHS.len() {
            routing.remove_route(number as u64);
        }
        assert!(found(&routing, "/a/b").is_some_and(|leaf| leaf.websocket.is_some()));
        assert!(found(&routing, "/a/b/c").is_none() && found(&routing, "/a/:x").is_none());
    }

    #[test]
    fn middleware_is_removed_once() {
        let mut routing = Routing::default();
        for number in [1, 2] {
            routing.add_middleware(number, "/".to_owned(), 1).unwrap();
        }
        assert!(!routing.remove_middleware(3));
        assert!(routing.remove_middleware(1) && !routing.remove_middleware(1));
    }
}
