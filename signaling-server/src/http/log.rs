//! Requests in the operator's log: each is served within a span that says who asks, and a line tells of each that is refused.

use axum::{
    extract::Request,
    http::{Method, Uri},
    middleware::Next,
    response::Response,
};
use tracing::{Instrument, Span, field::Empty, info, info_span};

use super::upgrade::Speaks;
use crate::{
    api_error::Refused,
    counters::Transport,
    shown::cut,
    transport::{EXCHANGE, SINCE, sse::LAST_EVENT_ID},
    visitor::Address,
};

/// Serves a request within its client's span.
pub(super) async fn log(request: Request, next: Next) -> Response {
    let (span, asked) = (span(&request), Asked::by(&request));
    let answered = async {
        let response = next.run(request).await;
        asked.tell(&response);
        response
    };
    answered.instrument(span).await
}

/// What every line about a client begins with. Who it is, what a peer calls itself and its session's number are recorded once
/// they are known. It holds no key.
fn span(request: &Request) -> Span {
    let address =
        request.extensions().get::<Address>().map(|Address(address)| tracing::field::display(address));
    let transport = transport(request);
    info_span!("client", transport, address, who = Empty, session = Empty, client = Empty)
}

/// What the client speaks; `http` where it does not read.
fn transport(request: &Request) -> &'static str {
    let path = request.uri().path();
    let is_named = |transport: &Transport| path_parts(path).is_some_and(|(name, _)| name == transport.name());
    match Transport::PLAIN.iter().find(|transport| is_named(transport)) {
        Some(transport) => transport.name(),
        None if path == "/v1/ws" => {
            Speaks::offered(request.headers()).unwrap_or(Speaks::Frames).transport().name()
        }
        None if path.starts_with("/api/events/") => Transport::Taskcluster.name(),
        None => "http",
    }
}

/// The route's name and what stands behind it, in `/v1/NAME/CHANNEL`.
fn path_parts(path: &str) -> Option<(&str, Option<&str>)> {
    let mut parts = path.strip_prefix("/v1/")?.split('/');
    Some((parts.next()?, parts.next()))
}

/// A request, as far as a line about it tells of it: of the query only what holds no key.
struct Asked {
    method: Method,
    uri: Uri,
    last_event_id: Option<String>,
}

impl Asked {
    fn by(request: &Request) -> Self {
        let id = request.headers().get(LAST_EVENT_ID).and_then(|id| id.to_str().ok());
        let last_event_id = id.filter(|id| !id.is_empty()).map(str::to_owned);
        Self { method: request.method().clone(), uri: request.uri().clone(), last_event_id }
    }

    /// Tells of it if it was refused.
    fn tell(&self, response: &Response) {
        let (status, refused) = (response.status(), response.extensions().get::<Refused>());
        if refused.is_none() && !status.is_client_error() {
            return;
        }
        let path = cut(self.uri.path());
        let (channel, since) = (self.channel(), self.since());
        let (channel, since) = (channel.as_deref().map(cut), since.as_deref().map(cut));
        let code = refused.and_then(|refused| refused.code).map(|code| code.0);
        let reason = refused.map(|refused| cut(&refused.reason));
        let (method, status) = (self.method.as_str(), status.as_u16());
        info!(channel, since, method, path, status, code, reason, "request refused");
    }

    fn channel(&self) -> Option<String> {
        let in_path = path_parts(self.uri.path()).and_then(|(_, channel)| channel);
        in_path.map(str::to_owned).or_else(|| self.parameter(EXCHANGE))
    }

    fn since(&self) -> Option<String> {
        self.last_event_id.clone().or_else(|| self.parameter(SINCE))
    }

    fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = form_urlencoded::parse(self.uri.query().unwrap_or_default().as_bytes());
        pairs.find(|(other, _)| other == name).map(|(_, value)| value.into_owned())
    }
}
