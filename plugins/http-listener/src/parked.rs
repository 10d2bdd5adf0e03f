//! Ports of actors that are started again: their sockets stay open in between, and who connects meanwhile waits in the system's
//! queue, instead of being refused.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::net::TcpListener;

/// How long a socket waits for the next life of its actor.
const PATIENCE: Duration = Duration::from_secs(5);

struct Parked {
    address: SocketAddr,
    socket: TcpListener,
    since: Instant,
}

static PARKED: Mutex<Vec<Parked>> = Mutex::new(Vec::new());

fn parked() -> MutexGuard<'static, Vec<Parked>> {
    // Every change under the lock is one step.
    PARKED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a socket for whoever binds its address next, or for a few seconds.
pub(crate) fn park(address: SocketAddr, socket: TcpListener) {
    let since = Instant::now();
    parked().push(Parked { address, socket, since });
    // Without the thread the socket would stay for good: then it rather goes now.
    let close = move || {
        thread::sleep(PATIENCE);
        parked().retain(|parked| parked.since.elapsed() < PATIENCE);
    };
    if thread::Builder::new().name("theater-parked".to_owned()).spawn(close).is_err() {
        parked().retain(|parked| parked.since != since);
    }
}

/// The socket of that address, if one is kept.
pub(crate) fn take(address: SocketAddr) -> Option<TcpListener> {
    let mut parked = parked();
    let place = parked.iter().position(|parked| parked.address == address)?;
    Some(parked.swap_remove(place).socket)
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;

    use super::*;

    #[test]
    fn who_connects_in_between_is_not_refused() {
        let socket = block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = socket.local_addr().unwrap();
        park(address, socket);
        let client = std::net::TcpStream::connect(address).unwrap();
        let again = take(address).unwrap();
        assert_eq!(block_on(again.accept()).unwrap().1, client.local_addr().unwrap());
        assert!(take(address).is_none());
    }

    #[test]
    fn a_port_that_nobody_binds_again_is_freed() {
        let socket = block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = socket.local_addr().unwrap();
        park(address, socket);
        let end = Instant::now() + 4 * PATIENCE;
        while std::net::TcpListener::bind(address).is_err() {
            assert!(Instant::now() < end);
            thread::sleep(Duration::from_millis(50));
        }
    }
}
