//! `GET /v1/topology/{channel}`: who feeds whom, for dashboards. The tree is copied on the hub's task, which takes
//! time in proportion to the audience, so a page is made once in a while and shown to all who ask meanwhile.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Extension,
    body::Bytes,
    extract::State,
    http::{
        HeaderMap,
        header::{self, HeaderName},
    },
};
use serde::Serialize;
use tiercast_codec::{ChannelName, NodeKind, PeerId};
use tiercast_mesh::hub::{Place, TreeNode};
use tokio::sync::Mutex;

use crate::{api_error::ApiError, app::App, driver::Handle, in_path::InPath, source::embedded::PublishError};

/// The last page of each channel, and when the tree was asked for. Whoever asks while one is made waits for it: the
/// lock is held until it is done.
#[derive(Default)]
pub(crate) struct Pages(Mutex<BTreeMap<ChannelName, (Instant, Bytes)>>);

pub(super) async fn topology(
    State(app): State<Arc<App>>,
    Extension(pages): Extension<Arc<Pages>>,
    InPath(channel): InPath,
    headers: HeaderMap,
) -> Result<([(HeaderName, &'static str); 1], Bytes), ApiError> {
    if !app.config.open_topology {
        app.access.check_api_key(&headers)?;
    }
    let unknown = || PublishError::UnknownChannel(channel.clone());
    let name = channel.parse().map_err(|_| unknown())?;
    let page = pages.page(&app.handle, &name, app.config.limits.topology).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], page.ok_or_else(unknown)?))
}

impl Pages {
    /// The page of a channel, at most `age` old; nothing if there is no such channel.
    async fn page(
        &self,
        handle: &Handle,
        channel: &ChannelName,
        age: Duration,
    ) -> Result<Option<Bytes>, ApiError> {
        let mut pages = self.0.lock().await;
        if let Some((asked, page)) = pages.get(channel)
            && asked.elapsed() < age
        {
            return Ok(Some(page.clone()));
        }
        let asked = Instant::now();
        let Some(nodes) = handle.topology(channel).await? else { return Ok(None) };
        let page = Page { channel, peers: nodes.iter().map(Peer::from).collect() };
        let page = Bytes::from(serde_json::to_vec(&page).expect("plain data always encodes"));
        pages.insert(channel.clone(), (asked, page.clone()));
        Ok(Some(page))
    }
}

#[derive(Serialize)]
struct Page<'a> {
    channel: &'a ChannelName,
    peers: Vec<Peer>,
}

#[derive(Serialize)]
struct Peer {
    peer: PeerId,
    parent: Option<PeerId>,
    standby: Option<PeerId>,
    tier: u32,
    place: &'static str,
    node: Option<NodeKind>,
    children: usize,
    children_max: u16,
}

impl From<&TreeNode> for Peer {
    fn from(node: &TreeNode) -> Self {
        let TreeNode { peer, parent, standby, tier, children, .. } = *node;
        let place = match node.place {
            Place::Root => "root",
            Place::Direct => "direct",
            Place::Waiting => "waiting",
            Place::Linking(_) => "linking",
            Place::Child(_) => "child",
            Place::Orphan => "orphan",
        };
        let (kind, children_max) =
            (node.relay.map(|relay| relay.node), node.relay.map_or(0, |r| r.children_max));
        Self { peer, parent, standby, tier, place, node: kind, children, children_max }
    }
}
