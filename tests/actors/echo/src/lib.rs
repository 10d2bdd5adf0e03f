//! Answers each request with its own bytes and does as little else as possible, for measurements of the host.
//! It has no imports.
//!
//! Its state begins with the number of counted requests, 8 bytes in little-endian order, followed by the bytes
//! that were sent to it.

wit_bindgen::generate!({
    path: "../../../wit",
    inline: "
        package actors:echo;
        world echo {
            export theater:simple/actor;
            export theater:simple/message-server-client;
        }
    ",
    generate_all,
});

use exports::theater::simple::{actor, message_server_client};
use theater::simple::types::{ChannelAccept, ChannelId};

type State = Option<Vec<u8>>;

struct Echo;

impl actor::Guest for Echo {
    fn init(_state: State, (_id,): (String,)) -> Result<(State,), String> {
        Ok((None,))
    }
}

impl message_server_client::Guest for Echo {
    fn handle_send(state: State, (message,): (Vec<u8>,)) -> Result<(State,), String> {
        Ok((Some(append(state, &message)),))
    }

    /// The first byte of a message selects the change to the state: 0 none, 1 changes one byte, 2 replaces the
    /// state by the rest of the message. Any other byte counts the request.
    fn handle_request(
        state: State,
        (_request_id, message): (String, Vec<u8>),
    ) -> Result<(State, (Option<Vec<u8>>,)), String> {
        let state = match message.as_slice() {
            [0, ..] => None,
            [1, ..] => Some(touch(state)),
            [2, new @ ..] => Some(new.to_vec()),
            _ => Some(count(state)),
        };
        Ok((state, (Some(message),)))
    }

    fn handle_channel_open(
        _state: State,
        (_channel, _message): (String, Vec<u8>),
    ) -> Result<(State, (ChannelAccept,)), String> {
        let accept = ChannelAccept { accepted: true, message: None };
        Ok((None, (accept,)))
    }

    fn handle_channel_message(state: State, (_channel, message): (ChannelId, Vec<u8>)) -> Result<(State,), String> {
        Ok((Some(append(state, &message)),))
    }

    fn handle_channel_close(_state: State, (_channel,): (ChannelId,)) -> Result<(State,), String> {
        Ok((None,))
    }
}

/// Adds one to the last byte.
fn touch(state: State) -> Vec<u8> {
    let mut state = state.unwrap_or_default();
    match state.last_mut() {
        Some(byte) => *byte = byte.wrapping_add(1),
        None => state.push(1),
    }
    state
}

fn count(state: State) -> Vec<u8> {
    let mut state = with_count(state);
    if let Some(count) = state.first_chunk_mut() {
        *count = u64::from_le_bytes(*count).wrapping_add(1).to_le_bytes();
    }
    state
}

fn append(state: State, message: &[u8]) -> Vec<u8> {
    let mut state = with_count(state);
    state.extend_from_slice(message);
    state
}

/// Extends the state so that it has at least the bytes of the count.
fn with_count(state: State) -> Vec<u8> {
    let mut state = state.unwrap_or_default();
    state.resize(state.len().max(size_of::<u64>()), 0);
    state
}

export!(Echo);
