//! What a request that failed is answered with: a JSON object that says what is wrong and what to do.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tiercast_codec::Code;

/// The answer to a request that failed.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    body: Body,
}

#[derive(Debug, Serialize)]
struct Body {
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Code>,
    fix: String,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, body: Body { error: error.into(), code: None, fix: String::new() } }
    }

    /// What the caller can do about it.
    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.body.fix = fix.into();
        self
    }

    /// The protocol's code for the same thing.
    pub(crate) fn code(mut self, code: Code) -> Self {
        self.body.code = Some(code);
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
