//! A server and peers that run, what goes wrong with them, and what is seen of it: what the command line and the page
//! both act on.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use anyhow::Context;
use rand::{SeedableRng, rngs::SmallRng};
use tiercast_peer_client::{link::Weather, swarm::Look};
use tokio::time::Instant;

use super::{
    Task,
    crowd::{Crowd, Who, below},
    fault::{Amount, Fault, Kind},
    measure::{CHURN, Incident, Measure, Sight, Spared},
    options::{Deed, ExperimentOptions, What},
    process::Child,
    proxy::Proxy,
    server::{Order, Ready, ServerLook},
};
use crate::villain::Misdeed;

/// Between two looks at everything.
pub(crate) const TICK: Duration = Duration::from_millis(250);
/// A server that is to be restarted waits so long for events that are under way: it keeps none.
const PAUSE: Duration = Duration::from_secs(5);

/// A server and peers that run.
pub(crate) struct Stage {
    pub(super) options: ExperimentOptions,
    task: Task,
    server: Child,
    /// What the server said last.
    pub(crate) seen: ServerLook,
    /// CPU time of servers that were restarted.
    pub(super) cpu_before_s: f64,
    pub(crate) crowd: Crowd,
    proxy: Option<Proxy>,
    pub(crate) measure: Measure,
    random: SmallRng,
    pub(super) start: Instant,
}

impl Stage {
    /// Starts the server, and then the peers.
    pub(crate) async fn start(mut task: Task) -> anyhow::Result<Self> {
        let options = task.options.clone();
        let mut server = Child::start("experiment-server", &task)?;
        let ready: Ready = server.line().await.context("the server did not start")?;
        // When it is restarted it is found where it was.
        task.listen = ready.addr;
        let proxy = if options.blink.is_empty() { None } else { Some(Proxy::start(ready.addr).await?) };
        task.url = format!("ws://{}/v1/ws", proxy.as_ref().map_or(ready.addr, |proxy| proxy.addr));
        let (start, crowd) = (Instant::now(), Crowd::start(&task)?);
        let random = SmallRng::seed_from_u64(options.seed);
        let mut stage = Self {
            options,
            task,
            server,
            seen: ServerLook::default(),
            cpu_before_s: 0.0,
            crowd,
            proxy,
            measure: Measure::new(),
            random,
            start,
        };
        stage.publish(0).await?;
        Ok(stage)
    }

    /// Where the server listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.task.listen
    }

    /// Events a second.
    pub(crate) fn rate(&self) -> u64 {
        self.options.rate
    }

    /// What liars do from now on, the first the first and so on around; if none is named, each of them.
    pub(crate) fn set_lies(&mut self, lies: Vec<Misdeed>) {
        self.options.lies = lies;
    }

    /// Lets the server publish from this event on, if it is it who publishes.
    async fn publish(&mut self, first: u64) -> anyhow::Result<()> {
        if self.options.source != "embedded" {
            return Ok(());
        }
        self.server.tell(&Order::Publish { first, rate: self.options.rate }).await
    }

    /// Publishes so many events and no more, where that was not known before.
    pub(super) async fn end_after(&mut self, events: u64) -> anyhow::Result<()> {
        self.options.events = Some(events);
        // A server that starts anew must know it, too.
        self.task.options.events = Some(events);
        if self.options.source != "embedded" {
            return Ok(());
        }
        self.server.tell(&Order::End { events }).await
    }

    /// Whether everybody who lives has every event. Who has had nothing may have come after the last event.
    pub(super) fn has_delivered_all(&self) -> bool {
        let Some(events) = self.options.events() else { return false };
        let living = self.crowd.living();
        let has_all = |look: &Look| look.next.is_none_or(|next| next >= events) && look.missing == 0;
        living.values().all(has_all) && living.values().any(|look| look.next.is_some())
    }

    /// Publishes so many events a second from now on.
    pub(crate) async fn set_rate(&mut self, rate: u64) -> anyhow::Result<()> {
        self.options.rate = rate;
        self.pause().await?;
        self.publish(self.seen.published).await
    }

    /// Publishes no more.
    async fn pause(&mut self) -> anyhow::Result<()> {
        self.server.tell(&Order::Pause).await?;
        self.seen = self.server.line().await?;
        Ok(())
    }

    /// Asks everybody, lets those go on whose time is over, and measures.
    pub(crate) async fn look(&mut self) -> anyhow::Result<()> {
        self.crowd.thaw()?;
        self.server.tell(&Order::Look).await?;
        for (process, line) in self.crowd.look().await? {
            self.measure.heard(process, line);
        }
        self.seen = self.server.line().await?;
        self.with_sight(Measure::saw);
        Ok(())
    }

    /// Does something with what is seen now.
    fn with_sight<T>(&mut self, look: impl FnOnce(&mut Measure, &Sight) -> T) -> T {
        let sight = Sight {
            at: self.start.elapsed(),
            server: &self.seen,
            living: &self.crowd.living(),
            names: &self.crowd.names(),
            frozen: &self.crowd.frozen(),
            tier1: self.options.tier1(),
        };
        look(&mut self.measure, &sight)
    }

    /// Lets something go wrong.
    pub(crate) async fn strike(&mut self, deed: &Deed) -> anyhow::Result<()> {
        match &deed.what {
            What::Kill(fault) => {
                let victims = self.choose(fault, Kind::Peers);
                self.struck(&deed.asked, &victims);
                self.crowd.kill(&victims).await?;
                if self.options.replace {
                    self.crowd.add(victims.len()).await?;
                }
            }
            What::Freeze(fault) => {
                let victims = self.choose(fault, Kind::Relays);
                let victims = self.crowd.freeze(victims, fault.lasts.unwrap_or_default())?;
                self.struck(&deed.asked, &victims);
            }
            What::Withhold(fault) => self.spoil(deed, fault, &[Misdeed::Withhold]).await?,
            What::Lie(fault) => {
                let lies = self.options.lies().to_vec();
                self.spoil(deed, fault, &lies).await?;
            }
            What::SlowUplink(fault) => {
                let uplink_bytes_per_s = fault.bytes_per_s;
                self.cloud(deed, fault, Weather { uplink_bytes_per_s, ..self.options.weather() }).await?;
            }
            What::Cut(fault) => {
                self.cloud(deed, fault, Weather { is_cut: true, ..self.options.weather() }).await?;
            }
            What::Blink => {
                self.struck_all(&deed.asked);
                if let Some(proxy) = &self.proxy {
                    proxy.blink();
                }
            }
            What::Mesh(is_on) => {
                self.struck_all(&deed.asked);
                self.crowd.offer(if *is_on { self.options.max_children } else { 0 }).await?;
            }
            What::RestartServer => self.restart_server(deed).await?,
        }
        Ok(())
    }

    /// How many peers of a kind a fault could strike now.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.crowd.of_kind(kind, &self.seen.nodes).len()
    }

    fn choose(&mut self, fault: &Fault, usual: Kind) -> BTreeSet<Who> {
        self.crowd.choose(fault, usual, &self.seen.nodes, &mut self.random)
    }

    /// An incident begins, of these and of those below them.
    fn struck(&mut self, asked: &str, victims: &BTreeSet<Who>) {
        let hit = below(victims, &self.seen.nodes, &self.crowd.names());
        let mut incident = self.with_sight(|_, sight| Incident::new(asked, sight, victims.clone(), hit));
        incident.spared = victims.is_empty().then(|| self.why_nobody());
        incident.too_late = self.has_delivered_all();
        self.measure.struck(incident);
    }

    /// Why nobody could be struck.
    fn why_nobody(&self) -> Spared {
        if self.crowd.len() == 0 {
            Spared::NoneLeft
        } else if self.crowd.is_frozen() {
            Spared::AllFrozen
        } else {
            Spared::NotUpYet
        }
    }

    /// An incident of everybody begins.
    fn struck_all(&mut self, asked: &str) {
        let all = self.crowd.living().into_keys().collect();
        let mut incident = self.with_sight(|_, sight| Incident::new(asked, sight, Default::default(), all));
        incident.spared = self.seen.nodes.is_empty().then(|| self.why_nobody());
        incident.too_late = self.has_delivered_all();
        self.measure.struck(incident);
    }

    async fn spoil(&mut self, deed: &Deed, fault: &Fault, lies: &[Misdeed]) -> anyhow::Result<()> {
        let victims = self.choose(fault, Kind::Relays);
        self.struck(&deed.asked, &victims);
        self.crowd.spoil(&victims, lies).await
    }

    /// The links of some get another weather.
    async fn cloud(&mut self, deed: &Deed, fault: &Fault, weather: Weather) -> anyhow::Result<()> {
        let victims = self.choose(fault, Kind::Relays);
        self.struck(&deed.asked, &victims);
        self.crowd.weather(&victims, weather).await
    }

    /// One is killed, and one comes.
    pub(super) async fn come_and_go(&mut self) -> anyhow::Result<()> {
        let one = Fault {
            amount: Amount::Count(1),
            of: None,
            at: Duration::ZERO,
            lasts: None,
            bytes_per_s: None,
            text: String::new(),
        };
        let victims = self.choose(&one, Kind::Peers);
        let going_on = self.measure.incidents.iter().position(Incident::is_churn);
        match going_on {
            None => self.struck(CHURN, &victims),
            Some(index) => {
                let hit = below(&victims, &self.seen.nodes, &self.crowd.names());
                let more = victims.clone();
                self.with_sight(|measure, sight| measure.incidents[index].goes_on(sight, more, hit));
            }
        }
        self.crowd.kill(&victims).await?;
        self.crowd.add(1).await
    }

    /// Stops the server and starts another in its place. One that publishes itself keeps no events, so what it has
    /// published is delivered first.
    async fn restart_server(&mut self, deed: &Deed) -> anyhow::Result<()> {
        self.pause().await?;
        let (published, paused) = (self.seen.published, Instant::now());
        let is_behind = |stage: &Self| {
            stage.crowd.living().values().any(|look| look.next.is_some_and(|next| next < published))
        };
        while is_behind(self) && paused.elapsed() < PAUSE {
            tokio::time::sleep(TICK / 10).await;
            self.look().await?;
        }
        self.struck_all(&deed.asked);
        self.measure.server_restarts(&self.seen);
        self.cpu_before_s += self.seen.cpu_s.unwrap_or(0.0);
        let left = Instant::now();
        self.server.end().await?;
        self.server = Child::start("experiment-server", &self.task)?;
        let _: Ready = self.server.line().await.context("the server did not start again")?;
        if let Some(incident) = self.measure.incidents.last_mut() {
            incident.server_away = Some(left.elapsed());
        }
        self.publish(published).await
    }

    /// Lets all processes end well.
    pub(crate) async fn end(mut self) -> anyhow::Result<Measure> {
        self.server.end().await?;
        self.crowd.end().await?;
        Ok(self.measure)
    }
}
