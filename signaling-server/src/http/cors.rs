//! Lets pages from anywhere read, and no more: what GET answers is for everybody who knows the address (and, where one
//! is asked for, the key).

use axum::{
    extract::Request,
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::api_error::ApiError;

/// Allows other origins to GET, and answers their preflight requests.
pub(super) async fn allow_reading(request: Request, next: Next) -> Response {
    let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_METHOD).cloned();
    match asked.filter(|_| request.method() == Method::OPTIONS) {
        Some(method) => preflight(&method),
        None => {
            let reads = is_reading(request.method().as_str());
            let response = next.run(request).await;
            if reads { readable(response) } else { response }
        }
    }
}

/// A page that asks for POST gets no header at all: were the headers that it may send named, it could publish, as
/// browsers allow POST whatever methods are named.
fn preflight(method: &HeaderValue) -> Response {
    if !method.to_str().is_ok_and(is_reading) {
        return ApiError::new(StatusCode::FORBIDDEN, "pages from another origin may only read here")
            .fix("publish from a program, or through the server that the page comes from")
            .into_response();
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD"));
    // A browser's own `EventSource` may send the last event's id anyway, libraries in its place may not.
    let asked = HeaderValue::from_static("authorization, last-event-id");
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    readable(response)
}

fn is_reading(method: &str) -> bool {
    matches!(method, "GET" | "HEAD")
}

fn readable(mut response: Response) -> Response {
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}
