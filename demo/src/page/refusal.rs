//! How the demo says no.

use std::borrow::Cow;

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

/// Says no, and what to do instead.
pub(super) struct Refusal(pub(super) StatusCode, pub(super) Cow<'static, str>, pub(super) &'static str);

impl Refusal {
    pub(super) const fn new(status: StatusCode, error: &'static str, fix: &'static str) -> Self {
        Self(status, Cow::Borrowed(error), fix)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(status, error, fix) = self;
        (status, Json(json!({ "error": error, "fix": fix }))).into_response()
    }
}
