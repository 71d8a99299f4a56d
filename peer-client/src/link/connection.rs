//! One PeerConnection: the settings that were measured to work, and the certainty that it is closed.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rtc::ice::mdns::MulticastDnsMode;
use rtc::peer_connection::configuration::setting_engine::SctpMaxMessageSize;
use tiercast_codec::IceServer;
use tokio::sync::{mpsc, watch};
use webrtc::data_channel::DataChannel;
use webrtc::error::Result;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfiguration,
    RTCConfigurationBuilder, RTCIceCandidateInit, RTCIceGatheringState, RTCIceServer, RTCIceTransportPolicy,
    RTCPeerConnectionIceEvent, RTCPeerConnectionState, SettingEngine, SettingEngineBuilder,
};

use super::addresses::default_addresses;
use super::lossy::Lossy;
use super::runtime::LinkRuntime;
use super::{CandidatePolicy, LinkId, LinkSettings};

/// Bytes handed to SCTP and not yet acknowledged, before a send waits. The setting that matters
/// most: unbounded, a native sender reaches 7 MB/s instead of 129, and 256 KiB starve Chromium.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// Channels of the other end on their way to the task; more are dropped.
const CHANNELS_MAX: usize = 64;

/// Own candidates on their way to the task; more are dropped. One per address and server.
const CANDIDATES_MAX: usize = 64;

/// What SCTP takes in one message: a little more than a link carries, so that a larger one is seen and closes
/// the link instead of vanishing.
const REASSEMBLY_BYTES_MAX: u32 = 80 * 1024;

/// Silence until "disconnected", from then until "failed", and between keep-alives: a killed
/// neighbour is noticed after about 6 s (default: 29 s). The hub, which sees its WebSocket end, is faster; and a
/// keep-alive more often costs every idle link CPU.
const ICE_TIMEOUTS: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(1)];

/// Between connectivity checks, and how many per pair before it counts as failed: about a second, as
/// 200 ms and 7 do by default, but without waiting 200 ms for each step.
const ICE_CHECKS: (Duration, u16) = (Duration::from_millis(20), 50);

/// Closes its PeerConnection when dropped, unless [`close`](Self::close) has done so: one that is
/// only forgotten keeps its driver, two tasks and its sockets.
pub(super) struct Connection {
    pub(super) pc: Arc<dyn PeerConnection>,
    pub(super) lossy: Lossy,
    /// Channels that the other end opened.
    pub(super) channels: mpsc::Receiver<Arc<dyn DataChannel>>,
    pub(super) candidates: mpsc::Receiver<String>,
    pub(super) status: watch::Receiver<Status>,
    runtime: Arc<LinkRuntime>,
    closed: bool,
}

/// What the PeerConnection says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Status {
    pub(super) state: RTCPeerConnectionState,
    /// All of our own candidates are known.
    pub(super) gathered: bool,
}

impl Connection {
    pub(super) async fn new(settings: &LinkSettings, runtime: Arc<LinkRuntime>) -> Result<Self> {
        let (channels_tx, channels) = mpsc::channel(CHANNELS_MAX);
        let (candidates_tx, candidates) = mpsc::channel(CANDIDATES_MAX);
        let (status_tx, status) = watch::channel(Status::default());
        let pc = PeerConnectionBuilder::new()
            .with_configuration(configuration(settings))
            .with_setting_engine(setting_engine())
            .with_runtime(runtime.clone())
            .with_handler(Arc::new(Handler {
                channels: channels_tx,
                candidates: candidates_tx,
                status: status_tx,
            }))
            .with_udp_addrs(settings.bind.clone().unwrap_or_else(default_addresses))
            .with_data_channel_send_buffer_limit(SEND_BUFFER_BYTES)
            .build()
            .await?;
        let lossy = Lossy::open(&pc, settings.lossy).await?;
        Ok(Self { pc: Arc::new(pc), lossy, channels, candidates, status, runtime, closed: false })
    }

    /// Opens the data channel of a link: its label is the link, its other settings are the defaults, ordered and reliable.
    ///
    /// Not `negotiated`, which would save a round trip: with webrtc 0.21.1 the end whose SCTP opens last
    /// loses, without a word, what it receives in one burst with the last step of the handshake, because
    /// the channel is attached only after the burst. Every second link lost its first messages so.
    ///
    /// Meanwhile nothing is heard: with webrtc 0.21.1 a channel is there before its events have somewhere to go, and one
    /// that the other end answers in between never opens.
    pub(super) async fn open_channel(&self, link: LinkId) -> Result<Arc<dyn DataChannel>> {
        let _covered = self.runtime.cover_ears();
        self.pc.create_data_channel(&link.to_string(), None).await
    }

    pub(super) async fn close(mut self) {
        close(&*self.pc).await;
        self.closed = true;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.closed {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let pc = self.pc.clone();
            runtime.spawn(async move { close(&*pc).await });
        }
    }
}

/// The link whose data channel this is, if it is that of a link.
pub(super) async fn link_of(channel: &dyn DataChannel) -> Option<LinkId> {
    let is_ordered = channel.ordered().await.is_ok_and(|is_ordered| is_ordered);
    let label = channel.label().await.ok().filter(|_| is_ordered)?;
    label.parse().ok()
}

async fn close(pc: &dyn PeerConnection) {
    if let Err(error) = pc.close().await {
        tracing::debug!(%error, "closing a PeerConnection");
    }
}

/// Each connection makes its own DTLS certificate: sharing one saves nothing that could be measured, and
/// would let neighbours recognise a peer across links.
fn configuration(settings: &LinkSettings) -> RTCConfiguration {
    RTCConfigurationBuilder::new()
        .with_ice_servers(settings.ice_servers.iter().filter_map(usable_server).collect())
        .with_ice_transport_policy(match settings.candidates {
            CandidatePolicy::All => RTCIceTransportPolicy::All,
            CandidatePolicy::RelayOnly => RTCIceTransportPolicy::Relay,
        })
        .build()
}

/// A bad entry in the server's list must not cost us all links, so what webrtc would refuse (which
/// is: unknown schemes, `//`, TURN without a password) is left out.
fn usable_server(server: &IceServer) -> Option<RTCIceServer> {
    let has_login = server.username.as_ref().is_some_and(|name| !name.is_empty())
        && server.credential.as_ref().is_some_and(|password| !password.is_empty());
    let urls: Vec<_> = server
        .urls
        .iter()
        .filter(|url| match url.split_once(':') {
            Some((_, rest)) if rest.is_empty() || rest.contains("//") => false,
            Some(("stun", rest)) => !rest.contains('?'),
            Some(("turn", _)) => has_login,
            _ => false,
        })
        .cloned()
        .collect();
    if urls.len() < server.urls.len() {
        tracing::warn!(urls = ?server.urls, "left out ICE servers that this peer cannot use");
    }
    (!urls.is_empty()).then(|| RTCIceServer {
        urls,
        username: server.username.clone().unwrap_or_default(),
        credential: server.credential.clone().unwrap_or_default(),
    })
}

fn setting_engine() -> SettingEngine {
    let [disconnected, failed, keep_alive] = ICE_TIMEOUTS;
    let (check_interval, checks_max) = ICE_CHECKS;
    SettingEngineBuilder::new()
        .with_ice_timeouts(Some(disconnected), Some(failed), Some(keep_alive))
        .with_ice_connection_attempts(Some(check_interval), Some(checks_max))
        // A browser hides its addresses behind mDNS names; it is found when its checks arrive, and
        // those are good at once.
        .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
        // Setting up mDNS fails on a host that has only loopback, and costs a socket elsewhere.
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        .with_sctp_max_message_size(SctpMaxMessageSize::Bounded(REASSEMBLY_BYTES_MAX))
        .build()
}

/// Passes on what the driver says. It runs in the driver's task, so it must not wait.
struct Handler {
    channels: mpsc::Sender<Arc<dyn DataChannel>>,
    candidates: mpsc::Sender<String>,
    status: watch::Sender<Status>,
}

/// The desugared form of what `#[async_trait]` declares, for handlers that have nothing to await.
type Done<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

fn done<'a>() -> Done<'a> {
    Box::pin(std::future::ready(()))
}

impl PeerConnectionEventHandler for Handler {
    fn on_ice_candidate<'a, 'b>(&'a self, event: RTCPeerConnectionIceEvent) -> Done<'b>
    where
        'a: 'b,
    {
        if let Ok(RTCIceCandidateInit { candidate, .. }) = event.candidate.to_json()
            && !candidate.is_empty()
            && self.candidates.try_send(candidate).is_err()
        {
            tracing::debug!("dropped a candidate of our own");
        }
        done()
    }

    fn on_ice_gathering_state_change<'a, 'b>(&'a self, state: RTCIceGatheringState) -> Done<'b>
    where
        'a: 'b,
    {
        self.status.send_modify(|status| status.gathered = state == RTCIceGatheringState::Complete);
        done()
    }

    fn on_connection_state_change<'a, 'b>(&'a self, state: RTCPeerConnectionState) -> Done<'b>
    where
        'a: 'b,
    {
        self.status.send_modify(|status| status.state = state);
        done()
    }

    fn on_data_channel<'a, 'b>(&'a self, channel: Arc<dyn DataChannel>) -> Done<'b>
    where
        'a: 'b,
    {
        if self.channels.try_send(channel).is_err() {
            tracing::debug!("dropped a data channel of the other end");
        }
        done()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str, login: bool) -> IceServer {
        let word = login.then(|| "x".to_owned());
        IceServer { urls: vec![url.into()], username: word.clone(), credential: word }
    }

    #[test]
    fn ice_servers_that_cannot_be_used_are_left_out() {
        assert!(usable_server(&server("stun:stun.example.org", false)).is_some());
        assert!(usable_server(&server("turn:turn.example.org:3478?transport=udp", true)).is_some());
        for (url, login) in
            [("turn:turn.example.org", false), ("stun://host", false), ("https:x", true), ("", true)]
        {
            assert!(usable_server(&server(url, login)).is_none(), "{url}");
        }
    }
}
