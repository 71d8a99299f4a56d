//! Is it alive, can it deliver, what channels are there, what is counted. None of it costs the hub more for a large
//! audience.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
};
use serde_json::{Value, json};
use tiercast_mesh::hub::SourceState;
use tokio::time::timeout;

use crate::{
    api_error::ApiError,
    app::App,
    config::SourceKind,
    driver::{ChannelSnapshot, Snapshot},
    metrics::Scrape,
    stopped::Stopped,
};

const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A hub that does not answer within this is not turning.
const ANSWER: Duration = Duration::from_secs(1);

pub(super) async fn healthz() -> &'static str {
    "alive\n"
}

pub(super) async fn readyz(State(app): State<Arc<App>>) -> (StatusCode, Json<Value>) {
    let mut reasons = Vec::new();
    if app.is_leaving() {
        reasons.push("the server is shutting down".to_owned());
    }
    match timeout(ANSWER, app.handle.snapshot()).await {
        Err(_) => reasons.push(format!("the hub has not answered for {} ms", ANSWER.as_millis())),
        Ok(Err(Stopped)) => reasons.push("the hub has stopped".to_owned()),
        Ok(Ok(snapshot)) => {
            // What clients ask for of a broker is no matter of the server's.
            let own = snapshot.channels.iter().filter(|channel| channel.kind != SourceKind::Dynamic);
            reasons.extend(own.filter_map(not_open));
        }
    }
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": reasons.is_empty(), "reasons": reasons })))
}

fn not_open(channel: &ChannelSnapshot) -> Option<String> {
    match &channel.source {
        SourceState::Open => None,
        SourceState::Opening => Some(format!("the source of `{}` is not connected yet", channel.name)),
        SourceState::Lost { reason } => Some(format!("the source of `{}` is lost: {reason}", channel.name)),
    }
}

pub(super) async fn channels(State(app): State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    let Snapshot { channels, .. } = app.handle.snapshot().await?;
    let describe = |channel: &ChannelSnapshot| {
        let (state, reason) = match &channel.source {
            SourceState::Opening => ("opening", None),
            SourceState::Open => ("open", None),
            SourceState::Lost { reason } => ("lost", Some(reason)),
        };
        json!({
            "name": channel.name,
            "source": { "kind": channel.kind.to_string(), "state": state, "reason": reason },
            "position": channel.position.map(|position| position.to_string()),
            "sessions": channel.peers(),
        })
    };
    Ok(Json(json!({ "channels": channels.iter().map(describe).collect::<Vec<_>>() })))
}

pub(super) async fn metrics(
    State(app): State<Arc<App>>,
) -> Result<([(header::HeaderName, &'static str); 1], String), ApiError> {
    let (handle, amqp, config) = (app.handle.clone(), app.amqp.clone(), app.config.clone());
    let scrape =
        Scrape { snapshot: handle.snapshot().await?, handle, amqp, config, sheets: app.sheets.clone() };
    Ok(([(header::CONTENT_TYPE, METRICS_TYPE)], scrape.into_text()))
}

impl From<Stopped> for ApiError {
    fn from(stopped: Stopped) -> Self {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, stopped.to_string())
            .fix("try again once the server is back")
    }
}
