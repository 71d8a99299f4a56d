//! What pages of other origins may do (`cors_origins`): a browser asks, or leaves it to the server where it opens a
//! WebSocket.

use std::time::Duration;

use axum::http::{HeaderMap, Method, StatusCode, header, request::Parts};
use tiercast_codec::Code;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::{api_error::ApiError, config::CorsOrigins};

/// How long a browser need not ask again.
const MAX_AGE: Duration = Duration::from_secs(600);

/// Answers preflight requests, and says with every answer who may read it.
///
/// A page of a site that is not named gets no origin for a POST: were it allowed to send a key, it could publish, as browsers
/// take POST for allowed whatever methods are named. The keys of backends are not for pages of just any site. A site that
/// is named is the operator's own choice: it may send any header, as those of an event have names of their own.
pub(super) fn layer(origins: CorsOrigins) -> CorsLayer {
    let may_publish = matches!(origins, CorsOrigins::Listed(_));
    let methods: &[Method] =
        if may_publish { &[Method::GET, Method::HEAD, Method::POST] } else { &[Method::GET, Method::HEAD] };
    let is_allowed = AllowOrigin::predicate(move |origin, request| {
        origin.to_str().is_ok_and(|origin| origins.allow(origin)) && (may_publish || is_reading(request))
    });
    CorsLayer::new()
        .allow_origin(is_allowed)
        .allow_methods(methods.to_vec())
        .allow_headers(AllowHeaders::mirror_request())
        // A page that polls is told by it when to come back.
        .expose_headers([header::RETRY_AFTER])
        .max_age(MAX_AGE)
}

/// Whether a request reads, or asks whether it may.
fn is_reading(request: &Parts) -> bool {
    let asked = request.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD);
    match asked.filter(|_| request.method == Method::OPTIONS) {
        Some(asked) => asked == "GET" || asked == "HEAD",
        None => request.method == Method::GET || request.method == Method::HEAD,
    }
}

/// Refuses a WebSocket to a page whose origin is not allowed. Programs name none.
pub(super) fn check_socket(origins: &CorsOrigins, headers: &HeaderMap) -> Result<(), ApiError> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let Some(origin) = text(header::ORIGIN) else { return Ok(()) };
    if origins.allow(origin) || text(header::HOST).is_some_and(|host| is_own(origin, host)) {
        return Ok(());
    }
    Err(ApiError::new(StatusCode::FORBIDDEN, format!("pages of `{origin}` may not connect to this server"))
        .code(Code::NOT_ALLOWED)
        .fix("add the origin to cors_origins in the server's configuration"))
}

/// Whether a page comes from the address that it connects to.
fn is_own(origin: &str, host: &str) -> bool {
    origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
}
