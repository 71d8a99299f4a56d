//! Who may: a request shows an API key as `Authorization: Bearer KEY`.

use axum::http::{HeaderMap, StatusCode, header};

use crate::{api_error::ApiError, app::App};

/// Checks the key that a request shows. Refuses with 403 if none is configured, with 401 if it is not one.
pub(super) fn check(app: &App, headers: &HeaderMap) -> Result<(), ApiError> {
    if app.api_keys.is_empty() {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "this server has no API key, so nobody may do this",
        )
        .fix("set api_keys in the configuration, or TIERCAST_API_KEYS"));
    }
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some((scheme, key)) = shown.and_then(|shown| shown.split_once(' ')) else {
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, "an API key is needed")
            .fix("send the header `Authorization: Bearer KEY`"));
    };
    if scheme.eq_ignore_ascii_case("bearer") && app.api_keys.contain(key.trim()) {
        Ok(())
    } else {
        Err(ApiError::new(StatusCode::UNAUTHORIZED, "this is not an API key of this server")
            .fix("send one of api_keys in the header `Authorization: Bearer KEY`"))
    }
}
