//! The setup of the benches: a core with the real plugins, actors of the guest, and bare instances of the guest.

use std::sync::Arc;
use std::time::Duration;

use theater_plugin_api::Bytes;
use theater_plugin_api::encoding::encode;
use theater_runtime::actor::{ActorHandle, CallOutcome, IncomingCall};
use theater_runtime::core::{Core, Options};
use theater_runtime::manifest::{Manifest, Values};
use theater_runtime::support::executor::block_on;
use theater_tests::{Scratch, build_folder, repository};
use wasmtime::component::{Component, InstancePre, Linker, TypedFunc};
use wasmtime::{Engine, Store};

const SEND: &str = "theater:simple/message-server-client/handle-send";
type Handled = (Result<(Option<Vec<u8>>,), String>,);
pub type HandleSend = TypedFunc<(Option<&'static [u8]>, (&'static [u8],)), Handled>;

fn guest() -> std::path::PathBuf {
    repository().join("tests/benches/talk.wat")
}

/// Opens a core with the real plugins, and reads the manifest of the guest.
pub fn open(scratch: &Scratch, more: &str) -> (Arc<Core>, Manifest) {
    let text = format!(
        "name = \"talk\"\ncomponent_path = {:?}\n[chain]\nsync = \"none\"\n[limits]\nrun_timeout_ms = 60000\n{more}\n\
         [[handlers]]\ntype = \"message-server\"\n",
        guest().display().to_string()
    );
    let manifest = Manifest::read(&scratch.write("talk.toml", text), &Values::new()).expect("the bench's manifest");
    let options = Options::new(build_folder(), scratch.path().join("data"));
    (Core::open(options).expect("a core"), manifest)
}

pub fn close(core: &Arc<Core>) {
    block_on(core.stop("bench", Duration::from_secs(5)));
}

/// Links the guest with trivial imports, without the runtime.
pub fn linked(engine: &Engine) -> InstancePre<()> {
    let component = Component::from_file(engine, guest()).expect("the guest");
    let mut linker = Linker::<()>::new(engine);
    let mut messages = linker.instance("theater:simple/message-server-host").expect("an instance");
    messages.func_wrap("send", |_, (_, _): (String, Vec<u8>)| Ok((Ok::<(), String>(()),))).expect("send");
    messages.func_wrap("request", |_, (_, m): (String, Vec<u8>)| Ok((Ok::<_, String>(m),))).expect("request");
    linker.instantiate_pre(&component).expect("a guest that can be started")
}

/// Creates a bare instance of the guest and looks up its function.
pub async fn instance(pre: &InstancePre<()>) -> (Store<()>, HandleSend) {
    let mut store = Store::new(pre.engine(), ());
    store.set_epoch_deadline(u64::MAX / 2);
    let instance = pre.instantiate_async(&mut store).await.expect("an instance");
    let interface = instance.get_export_index(&mut store, None, "theater:simple/message-server-client");
    let function = instance.get_export_index(&mut store, interface.as_ref(), "handle-send").expect("handle-send");
    let function = instance.get_typed_func(&mut store, function).expect("its type");
    (store, function)
}

pub async fn hot_call(store: &mut Store<()>, function: &HandleSend) {
    let answer = function.call_async(&mut *store, (None, (&[0; 64],))).await.expect("runs");
    assert_eq!(answer.0, Ok((None,)));
}

/// Starts this many actors of the guest.
pub fn started(core: &Arc<Core>, manifest: &Manifest, count: usize) -> Vec<Arc<ActorHandle>> {
    (0..count).map(|_| block_on(core.start(manifest)).expect("an actor starts")).collect()
}

/// Encodes a message to the guest.
pub fn message(bytes: &[u8]) -> Vec<u8> {
    encode(&(Bytes::from(bytes),)).expect("bytes encode")
}

/// Encodes the order to send this many messages or requests to an actor.
pub fn go(count: u32, by_request: bool, to: &ActorHandle) -> Vec<u8> {
    let head = [b"g\0\0\0".to_vec(), count.to_le_bytes().to_vec(), u32::from(by_request).to_le_bytes().to_vec()];
    message(&[head.concat(), to.id_text().as_bytes().to_vec()].concat())
}

/// Calls an actor with a message and waits until it has handled it.
pub async fn told(actor: &Arc<ActorHandle>, params: Vec<u8>) {
    let export = actor.export(SEND).expect("handle-send");
    let incoming = IncomingCall { export, params, source: "bench".to_owned(), cause: None };
    let outcome = actor.call(incoming).await;
    assert!(matches!(outcome, CallOutcome::Ok(_)), "{outcome:?}");
}
