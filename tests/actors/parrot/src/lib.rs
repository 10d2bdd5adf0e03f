//! Echoes the messages of its websocket clients. Its state is the number of connected clients, as text.

use theater_sdk::websocket_server::{MessageType, WebsocketMessage, WebsocketResponse};
use theater_sdk::{State, actor, websocket_server};

struct Parrot;

#[actor::export]
impl actor::Actor for Parrot {
    fn init(_state: State, (_id,): (String,)) -> Result<(State,), String> {
        Ok((written(0),))
    }
}

#[websocket_server::export]
impl websocket_server::WebsocketServer for Parrot {
    fn handle_message(state: State, (message,): (WebsocketMessage,)) -> Result<(State, (WebsocketResponse,)), String> {
        let here = read(state)?;
        let (here, messages) = match message.ty {
            MessageType::Connect => {
                let number = message.text.unwrap_or_default();
                let greeting = format!("you are client {number}, one of {}", here + 1);
                (here + 1, vec![WebsocketMessage { ty: MessageType::Text, data: None, text: Some(greeting) }])
            }
            MessageType::Close => (here.saturating_sub(1), Vec::new()),
            MessageType::Text | MessageType::Binary => (here, vec![message]),
            _ => (here, Vec::new()),
        };
        Ok((written(here), (WebsocketResponse { messages },)))
    }
}

fn read(state: State) -> Result<u64, String> {
    let text = String::from_utf8(state.unwrap_or_default()).map_err(|error| error.to_string())?;
    text.parse().map_err(|_| format!("the state should be a number, but is {text:?}"))
}

fn written(here: u64) -> State {
    Some(here.to_string().into_bytes())
}
