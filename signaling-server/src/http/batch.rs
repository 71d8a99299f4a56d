//! `POST /v1/publish/{channel}/batch`: events for an embedded channel as a JSON array, all of them or none.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    body::Bytes,
    extract::{Request, State},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json, value::RawValue};
use tiercast_codec::{HeaderValue, Message};

use super::publish::{
    bad_request, describe_published, message_id, publish_less, read_body, routing_key, told, too_large,
};
use crate::{api_error::ApiError, app::App, in_path::InPath, source::embedded::Published};

/// An event. Its body is `json`, `text` or `base64`, or empty.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item<'a> {
    routing_key: Option<String>,
    content_type: Option<String>,
    message_id: Option<String>,
    timestamp: Option<u64>,
    #[serde(default)]
    headers: BTreeMap<String, HeaderValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    json: Option<&'a RawValue>,
    text: Option<String>,
    base64: Option<String>,
}

pub(super) async fn publish(
    State(app): State<Arc<App>>,
    InPath(channel): InPath,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let published = told(&app, &channel, publish_all(&app, &channel, request).await)?;
    Ok(Json(json!({ "events": published.iter().map(describe_published).collect::<Vec<_>>() })))
}

async fn publish_all(app: &App, channel: &str, request: Request) -> Result<Vec<Published>, ApiError> {
    app.access.check_api_key(request.headers())?;
    let publisher = app.handle.publisher(channel)?;
    let body = read_body(app, request, &publish_less("limits.publish_batch_bytes")).await?;
    let items: Vec<Item<'_>> = serde_json::from_slice(&body).map_err(|error| {
        bad_request(format!("the batch cannot be read: {error}")).fix(
            "write a JSON array of objects, each with routing_key, content_type, message_id, timestamp, headers \
             and one of json, text, base64, as far as it has them",
        )
    })?;
    let most = app.config.limits.publish_batch_events;
    if items.len() > most {
        let error = format!("the batch has {} events, and {most} are allowed", items.len());
        return Err(too_large(error, &publish_less("limits.publish_batch_events")));
    }
    let messages = items.into_iter().enumerate().map(|(nth, item)| message(app, channel, nth, item));
    Ok(publisher.publish_all(messages.collect::<Result<_, _>>()?).await?)
}

/// The message that an item of the batch describes.
fn message(app: &App, channel: &str, nth: usize, item: Item<'_>) -> Result<Message, ApiError> {
    let (body, usual_type) = body(nth, item.json, item.text, item.base64)?;
    if body.len() > app.config.limits.publish_bytes {
        return Err(too_large(
            format!("the body of event {nth} has {} bytes", body.len()),
            "limits.publish_bytes",
        ));
    }
    Ok(Message {
        routing_key: routing_key(item.routing_key, channel)?,
        exchange: String::new(),
        content_type: item.content_type.or(usual_type.map(str::to_owned)),
        message_id: message_id(item.message_id)?,
        timestamp: item.timestamp,
        headers: item.headers,
        body,
    })
}

/// The body, and the content type if none is given.
fn body(
    nth: usize,
    json: Option<&RawValue>,
    text: Option<String>,
    base64: Option<String>,
) -> Result<(Bytes, Option<&'static str>), ApiError> {
    match (json, text, base64) {
        (None, None, None) => Ok((Bytes::new(), None)),
        (Some(json), None, None) => {
            Ok((Bytes::copy_from_slice(json.get().as_bytes()), Some("application/json")))
        }
        (None, Some(text), None) => Ok((text.into(), Some("text/plain; charset=utf-8"))),
        (None, None, Some(base64)) => match BASE64_STANDARD.decode(base64) {
            Ok(bytes) => Ok((bytes.into(), None)),
            Err(error) => Err(bad_request(format!("base64 of event {nth}: {error}"))
                .fix("write it in the standard alphabet, with padding")),
        },
        _ => Err(bad_request(format!("event {nth} has more than one body"))
            .fix("give one of json, text and base64")),
    }
}

/// A field that is there, `null` included.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(field: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(field).map(Some)
}
