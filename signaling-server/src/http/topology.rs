//! `GET /v1/topology/{channel}`: who feeds whom, for dashboards.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::HeaderMap,
};
use serde_json::{Value, json};
use tiercast_mesh::hub::{Place, TreeNode};

use super::{App, auth, error::ApiError};
use crate::driver::PublishError;

pub(super) async fn topology(
    State(app): State<Arc<App>>,
    Path(channel): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    if !app.config.open_topology {
        auth::check(&app, &headers)?;
    }
    let unknown = || PublishError::UnknownChannel(channel.clone());
    let name = channel.parse().map_err(|_| unknown())?;
    let nodes = app.handle.topology(&name).await?.ok_or_else(unknown)?;
    let peers: Vec<_> = nodes.iter().map(describe).collect();
    Ok(Json(json!({ "channel": name, "peers": peers })))
}

fn describe(node: &TreeNode) -> Value {
    let place = match node.place {
        Place::Root => "root",
        Place::Direct => "direct",
        Place::Waiting => "waiting",
        Place::Linking(_) => "linking",
        Place::Child(_) => "child",
        Place::Orphan => "orphan",
    };
    json!({
        "peer": node.peer,
        "parent": node.parent,
        "tier": node.tier,
        "place": place,
        "node": node.relay.map(|relay| relay.node),
        "children": node.children,
        "children_max": node.relay.map_or(0, |relay| relay.children_max),
    })
}
