//! Tests that the attributes accept every documented form of a function and adapt it to the trait.
#![allow(unused_qualifications, clippy::expect_used, clippy::type_complexity, reason = "written as users may")]

use theater_sdk::{State, actor, http_server, message_server, supervisor_handlers};

use actor::Actor;
use message_server::{ChannelAccept, ChannelId, MessageServerClient};
use supervisor_handlers::{SupervisorHandlers, WitActorError, WitErrorType};

struct Short;

#[actor::export]
impl actor::Actor for Short {
    fn init(state: Option<Vec<u8>>, params: (String,)) -> Result<(Option<Vec<u8>>,), String> {
        let state = state.unwrap_or_else(|| params.0.into_bytes());
        Ok((Some(state),))
    }
}

#[message_server::export]
impl message_server::MessageServerClient for Short {
    fn handle_send(state: Option<Vec<u8>>, params: (Vec<u8>,)) -> Result<(Option<Vec<u8>>,), String> {
        let new_state = state.map(|mut state| {
            state.extend(&params.0);
            state
        });
        Ok((new_state,))
    }

    fn handle_request(state: Option<Vec<u8>>, params: (Vec<u8>,)) -> Result<(Option<Vec<u8>>, (Vec<u8>,)), String> {
        let new_state = Some(Self::reversed(params.0));
        if state.is_none() {
            return Err("no state".to_owned());
        }
        let response = state.ok_or("unreachable")?;
        Ok((new_state, (response,)))
    }

    fn handle_channel_open(_state: State, (message,): (Vec<u8>,)) -> Result<(State, (ChannelAccept,)), String> {
        Ok((None, (ChannelAccept { accepted: true, message: Some(message) },)))
    }
}

impl Short {
    fn reversed(mut message: Vec<u8>) -> Vec<u8> {
        message.reverse();
        message
    }
}

struct Full;

type Answered = Result<(State, (Option<Vec<u8>>,)), String>;

#[message_server::export]
impl MessageServerClient for Full {
    fn handle_request(mut state: State, (id, message): (String, Vec<u8>)) -> Answered {
        if message.is_empty() {
            return Ok((None, (None,)));
        }
        let answer = state.replace(message);
        Ok((state, (answer.or(Some(id.into_bytes())),)))
    }

    fn handle_channel_open(
        _state: State,
        (channel, message): (ChannelId, Vec<u8>),
    ) -> Result<(State, (ChannelAccept,)), String> {
        Ok((Some(message), (ChannelAccept { accepted: false, message: Some(channel.into_bytes()) },)))
    }
}

#[supervisor_handlers::export]
impl SupervisorHandlers for Full {
    fn handle_child_exit(_state: State, (_child, data): (String, Option<Vec<u8>>)) -> Result<(State,), String> {
        Ok((data,))
    }
}

#[http_server::export]
impl http_server::HttpServer for Full {
    fn handle_request(
        state: State,
        (request,): (http_server::HttpRequest,),
    ) -> Result<(State, (http_server::HttpResponse,)), String> {
        let body = state.or(request.body);
        Ok((None, (http_server::HttpResponse { status: 200, headers: Vec::new(), body },)))
    }
}

/// An actor that ignores everything.
struct Nothing;

#[message_server::export]
impl MessageServerClient for Nothing {}

#[supervisor_handlers::export]
impl SupervisorHandlers for Nothing {}

fn some(bytes: &[u8]) -> State {
    Some(bytes.to_vec())
}

fn request(id: &str, message: &[u8]) -> (String, Vec<u8>) {
    (id.to_owned(), message.to_vec())
}

#[test]
fn the_short_form_takes_the_message_and_always_answers() {
    assert_eq!(Short::init(None, ("id".to_owned(),)), Ok((some(b"id"),)));
    assert_eq!(Short::handle_send(some(b"a"), (b"b".to_vec(),)), Ok((some(b"ab"),)));
    assert_eq!(Short::handle_request(some(b"old"), request("r1", b"new")), Ok((some(b"wen"), (some(b"old"),))));
    assert_eq!(Short::handle_request(None, request("r1", b"new")), Err("no state".to_owned()));
    let (_, (accept,)) = Short::handle_channel_open(None, request("c1", b"hello")).expect("opens");
    assert_eq!((accept.accepted, accept.message), (true, some(b"hello")));
}

#[test]
fn the_full_form_takes_the_id_and_may_answer_later() {
    assert_eq!(Full::handle_request(some(b"old"), request("r1", b"new")), Ok((some(b"new"), (some(b"old"),))));
    assert_eq!(Full::handle_request(None, request("r1", b"new")), Ok((some(b"new"), (some(b"r1"),))));
    assert_eq!(Full::handle_request(some(b"old"), request("r1", b"")), Ok((None, (None,))));
    let (state, (accept,)) = Full::handle_channel_open(None, request("c1", b"hello")).expect("answers");
    assert_eq!((state, accept.accepted, accept.message), (some(b"hello"), false, some(b"c1")));
    assert_eq!(Full::handle_child_exit(None, ("child".to_owned(), some(b"last"))), Ok((some(b"last"),)));
}

#[test]
fn functions_that_are_not_written_ignore_messages_and_refuse_channels() {
    assert_eq!(Nothing::handle_send(some(b"a"), (b"b".to_vec(),)), Ok((None,)));
    assert!(Nothing::handle_request(some(b"a"), request("r1", b"b")).is_err());
    let (_, (accept,)) = Nothing::handle_channel_open(None, request("c1", b"b")).expect("answers");
    assert!(!accept.accepted && accept.message.is_some());
    assert_eq!(Nothing::handle_channel_message(some(b"a"), request("c1", b"b")), Ok((None,)));
    assert_eq!(Nothing::handle_channel_close(some(b"a"), ("c1".to_owned(),)), Ok((None,)));
    let error = WitActorError { error_type: WitErrorType::Internal, data: None };
    assert_eq!(Nothing::handle_child_error(some(b"a"), ("child".to_owned(), error)), Ok((None,)));
}
