//! The channel that a request's path names.

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts, Path},
    http::request::Parts,
};
use tiercast_codec::Code;
use tiercast_mesh::hub::Refusal;

use crate::api_error::ApiError;

/// A name as it stands in the path. What cannot be one is no channel's: refused like a channel that is not there.
#[derive(Debug)]
pub(crate) struct InPath(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for InPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = <Path<String> as FromRequestParts<S>>::from_request_parts(parts, state).await;
        path.map(|Path(name)| Self(name)).map_err(|_| not_text())
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for InPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, ApiError> {
        let path = <Path<String> as OptionalFromRequestParts<S>>::from_request_parts(parts, state).await;
        path.map(|path| path.map(|Path(name)| Self(name))).map_err(|_| not_text())
    }
}

fn not_text() -> ApiError {
    Refusal::new(Code::UNKNOWN_CHANNEL, "the channel in the path is no text: it is not UTF-8").into()
}
