//! `POST /v1/publish/{channel}`: an event for an embedded channel, its body byte for byte; and what this has in common with
//! publishing a batch (`batch.rs`).

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest, Query, Request, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, header},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tiercast_codec::{Code, HeaderValue, Message, limits::ROUTING_KEY_BYTES_MAX};
use tokio::time::timeout;
use tracing::{debug, field::display};

use crate::{
    api_error::ApiError,
    app::App,
    in_path::InPath,
    source::embedded::{PublishError, Published},
};

const MESSAGE_ID: &str = "tiercast-message-id";
const TIMESTAMP: &str = "tiercast-timestamp";
const HEADER_PREFIX: &str = "tiercast-header-";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PublishQuery {
    routing_key: Option<String>,
}

pub(super) async fn publish(
    State(app): State<Arc<App>>,
    InPath(channel): InPath,
    query: Result<Query<PublishQuery>, QueryRejection>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let published = told(&app, &channel, publish_one(&app, &channel, query, request).await)?;
    Ok(Json(describe_published(&published[0])))
}

async fn publish_one(
    app: &App,
    channel: &str,
    query: Result<Query<PublishQuery>, QueryRejection>,
    request: Request,
) -> Result<Vec<Published>, ApiError> {
    app.access.check_api_key(request.headers())?;
    let publisher = app.handle.publisher(channel)?;
    let Query(query) = query.map_err(|error| {
        bad_request(error.body_text()).fix("the only query parameter is routing_key, given at most once")
    })?;
    let mut message = describe(request.headers())?;
    message.routing_key = routing_key(query.routing_key, channel)?;
    message.body = read_body(app, request, &publish_less("limits.publish_bytes")).await?;
    Ok(publisher.publish_all(vec![message]).await?)
}

/// Counts and logs what became of a request to publish. That one was refused is in the log with all other refusals.
pub(super) fn told(
    app: &App,
    channel: &str,
    published: Result<Vec<Published>, ApiError>,
) -> Result<Vec<Published>, ApiError> {
    match &published {
        Ok(events) => {
            let last = events.last().map(|event| display(event.position));
            debug!(%channel, events = events.len(), last, "published");
        }
        Err(_) => app.handle.counters().refused().add(1),
    }
    published
}

/// What is answered about an event.
pub(super) fn describe_published(published: &Published) -> Value {
    json!({ "position": published.position.to_string(), "duplicate": published.is_duplicate })
}

/// The routing key of an event: by default the channel's name.
pub(super) fn routing_key(given: Option<String>, channel: &str) -> Result<String, ApiError> {
    let key = given.unwrap_or_else(|| channel.to_owned());
    if key.len() > ROUTING_KEY_BYTES_MAX {
        return Err(bad_request(format!("the routing key has {} bytes", key.len()))
            .fix(format!("use at most {ROUTING_KEY_BYTES_MAX}")));
    }
    Ok(key)
}

/// Everything about the message that its headers say.
fn describe(headers: &HeaderMap) -> Result<Message, ApiError> {
    let mut application = BTreeMap::new();
    for name in headers.keys() {
        if let Some(key) = name.as_str().strip_prefix(HEADER_PREFIX) {
            let value = text(headers, name.as_str())?.unwrap_or_default();
            application.insert(key.to_owned(), HeaderValue::Text(value));
        }
    }
    let timestamp = text(headers, TIMESTAMP)?.map(|seconds| seconds.parse::<u64>()).transpose();
    Ok(Message {
        content_type: text(headers, header::CONTENT_TYPE.as_str())?,
        message_id: message_id(text(headers, MESSAGE_ID)?)?,
        timestamp: timestamp.map_err(|_| {
            bad_request(format!("{TIMESTAMP} is not a number")).fix("write seconds since the Unix epoch")
        })?,
        headers: application,
        ..Message::default()
    })
}

/// The id of an event, if it has one. All that have the same one but the first are left out, so an empty one is a mistake.
pub(super) fn message_id(given: Option<String>) -> Result<Option<String>, ApiError> {
    match given {
        Some(id) if id.is_empty() => Err(bad_request("the message id is empty".to_owned())
            .fix("leave it out, or give each event one of its own")),
        given => Ok(given),
    }
}

/// A header as text. Refused if it is given twice, or is no UTF-8: nothing is changed or left out in silence.
fn text(headers: &HeaderMap, name: &str) -> Result<Option<String>, ApiError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(bad_request(format!("the header {name} is given twice")).fix("give it once"));
    }
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => Ok(Some(text.to_owned())),
        Err(_) => Err(bad_request(format!("the header {name} is not UTF-8")).fix("write it in UTF-8")),
    }
}

/// The body of a request. The router bounds it; `fix` says what to do about one that is larger.
pub(super) async fn read_body(app: &App, request: Request, fix: &str) -> Result<Bytes, ApiError> {
    let limits = &app.config.limits;
    match timeout(limits.request, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(too_large("the body has more bytes than it may have", fix))
        }
        Ok(Err(rejection)) => {
            Err(bad_request(rejection.body_text()).fix("send the whole body, with its length"))
        }
        Err(_) => {
            let error = format!("the body did not arrive within {} ms", limits.request.as_millis());
            Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, error)
                .fix("send it faster, or raise limits.request_ms"))
        }
    }
}

pub(super) fn bad_request(error: String) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, error).code(Code::BAD_REQUEST)
}

pub(super) fn too_large(error: impl Into<String>, fix: &str) -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, error).fix(fix)
}

/// What one can do who publishes more than the limit with this key allows.
pub(super) fn publish_less(limit: &str) -> String {
    format!("publish less at a time, or raise {limit}")
}

impl From<PublishError> for ApiError {
    fn from(error: PublishError) -> Self {
        let (status, code, fix) = match error {
            PublishError::UnknownChannel(_) => {
                (StatusCode::NOT_FOUND, Some(Code::UNKNOWN_CHANNEL), "GET /v1/channels lists the channels")
            }
            PublishError::NotEmbedded(_) => (
                StatusCode::NOT_FOUND,
                None,
                "only channels with source = \"embedded\" are published to here",
            ),
            PublishError::NotReady => {
                (StatusCode::SERVICE_UNAVAILABLE, Some(Code::NOT_READY), "try again in a second")
            }
            PublishError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, None, "publish a smaller event"),
            PublishError::TooDeep { .. } => {
                (StatusCode::BAD_REQUEST, Some(Code::BAD_REQUEST), "nest headers less deeply")
            }
            PublishError::NotKept { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, None, "nothing was published: try again once there is room")
            }
            PublishError::Stopped => {
                (StatusCode::SERVICE_UNAVAILABLE, Some(Code::SHUTDOWN), "try again once the server is back")
            }
        };
        let answer = ApiError::new(status, error.to_string()).fix(fix);
        match code {
            Some(code) => answer.code(code),
            None => answer,
        }
    }
}
