//! `POST /v1/keys`: a backend gets a key for somebody who is to read, and hands it over.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tiercast_codec::ChannelName;
use tiercast_mesh::hub::Refusal;
use tracing::info;

use super::publish::{bad_request, read_body};
use crate::{access::Grant, api_error::ApiError, app::App, driver::Handle, shown::cut, transport::patterns};

/// Most bytes of a key: it has to be shown in a request's head, which has room for 16 KiB.
const KEY_BYTES_MAX: usize = 8 << 10;

/// Most bytes of a request for one: more than a key's claims can have, however they are written.
pub(super) const WISH_BYTES_MAX: usize = 64 << 10;

/// What the key is to be good for: a channel, or an exchange.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    channel: Option<ChannelName>,
    exchange: Option<String>,
    #[serde(default, rename = "match")]
    patterns: Vec<String>,
    lifetime_s: u64,
    subject: Option<String>,
}

pub(super) async fn keys(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    app.access.check_api_key(request.headers())?;
    let body = read_body(&app, request, "name fewer or shorter patterns in `match`").await?;
    let limits = &app.config.limits;
    let example =
        "send JSON such as {\"channel\": \"builds\", \"match\": [\"build.#\"], \"lifetime_s\": 3600}";
    let unreadable = |error| bad_request(format!("the request cannot be read: {error}")).fix(example);
    let wish: Wish = serde_json::from_slice(&body).map_err(unreadable)?;
    if !(1..=limits.key_lifetime_s).contains(&wish.lifetime_s) {
        let error = format!("lifetime_s = {} is out of bounds", wish.lifetime_s);
        return Err(bad_request(error).fix(format!("use 1 to {}", limits.key_lifetime_s)));
    }
    patterns(&wish.patterns, limits.patterns_max)
        .map_err(|error| bad_request(error).fix("correct `match`"))?;
    let channel = channel(&app.handle, wish.channel, wish.exchange.as_deref())?;
    let until = app.clock.now() + Duration::from_secs(wish.lifetime_s);
    let grant =
        Grant { channel, patterns: wish.patterns, subject: wish.subject, until_s: until.0 / 1_000_000 };
    let key = app.access.issue(&grant);
    if key.len() > KEY_BYTES_MAX {
        let error = format!("the key would have {} bytes, more than {KEY_BYTES_MAX}", key.len());
        return Err(
            bad_request(error).fix("name fewer or shorter patterns in `match`, or a shorter `subject`")
        );
    }
    let (channel, subject, until_s) = (&grant.channel, grant.subject.as_deref().map(cut), grant.until_s);
    info!(%channel, subject, patterns = grant.patterns.len(), until_s, "key made");
    let answer = json!({ "key": key, "until_s": until_s });
    Ok((StatusCode::CREATED, Json(answer)))
}

/// The one channel that is meant.
fn channel(
    handle: &Handle,
    channel: Option<ChannelName>,
    exchange: Option<&str>,
) -> Result<ChannelName, ApiError> {
    match (channel, exchange) {
        (Some(channel), None) => Ok(channel),
        (None, Some(exchange)) => Ok(handle.dynamic_channel(exchange).map_err(Refusal::from)?),
        _ => Err(bad_request("one of `channel` and `exchange` has to be there".to_owned())),
    }
}
