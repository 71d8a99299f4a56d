//! The page's files, what it shows, and its buttons.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tiercast_peer_client::swarm::Swarm;
use tiercast_signaling_server::Handle;
use tokio::sync::{Mutex, OnceCell, watch};

use super::{CHANNEL, PEERS_MAX, RATE_MAX};

/// What the buttons act on.
pub(super) struct Stage {
    /// Set once the server has an address.
    pub(super) swarm: OnceCell<Mutex<Swarm>>,
    /// Events a second.
    pub(super) rate: watch::Sender<u64>,
}

#[derive(Clone)]
struct Context {
    stage: Arc<Stage>,
    server: Handle,
}

/// Says no, and what to do instead.
struct Refusal(StatusCode, &'static str, &'static str);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(status, error, fix) = self;
        (status, Json(json!({ "error": error, "fix": fix }))).into_response()
    }
}

const STARTING: Refusal = Refusal(StatusCode::SERVICE_UNAVAILABLE, "the demo is still starting", "try again");

pub(super) fn router(stage: Arc<Stage>, server: Handle) -> Router {
    let file = |content_type: &'static str, content: &'static [u8]| {
        get(move || async move { ([(header::CONTENT_TYPE, content_type)], content) })
    };
    Router::new()
        .route("/", file("text/html; charset=utf-8", include_bytes!("../../page/dist/index.html")))
        .route("/page.js", file("text/javascript; charset=utf-8", include_bytes!("../../page/dist/page.js")))
        .route("/page.css", file("text/css; charset=utf-8", include_bytes!("../../page/dist/page.css")))
        .route("/demo/state", get(state))
        .route("/demo/peers", post(change_peers))
        .route("/demo/kill", post(kill))
        .route("/demo/rate", post(set_rate))
        .with_state(Context { stage, server })
}

async fn state(State(context): State<Context>) -> Result<Json<Value>, Refusal> {
    let stopping = |_| Refusal(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping", "start it again");
    let snapshot = context.server.snapshot().await.map_err(stopping)?;
    let channel =
        snapshot.channels.iter().find(|channel| channel.name.as_str() == CHANNEL).ok_or(STARTING)?;
    let swarm = context.stage.swarm.get().ok_or(STARTING)?.lock().await;
    let (report, stats) = (swarm.report(), channel.stats);
    Ok(Json(json!({
        "channel": CHANNEL,
        "rate_per_s": *context.stage.rate.borrow(),
        "rate_max_per_s": RATE_MAX,
        "native_peers": swarm.len(),
        "native_peers_max": PEERS_MAX,
        "server": {
            "events": stats.events,
            "frames": stats.frames,
            "data_bytes": stats.data_bytes,
            "control_bytes": stats.control_bytes + snapshot.hub.control_bytes,
            "direct_data_bytes": stats.direct_data_bytes,
            "sessions": snapshot.sessions,
        },
        "swarm": report,
    })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangePeers {
    #[serde(default)]
    add: usize,
    #[serde(default)]
    remove: usize,
}

async fn change_peers(
    State(context): State<Context>,
    Json(change): Json<ChangePeers>,
) -> Result<Json<Value>, Refusal> {
    let mut swarm = context.stage.swarm.get().ok_or(STARTING)?.lock().await;
    if swarm.len() + change.add > PEERS_MAX {
        return Err(Refusal(
            StatusCode::CONFLICT,
            "the demo runs at most 200 native peers",
            "remove some first",
        ));
    }
    for _ in 0..change.add {
        let failed =
            |_| Refusal(StatusCode::INTERNAL_SERVER_ERROR, "the peer did not start", "see the demo's log");
        swarm.add().await.map_err(failed)?;
    }
    for _ in 0..change.remove {
        if !swarm.remove().await {
            break;
        }
    }
    Ok(Json(json!({ "native_peers": swarm.len() })))
}

async fn kill(State(context): State<Context>) -> Result<Json<Value>, Refusal> {
    let mut swarm = context.stage.swarm.get().ok_or(STARTING)?.lock().await;
    let none = || Refusal(StatusCode::CONFLICT, "no native peer has children", "add native peers first");
    let killed = swarm.kill_relay(rand::random_range(0..usize::MAX)).ok_or_else(none)?;
    Ok(Json(json!({ "killed": killed.peer, "children": killed.children, "native_peers": swarm.len() })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetRate {
    rate_per_s: u64,
}

async fn set_rate(State(context): State<Context>, Json(rate): Json<SetRate>) -> Result<Json<Value>, Refusal> {
    if !(1..=RATE_MAX).contains(&rate.rate_per_s) {
        return Err(Refusal(
            StatusCode::BAD_REQUEST,
            "the rate is out of range",
            "choose 1 to 500 events a second",
        ));
    }
    context.stage.rate.send_replace(rate.rate_per_s);
    Ok(Json(json!({ "rate_per_s": rate.rate_per_s })))
}
