//! Answers messages with themselves, and does as little else as possible: benchmarks measure the host with
//! it. It imports nothing.
//!
//! Its state begins with the number of requests it counted, 8 bytes in little-endian order. What was sent
//! to it comes after that.

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

    /// The first byte of a message says what happens to the state: 0 nothing, 1 one byte changes, 2 the rest
    /// of the message replaces it. With any other the request is counted.
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

/// The state with room for the count at its beginning.
fn with_count(state: State) -> Vec<u8> {
    let mut state = state.unwrap_or_default();
    state.resize(state.len().max(size_of::<u64>()), 0);
    state
}

export!(Echo);
