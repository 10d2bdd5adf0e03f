//! Serves one connection: reads a head and a body, answers, and repeats.

use std::net::SocketAddr;
use std::sync::Arc;

use theater_plugin_api::Host;
use tide::http::{Method, Request, Response, Url};

use crate::head::Head;
use crate::hosts::Hosts;
use crate::parked;
use crate::received::Received;
use crate::refusal::Refusal;
use crate::reply::{Reply, ReplyForm};
use crate::source::{ReadError, Source};
use crate::upgraded::{UpgradeHandler, Upgraded};

/// The state that all connections of a server share.
pub(crate) struct Service<S> {
    pub app: tide::Server<S>,
    /// The hosts that requests may name.
    pub hosts: Hosts,
    pub host: Host,
    /// The address the server listens on.
    pub address: SocketAddr,
    /// The URL by which tide routes every request (see the crate documentation).
    pub url: Url,
}

/// Serves a connection until it ends.
pub(crate) async fn serve<S>(mut source: Source, peer: SocketAddr, service: Arc<Service<S>>)
where
    S: Clone + Send + Sync + 'static,
{
    let mut out = Vec::new();
    loop {
        match exchange(&mut source, peer, &service, &mut out).await {
            Ok(AfterReply::Again) => {}
            Ok(AfterReply::Switch(then)) => {
                drop((service, out));
                return then(Upgraded::new(source)).await;
            }
            Ok(AfterReply::End) if source.stopping() => return,
            Ok(AfterReply::End) => return source.close().await,
            Err(ReadError::Refused(refusal)) => return refuse(source, refusal).await,
            Err(ReadError::Closed) => return hand_over(source, peer, &service),
        }
    }
}

/// Keeps an idle connection open for the next run if its actor is about to be restarted.
fn hand_over<S>(source: Source, peer: SocketAddr, service: &Service<S>) {
    if source.stopping()
        && source.waiting().is_empty()
        && let Some(owner) = parked::owner(&service.host)
        && let Some(stream) = source.into_plain()
    {
        parked::carry(owner, service.address, stream, peer);
    }
}

/// Sends a refusal and closes.
pub(crate) async fn refuse(mut source: Source, refusal: Refusal) {
    let (reply, mut out) = (Reply::from(refusal), Vec::new());
    let body = reply.write_head(ReplyForm::default(), &mut out);
    if source.write(&out, body).await.is_ok() {
        source.close().await;
    }
}

/// What happens to the connection after an answer.
enum AfterReply {
    /// The next request is read.
    Again,
    /// The connection ends.
    End,
    /// The connection switches to another protocol.
    Switch(UpgradeHandler),
}

/// Reads one request and answers it.
async fn exchange<S>(
    source: &mut Source,
    peer: SocketAddr,
    service: &Service<S>,
    out: &mut Vec<u8>,
) -> Result<AfterReply, ReadError>
where
    S: Clone + Send + Sync + 'static,
{
    let Some(head) = source.head().await? else { return Err(ReadError::Closed) };
    if !head.headers.iter().filter(|(name, _)| name == "host").all(|(_, host)| service.hosts.has(host)) {
        return Err(Refusal::HOST.into());
    }
    if head.expects && source.waiting().is_empty() {
        await_body(source, &head).await?;
    }
    let body = source.body(head.framing).await?;
    let mut form =
        ReplyForm { head: head.method == "HEAD", connect: head.method == "CONNECT", old: head.old, keeps: head.keeps };
    let received = Received { method: head.method, uri: head.uri, headers: head.headers, body, peer };
    let mut reply = service.answer(received).await;
    if source.stopping() && reply.switches() {
        // The stop has happened already, so the code after the switch would never notice it.
        reply = Reply::from(Refusal::STOPPING);
    }
    form.keeps &= !source.stopping();
    let body = reply.write_head(form, out);
    source.write(out, body).await?;
    Ok(match reply.switch() {
        Some(then) => AfterReply::Switch(then),
        None if reply.keeps(form) => AfterReply::Again,
        None => AfterReply::End,
    })
}

/// Sends 100 Continue to a client that waits for it, unless its body is too large anyway.
async fn await_body(source: &mut Source, head: &Head) -> Result<(), ReadError> {
    if let crate::head::Framing::Length(length) = head.framing
        && length > source.limits().body_bytes
    {
        return Err(Refusal::BODY.into());
    }
    source.write(b"HTTP/1.1 100 Continue\r\n\r\n", b"").await
}

impl<S> Service<S>
where
    S: Clone + Send + Sync + 'static,
{
    async fn answer(&self, received: Received) -> Reply {
        // The route accepts all methods, so any method will do for one that http-types does not know.
        let method = received.method.parse().unwrap_or(Method::Get);
        let mut request = Request::new(method, self.url.clone());
        request.ext_mut().insert(received);
        match self.app.respond::<_, Response>(request).await {
            Ok(response) => Reply::of(response).await,
            Err(_) => Reply::text(500, "the response could not be created"),
        }
    }
}
