//! The types that `bindings!` generates for `wit/`, the greeter's WIT and `values/wit`, and the shapes that the core
//! reads.

use std::fmt::Debug;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use theater_chain::value_type::ValueType;
use theater_plugin_api::encoding::{
    EncodingError, Reader, decode, encode, write_bytes, write_flags, write_varint, zigzag,
};
use theater_plugin_api::{Attachment, Handler, Host, Plugin};
use wit_parser::{Resolve, Type, TypeDefKind, TypeOwner};

use super::random::Random;

theater_plugin_api::bindings! {
    plugin: Nothing,
    handler: Nothing,
    name: "values",
    wit: "tests/values/wit",
    calls: { "test:values/all": optional },
}

struct Nothing;

impl Plugin for Nothing {
    type Handler = Nothing;
    fn init(_: Host) -> Result<Self, String> {
        Ok(Nothing)
    }
    async fn attach(&self, _: Host, _: Attachment) -> Result<Nothing, String> {
        Ok(Nothing)
    }
}

impl Handler for Nothing {}

type Both = fn(&[u8]) -> (Vec<u8>, Vec<u8>);

/// A named WIT type with functions of its generated Rust type.
pub struct Generated {
    /// `package/interface/name`, without versions.
    pub name: &'static str,
    /// Decodes bytes strictly and encodes the value again.
    pub again: fn(&[u8]) -> Result<Vec<u8>, EncodingError>,
    /// Decodes bytes strictly and encodes the value with postcard, then decodes that with postcard and encodes it
    /// strictly.
    pub postcard: Both,
}

impl Generated {
    const fn of<T: Serialize + DeserializeOwned + Debug>(name: &'static str) -> Self {
        Self {
            name,
            again: |bytes| decode::<T>(bytes).map(|value| encode(&value).unwrap()),
            postcard: |bytes| {
                let written = ::postcard::to_allocvec(&decode::<T>(bytes).unwrap()).unwrap();
                let read = ::postcard::from_bytes::<T>(&written).unwrap();
                (written, encode(&read).unwrap())
            },
        }
    }
}

macro_rules! generated {
    ($($text:literal $($module:ident)::+ { $($name:literal $ty:ident,)+ })+) => {
        const GROUPS: &[&[Generated]] = &[$({
            use $($module)::+ as group;
            &[$(Generated::of::<group::$ty>(concat!($text, "/", $name)),)+]
        },)+];
    };
}

/// All generated types.
pub fn all() -> impl Iterator<Item = &'static Generated> {
    GROUPS.iter().copied().flatten()
}

generated! {
    "theater:simple/types" theater::simple::types {
        "actor-id" ActorId, "channel-id" ChannelId, "json" Json, "state" State, "channel-accept" ChannelAccept,
        "event" Event, "meta-event" MetaEvent, "chain" Chain, "chain-event" ChainEvent,
        "wit-error-type" WitErrorType, "wit-actor-error" WitActorError,
    }
    "theater:simple/filesystem" theater::simple::filesystem {
        "command-success" CommandSuccess, "command-error" CommandError, "command-result" CommandResult,
    }
    "theater:simple/http-framework" theater::simple::http_framework {
        "server-id" ServerId, "handler-id" HandlerId, "route-id" RouteId, "middleware-id" MiddlewareId,
    }
    "theater:simple/http-types" theater::simple::http_types {
        "bytes" Bytes, "http-request" HttpRequest, "http-response" HttpResponse, "tls-config" TlsConfig,
        "server-config" ServerConfig, "server-info" ServerInfo, "middleware-result" MiddlewareResult,
    }
    "theater:simple/process" theater::simple::process {
        "output-mode" OutputMode, "process-config" ProcessConfig, "process-status" ProcessStatus,
    }
    "theater:simple/store" theater::simple::store { "content-ref" ContentRef, }
    "theater:simple/websocket-server" theater::simple::websocket_server {
        "message-type" MessageType, "websocket-message" WebsocketMessage, "websocket-response" WebsocketResponse,
    }
    "theater:simple/websocket-types" theater::simple::websocket_types {
        "message-type" MessageType, "websocket-message" WebsocketMessage,
    }
    "acme:greeter/hello" acme::greeter::hello {
        "tone" Tone, "marks" Marks, "person" Person, "occasion" Occasion, "fault" Fault,
    }
    "test:values/all" test::values::all {
        "flags0" Flags0, "flags1" Flags1, "flags8" Flags8, "flags9" Flags9, "flags33" Flags33, "flags64" Flags64,
        "flags65" Flags65, "many" Many, "cases" Cases, "one" One, "scalars" Scalars, "octet" Octet, "octets" Octets,
        "lists" Lists, "results" Results, "keywords" Keywords, "deep" Deep, "everything" Everything,
    }
}

/// The shapes of all named WIT types, by `package/interface/name`. Aliases from `use` are left out.
pub fn shapes() -> Vec<(String, ValueType)> {
    let mut resolve = Resolve::default();
    resolve.push_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/values/wit")).unwrap();
    let mut shapes = Vec::new();
    for (id, def) in resolve.types.iter() {
        let (Some(name), TypeOwner::Interface(owner)) = (&def.name, def.owner) else { continue };
        let used = match def.kind {
            TypeDefKind::Type(Type::Id(other)) => resolve.types[other].owner != def.owner,
            _ => false,
        };
        if !used {
            let interface = resolve.id_of(owner).unwrap();
            let interface = interface.split('@').next().unwrap().to_owned();
            shapes.push((format!("{interface}/{name}"), ValueType::of_wit(&resolve, &Type::Id(id)).unwrap()));
        }
    }
    shapes
}

/// Writes the encoding of a random value of a shape.
pub fn random_bytes(random: &mut Random, shape: &ValueType, out: &mut Vec<u8>) {
    // From 4 KiB on, all lists are empty.
    let full = out.len() > 4096;
    let count = |random: &mut Random, shape: &ValueType| match shape {
        _ if full => 0,
        ValueType::Bytes => random.pick(&[0, 1, 127, 128, 300]),
        _ => random.pick(&[0, 1, 2, 5]),
    };
    match shape {
        ValueType::Bool => out.push(random.below(2) as u8),
        ValueType::U8 | ValueType::S8 => out.push(random.number() as u8),
        ValueType::U16 | ValueType::S16 => write_varint(out, (random.number() as u16).into()),
        ValueType::U32 | ValueType::S32 => write_varint(out, (random.number() as u32).into()),
        ValueType::U64 => write_varint(out, random.number()),
        ValueType::S64 => write_varint(out, zigzag(random.number() as i64)),
        ValueType::F32 => {
            let value = f32::from_bits(random.next() as u32);
            out.extend((if value.is_nan() { f32::from_bits(0x7fc0_0000) } else { value }).to_bits().to_le_bytes());
        }
        ValueType::F64 => {
            let value = f64::from_bits(random.next());
            out.extend((if value.is_nan() { f64::from_bits(0x7ff8 << 48) } else { value }).to_bits().to_le_bytes());
        }
        ValueType::Char => write_bytes(out, random.pick(&["a", "\0", "é", "€", "\u{10ffff}"]).as_bytes()),
        ValueType::String => write_bytes(out, random.pick(&["", "text", "é€\u{10000}", "a\"b\\c\n"]).as_bytes()),
        ValueType::Bytes => {
            let bytes: Vec<_> = (0..count(random, shape)).map(|_| random.next() as u8).collect();
            write_bytes(out, &bytes);
        }
        ValueType::List(item) => {
            let count = count(random, shape);
            write_varint(out, count);
            (0..count).for_each(|_| random_bytes(random, item, out));
        }
        ValueType::Option(some) => {
            out.push(random.below(2) as u8);
            if out.ends_with(&[1]) {
                random_bytes(random, some, out);
            }
        }
        ValueType::Result(sides) => {
            out.push(random.below(2) as u8);
            let side = if out.ends_with(&[0]) { &sides.0 } else { &sides.1 };
            side.iter().for_each(|side| random_bytes(random, side, out));
        }
        ValueType::Tuple(items) => items.iter().for_each(|item| random_bytes(random, item, out)),
        ValueType::Record(fields) => fields.iter().for_each(|(_, field)| random_bytes(random, field, out)),
        ValueType::Variant(cases) => {
            let case = random.below(cases.len());
            write_varint(out, case as u64);
            cases[case].1.iter().for_each(|payload| random_bytes(random, payload, out));
        }
        ValueType::Enum(cases) => write_varint(out, random.below(cases.len()) as u64),
        ValueType::Flags(flags) => {
            let set = random.pick(&[0, 50, 100]);
            let mut bits = vec![0; flags.len().div_ceil(8)];
            for flag in 0..flags.len() {
                bits[flag / 8] |= u8::from(random.chance(set)) << (flag % 8);
            }
            write_flags(out, flags.len(), &bits);
        }
    }
}

/// Changes, removes or inserts a byte.
pub fn change(random: &mut Random, bytes: &mut Vec<u8>) {
    let at = random.below(bytes.len().max(1));
    match random.below(5) {
        _ if bytes.is_empty() => bytes.push(random.next() as u8),
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.next() as u8,
        2 => bytes.insert(at, random.pick(&[0, 1, 2, 0x7f, 0x80, 0xc0, 0xff])),
        3 => drop(bytes.remove(at)),
        _ => bytes.truncate(at),
    }
}

/// Checks that both decoders, the core's and that of the generated type, agree on bytes. Returns whether they are
/// valid.
pub fn check_decoders(generated: &Generated, shape: &ValueType, bytes: &[u8]) -> bool {
    let mut reader = Reader::new(bytes);
    let valid = shape.validate(&mut reader).and_then(|()| reader.finish());
    let again = (generated.again)(bytes);
    assert_eq!(valid.is_ok(), again.is_ok(), "{}: {valid:?}, {again:?}: {bytes:?}", generated.name);
    if let Ok(again) = &again {
        assert_eq!(again, bytes, "{}", generated.name);
    }
    again.is_ok()
}
