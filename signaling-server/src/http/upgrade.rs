//! `GET /v1/ws`: checks the WebSocket handshake (RFC 6455, 4.2) and hands the connection over.
//!
//! Browsers keep from a page what a server answered to a handshake that failed. So one who is refused gets a WebSocket all
//! the same, and is told by its close code.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header},
    response::Response,
};
use hyper::upgrade::OnUpgrade;
use tiercast_codec::Code;
use tiercast_mesh::hub::Refusal;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tracing::Span;

use super::cors;
use crate::{
    api_error::ApiError, app::App, counters::Transport, session::SUBPROTOCOL, transport::json,
    visitor::Visitor,
};

/// A connection that becomes a WebSocket.
pub(crate) struct Upgrade {
    pub(crate) connection: OnUpgrade,
    pub(crate) purpose: Purpose,
    /// What every line of the log about it begins with.
    pub(crate) span: Span,
}

/// What a WebSocket is for.
pub(crate) enum Purpose {
    /// A session: whose, and what it is going to speak.
    Session(Visitor, Speaks),
    /// Telling a client that it gets none.
    Refusal(Refusal),
}

/// What is spoken on a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// The session of a peer.
    Frames,
    /// JSON, to a plain client.
    Json,
}

impl Speaks {
    const ALL: [Self; 2] = [Self::Frames, Self::Json];

    /// The first one that a handshake offers.
    pub(super) fn offered(headers: &HeaderMap) -> Option<Self> {
        let is_offered =
            |speaks: &Self| has_token(headers, header::SEC_WEBSOCKET_PROTOCOL, speaks.subprotocol());
        Self::ALL.into_iter().find(is_offered)
    }

    /// What is counted and logged under.
    pub(crate) fn transport(self) -> Transport {
        match self {
            Self::Frames => Transport::Ws,
            Self::Json => Transport::Json,
        }
    }

    /// Its name in the handshake.
    fn subprotocol(self) -> &'static str {
        match self {
            Self::Frames => SUBPROTOCOL,
            Self::Json => json::SUBPROTOCOL,
        }
    }
}

/// Where a connection's task waits for its upgrade: it becomes the session's task.
pub(crate) type Upgrades = mpsc::Sender<Upgrade>;

pub(super) async fn upgrade(
    State(app): State<Arc<App>>,
    visitor: Result<Visitor, ApiError>,
    request: Request,
) -> Result<Response, ApiError> {
    let allowed = cors::check_socket(&app.config.cors_origins, request.headers());
    let visitor = match visitor.and_then(|visitor| allowed.map(|()| visitor)) {
        Ok(visitor) => visitor,
        Err(error) => return refuse(request, error),
    };
    let (key, speaks) = check(request.version(), request.headers())?;
    if app.is_leaving() {
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "the server is shutting down")
            .code(Code::SHUTDOWN)
            .fix("connect again, no earlier than Retry-After says")
            .retry_after(app.retry_after()));
    }
    switch(request, &key, speaks, Purpose::Session(visitor, speaks))
}

/// Refuses a request: by the close code of a WebSocket if it asks for one that is spoken here, else as any other.
pub(super) fn refuse(request: Request, error: ApiError) -> Result<Response, ApiError> {
    let Ok((key, speaks)) = check(request.version(), request.headers()) else { return Err(error) };
    let refused = error.refused();
    let mut response = switch(request, &key, speaks, Purpose::Refusal(error.into()))?;
    // For the log.
    response.extensions_mut().insert(refused);
    Ok(response)
}

/// Hands the connection over.
fn switch(
    mut request: Request,
    key: &HeaderValue,
    speaks: Speaks,
    purpose: Purpose,
) -> Result<Response, ApiError> {
    let (connection, span) = (hyper::upgrade::on(&mut request), Span::current());
    let upgrades: &Upgrades = request.extensions().get().expect("the listener gives it to every request");
    upgrades
        .try_send(Upgrade { connection, purpose, span })
        .map_err(|_| bad_request("this connection is being upgraded already"))?;
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, derive_accept_key(key.as_bytes()))
        .header(header::SEC_WEBSOCKET_PROTOCOL, speaks.subprotocol())
        .body(Body::empty())
        .map_err(|error| bad_request(&error.to_string()))
}

/// Checks the handshake; gives the client's key, and what it speaks.
fn check(version: Version, headers: &HeaderMap) -> Result<(HeaderValue, Speaks), ApiError> {
    let is_upgrade = version == Version::HTTP_11
        && has_token(headers, header::CONNECTION, "upgrade")
        && has_token(headers, header::UPGRADE, "websocket");
    if !is_upgrade {
        return Err(bad_request("this is not a WebSocket handshake: connect with a WebSocket client"));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        let error = "this server speaks WebSocket version 13 only";
        return Err(ApiError::new(StatusCode::UPGRADE_REQUIRED, error).fix("send Sec-WebSocket-Version: 13"));
    }
    let Some(speaks) = Speaks::offered(headers) else {
        let error = format!("offer the subprotocol {SUBPROTOCOL} or {}", json::SUBPROTOCOL);
        return Err(bad_request(&format!("{error}: this server speaks no other")));
    };
    let key = headers.get(header::SEC_WEBSOCKET_KEY).cloned();
    Ok((key.ok_or_else(|| bad_request("Sec-WebSocket-Key is missing"))?, speaks))
}

/// Whether a header that is a list, possibly spread over several lines, holds a token.
fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|item| item.trim().eq_ignore_ascii_case(token))
}

fn bad_request(error: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, error)
        .code(Code::BAD_REQUEST)
        .fix(format!("open a WebSocket to /v1/ws with the subprotocol {SUBPROTOCOL}"))
}
