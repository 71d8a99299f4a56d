//! The one task that has the stage: looks at it, does what the buttons ask, and says how it all is.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use axum::http::StatusCode;
use rand::seq::IndexedRandom;
use serde::Deserialize;
use serde_json::{Value, json};
use tiercast_codec::PeerId;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{MissedTickBehavior, interval},
};

use super::{
    CHANNEL, FREEZE, PEERS_MAX, RATE_MAX,
    cards::{Cards, Title},
    refusal::Refusal,
};
use crate::{
    experiment::{
        crowd::Who,
        fault::{self, Fault, Kind},
        options::{Deed, What},
        stage::{Stage, TICK},
    },
    villain::Misdeed,
};

/// Questions that wait; who asks while there are more waits, too.
const QUESTIONS_MAX: usize = 16;
/// Seconds of figures that are kept: a little more than the longest that cards look back.
const SECONDS_KEPT: usize = 600;

/// What a button asks for.
#[derive(Debug)]
pub(super) enum Ask {
    Peers(ChangePeers),
    Rate(u64),
    Fault(AskFault),
    Mesh(bool),
}

/// How many peers to add and remove; as many as there is room for, and as there are.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangePeers {
    #[serde(default)]
    add: usize,
    #[serde(default)]
    remove: usize,
}

/// What shall go wrong, and with whom, as the command line would say it: `30%`, `1:relays`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AskFault {
    fault: FaultKind,
    who: Option<String>,
}

/// The faults that have buttons, and one for the curious.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FaultKind {
    Kill,
    Freeze,
    Withhold,
    Lie,
    RestartServer,
}

type Answer = Result<Value, Refusal>;

/// Where buttons are pressed.
#[derive(Clone)]
pub(super) struct Desk {
    questions: mpsc::Sender<(Ask, oneshot::Sender<Answer>)>,
    state: watch::Receiver<Arc<Value>>,
    /// Where the server is when it is there.
    pub(super) server: SocketAddr,
}

pub(super) struct Director {
    stage: Stage,
    questions: mpsc::Receiver<(Ask, oneshot::Sender<Answer>)>,
    state: watch::Sender<Arc<Value>>,
    cards: Cards,
    rate: u64,
    is_mesh_on: bool,
    liars: BTreeSet<Who>,
    /// Those who were killed and whom the server still waits for.
    killed: BTreeSet<PeerId>,
}

const STOPPING: Refusal =
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the demo is stopping", "start it again");

impl Desk {
    pub(super) async fn ask(&self, ask: Ask) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.questions.send((ask, answer)).await.map_err(|_| STOPPING)?;
        answered.await.map_err(|_| STOPPING)?
    }

    pub(super) fn state(&self) -> Arc<Value> {
        self.state.borrow().clone()
    }
}

impl Director {
    pub(super) fn new(stage: Stage) -> (Self, Desk) {
        let (asks, questions) = mpsc::channel(QUESTIONS_MAX);
        let rate = stage.rate();
        let server = stage.addr();
        let mut director = Self {
            stage,
            questions,
            state: watch::channel(Arc::default()).0,
            cards: Cards::default(),
            rate,
            is_mesh_on: true,
            liars: BTreeSet::new(),
            killed: BTreeSet::new(),
        };
        director.tell();
        let desk = Desk { questions: asks, state: director.state.subscribe(), server };
        (director, desk)
    }

    /// Runs until a process fails that nobody stopped.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let answered = tokio::select! {
                _ = tick.tick() => None,
                Some((ask, answer)) = self.questions.recv() => Some((answer, self.on_ask(ask).await?)),
            };
            self.stage.look().await?;
            self.stage.measure.forget_seconds(SECONDS_KEPT);
            self.cards.refresh(&mut self.stage.measure);
            self.tell();
            // Who is answered finds what came of it in the state; who has asked may have gone.
            if let Some((answer, said)) = answered {
                let _ = answer.send(said);
            }
        }
    }

    async fn on_ask(&mut self, ask: Ask) -> anyhow::Result<Answer> {
        match ask {
            Ask::Peers(change) => self.change_peers(change).await,
            Ask::Rate(rate) => self.set_rate(rate).await,
            Ask::Fault(fault) => self.strike(fault).await,
            Ask::Mesh(is_on) => self.switch_mesh(is_on).await,
        }
    }

    async fn change_peers(&mut self, change: ChangePeers) -> anyhow::Result<Answer> {
        let room = PEERS_MAX.saturating_sub(self.stage.crowd.len());
        if change.add > 0 && room == 0 {
            return Ok(conflict("the demo runs at most 200 native peers", "remove some first"));
        }
        let crowd = &mut self.stage.crowd;
        let before = crowd.len();
        crowd.add(change.add.min(room)).await?;
        let added = crowd.len() - before;
        let removed = crowd.remove(change.remove).await?;
        Ok(Ok(json!({ "added": added, "removed": removed, "native_peers": crowd.len() })))
    }

    async fn set_rate(&mut self, rate: u64) -> anyhow::Result<Answer> {
        if !(1..=RATE_MAX).contains(&rate) {
            let (error, fix) = ("the rate is out of range", "choose 1 to 500 events a second");
            return Ok(Err(Refusal::new(StatusCode::BAD_REQUEST, error, fix)));
        }
        self.rate = rate;
        self.stage.set_rate(rate).await?;
        Ok(Ok(json!({ "rate_per_s": rate })))
    }

    async fn strike(&mut self, AskFault { fault, who }: AskFault) -> anyhow::Result<Answer> {
        let (name, what): (_, fn(Fault) -> What) = match fault {
            FaultKind::Kill => ("kill", What::Kill),
            FaultKind::Freeze => ("freeze", What::Freeze),
            FaultKind::Withhold => ("withhold", What::Withhold),
            FaultKind::Lie => ("lie", What::Lie),
            FaultKind::RestartServer => return self.restart_server().await,
        };
        let who = who.unwrap_or_else(|| "1:relays".to_owned());
        let parsed = match fault {
            FaultKind::Freeze => fault::lasting(&format!("{who}@0s+{}s", FREEZE.as_secs())),
            _ => fault::instant(&format!("{who}@0s")),
        };
        let parsed = match parsed {
            Ok(parsed) => parsed,
            Err(error) => {
                let fix = "name them as experiment --help says, such as 1:relays, 1:tier1 or 30%";
                return Ok(Err(Refusal(StatusCode::BAD_REQUEST, error.into(), fix)));
            }
        };
        let kind = parsed.of.unwrap_or(Kind::Peers);
        if self.stage.count(kind) == 0 {
            return Ok(nobody(kind));
        }
        let any = || Misdeed::LIES.choose(&mut rand::rng()).copied();
        let lie = if fault == FaultKind::Lie { any() } else { None };
        self.stage.set_lies(lie.into_iter().collect());
        self.act(Title { fault: name, who: Some(who), lie }, what(parsed)).await
    }

    /// A server that publishes itself keeps nothing beyond its life, and who is frozen would miss what it had.
    async fn restart_server(&mut self) -> anyhow::Result<Answer> {
        if self.stage.crowd.is_frozen() {
            return Ok(conflict("somebody is frozen", "wait until they run again"));
        }
        self.act(Title { fault: "restart-server", who: None, lie: None }, What::RestartServer).await
    }

    async fn switch_mesh(&mut self, is_on: bool) -> anyhow::Result<Answer> {
        if is_on == self.is_mesh_on {
            return Ok(conflict("the mesh is so already", "switch it the other way"));
        }
        if self.stage.crowd.is_frozen() {
            return Ok(conflict("somebody is frozen, and would not hear of it", "wait until they run again"));
        }
        self.is_mesh_on = is_on;
        let fault = if is_on { "mesh-on" } else { "mesh-off" };
        self.act(Title { fault, who: None, lie: None }, What::Mesh(is_on)).await
    }

    /// Lets it go wrong, and begins its card.
    async fn act(&mut self, title: Title, what: What) -> anyhow::Result<Answer> {
        let kills = matches!(what, What::Kill(_));
        let misbehaves = matches!(what, What::Lie(_) | What::Withhold(_));
        let (asked, at) = (title.fault.to_owned(), Default::default());
        self.stage.strike(&Deed { at, what, asked }).await?;
        self.cards.add(title, &mut self.stage.measure);
        let Some(incident) = self.stage.measure.incidents.last() else { return Ok(Err(STOPPING)) };
        if misbehaves {
            self.liars.extend(&incident.victims);
        }
        if kills {
            self.killed.extend(incident.places.keys());
        }
        let victims: Vec<_> = incident.places.keys().collect();
        Ok(Ok(
            json!({ "victims": victims, "below": incident.hit.len(), "native_peers": self.stage.crowd.len() }),
        ))
    }

    /// Says how it all is.
    fn tell(&mut self) {
        let (stage, crowd) = (&self.stage, &self.stage.crowd);
        let (living, names) = (crowd.living(), crowd.names());
        self.liars.retain(|who| living.contains_key(who));
        let present: BTreeSet<_> = stage.seen.nodes.iter().map(|node| node.peer).collect();
        self.killed.retain(|peer| present.contains(peer));
        let called = |these: &BTreeSet<Who>| called(these, &names);
        let counters = stage.measure.counters;
        let count = |value: fn(&tiercast_peer_client::swarm::SwarmReport) -> u64| {
            crowd.lines().map(|line| value(&line.report)).sum::<u64>()
        };
        let state = json!({
            "channel": CHANNEL,
            "rate_per_s": self.rate,
            "rate_max_per_s": RATE_MAX,
            "native_peers": crowd.len(),
            "native_peers_max": PEERS_MAX,
            "relays": stage.count(Kind::Relays),
            "tier1": stage.count(Kind::Tier1),
            "is_mesh_on": self.is_mesh_on,
            "killed": self.killed,
            "frozen": called(&crowd.frozen()),
            "liars": called(&self.liars),
            "server": {
                "events": stage.seen.published,
                "data_bytes": counters.data_bytes,
                "control_bytes": counters.control_bytes,
                "direct_data_bytes": counters.direct_data_bytes,
            },
            "swarm": {
                "ready": crowd.ready(),
                "delivered": count(|report| report.delivered),
                "missing": living.values().map(|look| look.missing).sum::<u64>(),
                "duplicates": count(|report| report.duplicates),
                "out_of_order": count(|report| report.out_of_order),
                "latency_ms": stage.measure.last_second().latency_ms,
            },
            "incidents": self.cards.iter().collect::<Vec<_>>(),
        });
        self.state.send_replace(Arc::new(state));
    }
}

/// What the server calls these.
fn called(these: &BTreeSet<Who>, names: &BTreeMap<PeerId, Who>) -> Vec<PeerId> {
    names.iter().filter(|(_, who)| these.contains(who)).map(|(peer, _)| *peer).collect()
}

fn nobody(kind: Kind) -> Answer {
    match kind {
        Kind::Peers => conflict("there is no native peer", "add some first"),
        Kind::Relays => conflict("no native peer relays", "add native peers, or switch the mesh on"),
        Kind::Leaves => conflict("every native peer relays", "add native peers"),
        Kind::Tier1 => conflict("no native peer is in tier 1", "add native peers, or switch the mesh on"),
    }
}

fn conflict(error: &'static str, fix: &'static str) -> Answer {
    Err(Refusal::new(StatusCode::CONFLICT, error, fix))
}
