//! `GET /v1/ws`: checks the WebSocket handshake (RFC 6455, 4.2) and hands the connection over.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header},
    response::Response,
};
use hyper::upgrade::OnUpgrade;
use tiercast_codec::Code;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tracing::Span;

use super::cors;
use crate::{
    api_error::ApiError, app::App, counters::Transport, session::SUBPROTOCOL, transport::json,
    visitor::Visitor,
};

/// A connection that becomes a session.
pub(crate) struct Upgrade {
    pub(crate) connection: OnUpgrade,
    /// Who it is.
    pub(crate) visitor: Visitor,
    /// What it is going to speak.
    pub(crate) speaks: Speaks,
    /// What every line of the log about it begins with.
    pub(crate) span: Span,
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
    visitor: Visitor,
    Extension(upgrades): Extension<Upgrades>,
    mut request: Request,
) -> Result<Response, ApiError> {
    let (key, speaks) = check(request.version(), request.headers())?;
    cors::check_socket(&app.config.cors_origins, request.headers())?;
    if app.is_leaving() {
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "the server is shutting down")
            .code(Code::SHUTDOWN)
            .fix("connect again in a second"));
    }
    let (connection, span) = (hyper::upgrade::on(&mut request), Span::current());
    let upgrade = Upgrade { connection, visitor, speaks, span };
    upgrades.try_send(upgrade).map_err(|_| bad_request("this connection is being upgraded already"))?;
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
