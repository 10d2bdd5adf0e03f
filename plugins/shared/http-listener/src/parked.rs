//! Keeps the ports of actors that are being restarted. The listening socket stays open in between, so clients that
//! connect meanwhile wait in the system's queue instead of being refused. Idle connections are handed over to the next
//! run, too.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use theater_plugin_api::Host;

use crate::net::{TcpListener, TcpStream};

/// How long a socket is kept for its actor's next run.
const PATIENCE: Duration = Duration::from_secs(5);

/// The socket and connections that an actor's previous run left.
struct ParkedSocket {
    /// The actor and its handler: `actor/handler`.
    owner: String,
    address: SocketAddr,
    socket: Option<TcpListener>,
    connections: Vec<(TcpStream, SocketAddr)>,
    /// When it is closed.
    end: Instant,
}

static PARKED: Mutex<Vec<ParkedSocket>> = Mutex::new(Vec::new());

fn parked() -> MutexGuard<'static, Vec<ParkedSocket>> {
    // A poisoned lock is safe to use: every change under it is a single step.
    PARKED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the name under which to keep sockets, if the host's actor is about to be restarted.
pub(crate) fn owner(host: &Host) -> Option<String> {
    let about = host.whose().ok().filter(|about| about.restarts)?;
    Some(name(&about.actor, &about.handler))
}

fn name(actor: &str, handler: &str) -> String {
    format!("{actor}/{handler}")
}

/// Adds something to the owner's entry for an address, creating it if needed; a new entry lives for [`PATIENCE`].
fn keep(owner: String, address: SocketAddr, add: impl FnOnce(&mut ParkedSocket)) {
    keep_until(Instant::now() + PATIENCE, owner, address, add, |close| {
        thread::Builder::new().name("theater-parked".to_owned()).spawn(close).is_ok()
    });
}

/// Like [`keep`]; a new entry is closed at `end` by a function that `start` runs on another thread. `start` returns
/// false if it cannot.
fn keep_until(
    end: Instant,
    owner: String,
    address: SocketAddr,
    add: impl FnOnce(&mut ParkedSocket),
    start: impl FnOnce(Box<dyn FnOnce() + Send>) -> bool,
) {
    let mut parked = parked();
    let position = parked.iter().position(|parked| parked.owner == owner && parked.address == address);
    if let Some(kept) = position.and_then(|position| parked.get_mut(position)) {
        return add(kept);
    }
    // The thread compares with the end that the entry has, not with a clock: it starts before the entry is added, and
    // must not find it a moment too young and leave it open.
    let close = Box::new(move || {
        thread::sleep(end.saturating_duration_since(Instant::now()));
        self::parked().retain(|parked| parked.end > end);
    });
    // If the thread cannot be started, the port is freed now.
    if start(close) {
        let mut new = ParkedSocket { owner, address, socket: None, connections: Vec::new(), end };
        add(&mut new);
        parked.push(new);
    }
}

/// Keeps a listening socket.
pub(crate) fn park(owner: String, address: SocketAddr, socket: TcpListener) {
    keep(owner, address, |parked| parked.socket = Some(socket));
}

/// Keeps an idle connection.
pub(crate) fn carry(owner: String, address: SocketAddr, stream: TcpStream, peer: SocketAddr) {
    keep(owner, address, |parked| parked.connections.push((stream, peer)));
}

/// Returns the socket that the host's actor had at this address (with port 0: at this IP address), with its
/// connections. A socket of another actor at this address is closed, which frees the port for the caller.
pub(crate) fn take(host: &Host, address: SocketAddr) -> Option<(TcpListener, Vec<(TcpStream, SocketAddr)>)> {
    let about = host.whose().ok()?;
    take_of(&name(&about.actor, &about.handler), address)
}

fn take_of(owner: &str, address: SocketAddr) -> Option<(TcpListener, Vec<(TcpStream, SocketAddr)>)> {
    let is_it = |parked: &ParkedSocket| match address.port() {
        0 => parked.owner == owner && parked.address.ip() == address.ip(),
        _ => parked.address == address,
    };
    let mut parked = parked();
    let position = parked.iter().position(|parked| parked.socket.is_some() && is_it(parked))?;
    let ParkedSocket { owner: had, socket, connections, .. } = parked.swap_remove(position);
    (had == owner).then_some((socket?, connections))
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;

    use super::*;

    #[test]
    fn who_connects_in_between_is_not_refused() {
        let socket = block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = socket.local_addr().unwrap();
        park("actor/handler".to_owned(), address, socket);
        let client = std::net::TcpStream::connect(address).unwrap();
        let (again, _) = take_of("actor/handler", address).unwrap();
        assert_eq!(block_on(again.accept()).unwrap().1, client.local_addr().unwrap());
        assert!(take_of("actor/handler", address).is_none());
        // Another actor's socket is closed, together with its waiting connections.
        park("actor/handler".to_owned(), address, again);
        assert!(take_of("thief/handler", address).is_none());
        assert!(take_of("actor/handler", address).is_none());
    }

    #[test]
    fn a_port_that_nobody_binds_again_is_freed() {
        let socket = block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = socket.local_addr().unwrap();
        park("other/handler".to_owned(), address, socket);
        let end = Instant::now() + 4 * PATIENCE;
        while std::net::TcpListener::bind(address).is_err() {
            assert!(Instant::now() < end);
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The closing thread may run before the entry is added, for as long as the whole time that it sleeps.
    #[test]
    fn a_socket_is_closed_even_if_the_closing_thread_starts_first() {
        let socket = block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = socket.local_addr().unwrap();
        let end = Instant::now() + Duration::from_millis(20);
        let (closing, closed) = std::sync::mpsc::channel();
        let start = |close: Box<dyn FnOnce() + Send>| {
            closing.send(thread::spawn(close)).unwrap();
            thread::sleep(Duration::from_millis(10));
            true
        };
        keep_until(end, "late/handler".to_owned(), address, |parked| parked.socket = Some(socket), start);
        closed.recv().unwrap().join().unwrap();
        assert!(take_of("late/handler", address).is_none());
    }
}
