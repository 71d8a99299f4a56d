//! The page's files, what it shows, and its buttons.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    middleware,
    routing::{get, post},
};
use rand::seq::IteratorRandom;
use serde::Deserialize;
use serde_json::{Value, json};
use tiercast_peer_client::swarm::Swarm;
use tiercast_signaling_server::Handle;
use tokio::sync::{Mutex, OnceCell, watch};

use super::{CHANNEL, PEERS_MAX, RATE_MAX, guard, refusal::Refusal};

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

const STARTING: Refusal =
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the demo is still starting", "try again");

pub(super) fn router(stage: Arc<Stage>, server: Handle) -> Router {
    let file = |content_type: &'static str, content: &'static [u8]| {
        get(move || async move { ([(header::CONTENT_TYPE, content_type)], content) })
    };
    Router::new()
        .route("/", file("text/html; charset=utf-8", include_bytes!("../../page/dist/index.html")))
        .route("/page.js", file("text/javascript; charset=utf-8", include_bytes!("../../page/dist/page.js")))
        .route("/page.css", file("text/css; charset=utf-8", include_bytes!("../../page/dist/page.css")))
        .route("/demo/state", get(state))
        .merge(buttons())
        .with_state(Context { stage, server })
}

/// Everything that acts.
fn buttons() -> Router<Context> {
    Router::new()
        .route("/demo/peers", post(change_peers))
        .route("/demo/kill", post(kill))
        .route("/demo/rate", post(set_rate))
        .route_layer(middleware::from_fn(guard::own_page_only))
}

async fn state(State(context): State<Context>) -> Result<Json<Value>, Refusal> {
    let stopping =
        |_| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping", "start it again");
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

/// How many peers to add and remove; as many as there is room for, and as there are.
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
    let room = PEERS_MAX.saturating_sub(swarm.len());
    if change.add > 0 && room == 0 {
        let error = "the demo runs at most 200 native peers";
        return Err(Refusal::new(StatusCode::CONFLICT, error, "remove some first"));
    }
    let added = change.add.min(room);
    for _ in 0..added {
        let failed = |_| {
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the peer did not start", "see the demo's log")
        };
        swarm.add().await.map_err(failed)?;
    }
    let removed = change.remove.min(swarm.len());
    for _ in 0..removed {
        swarm.remove().await;
    }
    Ok(Json(json!({ "added": added, "removed": removed, "native_peers": swarm.len() })))
}

async fn kill(State(context): State<Context>) -> Result<Json<Value>, Refusal> {
    let mut swarm = context.stage.swarm.get().ok_or(STARTING)?.lock().await;
    let none = || Refusal::new(StatusCode::CONFLICT, "no native peer has children", "add native peers first");
    let standings = swarm.standings();
    let relays = standings.iter().filter(|(_, standing)| standing.children > 0).map(|(member, _)| *member);
    let killed = relays.choose(&mut rand::rng()).and_then(|member| swarm.kill(member)).ok_or_else(none)?;
    Ok(Json(json!({ "killed": killed.peer, "children": killed.children, "native_peers": swarm.len() })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetRate {
    rate_per_s: u64,
}

async fn set_rate(State(context): State<Context>, Json(rate): Json<SetRate>) -> Result<Json<Value>, Refusal> {
    if !(1..=RATE_MAX).contains(&rate.rate_per_s) {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "the rate is out of range",
            "choose 1 to 500 events a second",
        ));
    }
    context.stage.rate.send_replace(rate.rate_per_s);
    Ok(Json(json!({ "rate_per_s": rate.rate_per_s })))
}
