//! `GET /v1/ws`: checks the WebSocket handshake (RFC 6455, 4.2) and hands the connection over.

use std::{net::IpAddr, sync::Arc};

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

use crate::{api_error::ApiError, app::App, caller::Caller, session::SUBPROTOCOL};

/// A connection that becomes a session.
pub(crate) struct Upgrade {
    pub(crate) connection: OnUpgrade,
    /// The address of the client.
    pub(crate) client: IpAddr,
}

/// Where a connection's task waits for its upgrade: it becomes the session's task.
pub(crate) type Upgrades = mpsc::Sender<Upgrade>;

pub(super) async fn upgrade(
    State(app): State<Arc<App>>,
    Caller(client): Caller,
    Extension(upgrades): Extension<Upgrades>,
    mut request: Request,
) -> Result<Response, ApiError> {
    let key = check(request.version(), request.headers())?;
    if *app.stopping.borrow() {
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "the server is shutting down")
            .code(Code::SHUTDOWN)
            .fix("connect again in a second"));
    }
    let upgrade = Upgrade { connection: hyper::upgrade::on(&mut request), client };
    upgrades.try_send(upgrade).map_err(|_| bad_request("this connection is being upgraded already"))?;
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, derive_accept_key(key.as_bytes()))
        .header(header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL)
        .body(Body::empty())
        .map_err(|error| bad_request(&error.to_string()))
}

/// Checks the handshake; gives the client's key.
fn check(version: Version, headers: &HeaderMap) -> Result<HeaderValue, ApiError> {
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
    if !has_token(headers, header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        return Err(bad_request(&format!(
            "offer the subprotocol {SUBPROTOCOL}, which is all this server speaks"
        )));
    }
    headers.get(header::SEC_WEBSOCKET_KEY).cloned().ok_or_else(|| bad_request("Sec-WebSocket-Key is missing"))
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
