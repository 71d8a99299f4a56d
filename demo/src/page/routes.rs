//! The page's files, what it shows, and its buttons; everything else is the server's.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Request, State},
    http::header,
    middleware,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    director::{Ask, AskFault, ChangePeers, Desk},
    front, guard,
    refusal::Refusal,
};

pub(super) fn router(desk: Desk) -> Router {
    let file = |content_type: &'static str, content: &'static [u8]| {
        get(move || async move { ([(header::CONTENT_TYPE, content_type)], content) })
    };
    let server = desk.server;
    Router::new()
        .route("/", file("text/html; charset=utf-8", include_bytes!("../../page/dist/index.html")))
        .route("/page.js", file("text/javascript; charset=utf-8", include_bytes!("../../page/dist/page.js")))
        .route("/page.css", file("text/css; charset=utf-8", include_bytes!("../../page/dist/page.css")))
        .route("/demo/state", get(state))
        .merge(buttons())
        .fallback(move |request: Request| front::pass_on(server, request))
        .with_state(desk)
}

/// Everything that acts.
fn buttons() -> Router<Desk> {
    Router::new()
        .route("/demo/peers", post(peers))
        .route("/demo/rate", post(rate))
        .route("/demo/fault", post(fault))
        .route("/demo/mesh", post(mesh))
        .route_layer(middleware::from_fn(guard::own_page_only))
}

async fn state(State(desk): State<Desk>) -> Json<Arc<Value>> {
    Json(desk.state())
}

async fn peers(desk: State<Desk>, Json(change): Json<ChangePeers>) -> Result<Json<Value>, Refusal> {
    desk.ask(Ask::Peers(change)).await.map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetRate {
    rate_per_s: u64,
}

async fn rate(desk: State<Desk>, Json(rate): Json<SetRate>) -> Result<Json<Value>, Refusal> {
    desk.ask(Ask::Rate(rate.rate_per_s)).await.map(Json)
}

async fn fault(desk: State<Desk>, Json(fault): Json<AskFault>) -> Result<Json<Value>, Refusal> {
    desk.ask(Ask::Fault(fault)).await.map(Json)
}

/// Whether native peers relay.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SwitchMesh {
    on: bool,
}

async fn mesh(desk: State<Desk>, Json(mesh): Json<SwitchMesh>) -> Result<Json<Value>, Refusal> {
    desk.ask(Ask::Mesh(mesh.on)).await.map(Json)
}
