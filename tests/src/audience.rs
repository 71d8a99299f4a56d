//! One client of every kind on a channel, and what each of them had.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Result, ensure};
use tiercast_peer_client::{ClientOptions, Notification};
use tokio::time::Instant;

use crate::{
    listener::Listener,
    plain::{Got, Order, Plain, Speech},
};

/// Plain clients go elsewhere after this silence: three of a server's default heartbeats.
pub const SILENCE: Duration = Duration::from_secs(45);

/// One client of every kind. The server's tree must have one root (`tier1`).
pub struct Audience {
    plain: Vec<(Speech, Plain)>,
    /// Fed by the server, as a session without a mesh is.
    direct: Listener,
    /// Fed by the server, and feeds the next one.
    relay: Listener,
    /// Fed by the one before, not by the server.
    child: Listener,
}

/// What a client had, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Had {
    /// Whose it is.
    pub who: String,
    /// The bodies of events.
    pub bodies: Vec<String>,
    /// How many events had come before each gap.
    pub gaps: Vec<usize>,
    /// How often it has connected. Requests of long poll that are answered one after the other count once.
    pub connections: usize,
}

impl Audience {
    /// Starts all at these servers; returns when each is fed, the child by the relay.
    pub async fn start(servers: &[SocketAddr], channel: &str, silence: Duration) -> Result<Self> {
        let servers: Vec<_> = servers.iter().map(SocketAddr::to_string).collect();
        let start = |speech| (speech, Plain::start(speech, servers.clone(), channel, &[], silence));
        let plain: Vec<_> = Speech::ALL.into_iter().map(start).collect();
        let urls = servers.join(",");
        let native = async |options| Listener::start(&urls, channel, options).await;
        let direct = native(ClientOptions { relay: false, ..ClientOptions::default() }).await?;
        let relay = native(ClientOptions::default()).await?;
        relay.wait_until("in tier 1", |standing| standing.tier == 1).await?;
        let child = native(ClientOptions { children_max: 0, ..ClientOptions::default() }).await?;
        let audience = Self { plain, direct, relay, child };
        for (speech, client) in &audience.plain {
            client.wait_until(&format!("{speech:?} connected"), |got| got.connections > 0).await?;
        }
        let fed = audience.child.wait_until("fed by a peer", |standing| standing.parent.is_some()).await?;
        ensure!(fed.parent == audience.relay.standing().peer, "the child is fed by {:?}", fed.parent);
        Ok(audience)
    }

    /// Waits until each has so many events.
    pub async fn wait_for(&self, events: usize) -> Result<()> {
        for (speech, client) in &self.plain {
            client.wait_until(&format!("{speech:?} at {events}"), |got| got.bodies.len() >= events).await?;
        }
        for (_, peer) in self.peers() {
            peer.wait_for(events).await?;
        }
        Ok(())
    }

    /// Waits until each is connected, or none is.
    pub async fn wait_until_connected(&self, wanted: bool) -> Result<()> {
        let what = if wanted { "connected" } else { "cut off" };
        for (speech, client) in &self.plain {
            client.wait_until(&format!("{speech:?} {what}"), |got| got.is_connected == wanted).await?;
        }
        for (kind, peer) in self.peers() {
            let what = format!("{kind} {what}");
            peer.wait_until(&what, |standing| standing.is_connected == wanted).await?;
        }
        Ok(())
    }

    /// How many events each has had.
    pub fn counts(&self) -> Vec<usize> {
        let plain = self.plain.iter().map(|(_, client)| client.count());
        plain.chain(self.peers().map(|(_, peer)| peer.count())).collect()
    }

    /// Pauses all who can; says how many events each of them has had once nothing is under way to it.
    pub async fn pause(&self) -> Result<Vec<usize>> {
        for (_, peer) in self.peers() {
            peer.controls().pause();
            peer.wait_for_told(|told| matches!(told, Notification::Paused)).await?;
        }
        for client in self.json() {
            client.order(Order::Pause).await?;
            let is_there = |got: &Got| got.paused_at.is_some() && got.paused_at == got.position;
            client.wait_until("paused", is_there).await?;
        }
        Ok(self.counts_of_paused())
    }

    /// Lets them go on; says how many events each of them had had until then.
    pub async fn resume(&self) -> Result<Vec<usize>> {
        let counts = self.counts_of_paused();
        self.peers().iter().for_each(|(_, peer)| peer.controls().resume());
        for client in self.json() {
            client.order(Order::Resume).await?;
        }
        Ok(counts)
    }

    /// What each has had when this event has come.
    pub async fn had_until(&self, last: &str) -> Result<Vec<Had>> {
        let begun = Instant::now();
        let mut all = Vec::new();
        for (speech, client) in &self.plain {
            let is_there = |got: &Got| got.bodies.last().is_some_and(|body| body == last);
            let got = client.wait_until(&format!("{speech:?} at the end"), is_there).await?;
            let who = format!("{speech:?}, {} connections", got.connections);
            let gaps = got.gaps.iter().map(|(at, _)| *at).collect();
            all.push(Had { who, bodies: got.bodies, gaps, connections: got.connections });
        }
        for (kind, peer) in self.peers() {
            peer.wait_for_last(last).await?;
            let standing = peer.standing();
            let fed = if standing.parent.is_some() { "a peer" } else { "the server" };
            let who = format!("{kind}, fed by {fed}, {} connections lost", standing.disconnects);
            all.push(Had::of(who, standing.disconnects as usize + 1, &peer.notifications()));
        }
        println!("all had everything {:.1?} after the last was published", begun.elapsed());
        Ok(all)
    }

    fn peers(&self) -> [(&'static str, &Listener); 3] {
        [("direct peer", &self.direct), ("relay", &self.relay), ("its child", &self.child)]
    }

    fn json(&self) -> impl Iterator<Item = &Plain> {
        self.plain.iter().filter(|(speech, _)| *speech == Speech::Json).map(|(_, client)| client)
    }

    fn counts_of_paused(&self) -> Vec<usize> {
        self.json().map(Plain::count).chain(self.peers().map(|(_, peer)| peer.count())).collect()
    }
}

impl Had {
    fn of(who: String, connections: usize, notifications: &[Notification]) -> Self {
        let (mut bodies, mut gaps) = (Vec::new(), Vec::new());
        for notification in notifications {
            match notification {
                Notification::Event { event, .. } => {
                    bodies.push(String::from_utf8_lossy(&event.message.body).into_owned());
                }
                Notification::Gap { .. } => gaps.push(bodies.len()),
                _ => {}
            }
        }
        Self { who, bodies, gaps, connections }
    }

    /// Exactly these, once and in order, and no gap.
    pub fn is_exactly(&self, bodies: &[String]) -> Result<()> {
        let Self { who, .. } = self;
        ensure!(self.gaps.is_empty(), "{who}: gaps after {:?} events", self.gaps);
        let differs = self.bodies.iter().zip(bodies).position(|(had, wanted)| had != wanted);
        ensure!(
            self.bodies == bodies,
            "{who}: {} of {}, from {differs:?} on",
            self.bodies.len(),
            bodies.len()
        );
        Ok(())
    }

    /// Numbers that ascend, each once; and where some are missing, there is a gap. Says how many are missing.
    pub fn has_a_gap_for_all_that_is_missing(&self) -> Result<usize> {
        let Self { who, .. } = self;
        let numbers: Vec<usize> = self.bodies.iter().map(|body| body.parse()).collect::<Result<_, _>>()?;
        let mut next = 0;
        for (index, number) in numbers.iter().enumerate() {
            ensure!(*number >= next, "{who}: {number} in place of {next}");
            ensure!(
                *number == next || self.gaps.contains(&index),
                "{who}: {next} to {number} missing in silence"
            );
            next = number + 1;
        }
        Ok(next - numbers.len())
    }
}
