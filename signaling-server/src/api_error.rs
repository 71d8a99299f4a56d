//! What a request that failed is answered with: a JSON object that says what is wrong and what to do.

use std::time::Duration;

use axum::{
    Extension, Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tiercast_codec::Code;
use tiercast_mesh::hub::Refusal;

/// The answer to a request that failed.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    body: Body,
    /// When trying again makes sense, where it does (503). Default: 1 s.
    retry_after: Duration,
}

#[derive(Debug, Serialize)]
struct Body {
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Code>,
    fix: String,
}

/// Why a request was refused, for the log: goes with the answer.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) code: Option<Code>,
    pub(crate) reason: String,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        let body = Body { error: error.into(), code: None, fix: String::new() };
        Self { status, body, retry_after: Duration::from_secs(1) }
    }

    /// What the caller can do about it.
    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.body.fix = fix.into();
        self
    }

    /// When trying again makes sense, where it does (503).
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = wait;
        self
    }

    /// What the log says about it.
    pub(crate) fn refused(&self) -> Refused {
        Refused { code: self.body.code, reason: self.body.error.clone() }
    }

    /// The protocol's code for the same thing.
    pub(crate) fn code(mut self, code: Code) -> Self {
        self.body.code = Some(code);
        self
    }
}

/// For one who is told on a WebSocket.
impl From<ApiError> for Refusal {
    fn from(ApiError { body: Body { error, code, fix }, .. }: ApiError) -> Self {
        Self::new(code.unwrap_or(Code::BAD_REQUEST), format!("{error}: {fix}"))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let refused = self.refused();
        let mut response = (self.status, Extension(refused), Json(self.body)).into_response();
        // Some answers are not complete without a header.
        let header = match self.status {
            StatusCode::UNAUTHORIZED => (header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            StatusCode::SERVICE_UNAVAILABLE => (header::RETRY_AFTER, whole_seconds(self.retry_after).into()),
            StatusCode::UPGRADE_REQUIRED => (header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")),
            _ => return response,
        };
        response.headers_mut().insert(header.0, header.1);
        response
    }
}

/// What `Retry-After` can say: not less than this, and not at once.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_told_to_wait_is_not_told_less() {
        assert_eq!(
            [0, 1, 1_000, 1_001, 59_900].map(|ms| whole_seconds(Duration::from_millis(ms))),
            [1, 1, 1, 2, 60]
        );
    }
}
