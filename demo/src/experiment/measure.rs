//! What is measured while an experiment runs.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use hdrhistogram::Histogram;
use serde::Serialize;
use tiercast_codec::PeerId;
use tiercast_peer_client::swarm::{Look, Spread, histogram};

use super::{
    crowd::Who,
    server::{Counters, Node, ServerLook},
    swarm::Line,
};

/// How long after an incident it is looked who is fed by the server.
const SETTLING: Duration = Duration::from_secs(2);
/// An incident is over when nobody who lived through it has waited so long for an event,
const LATE: Duration = Duration::from_millis(500);
/// for so long;
const QUIET: Duration = SETTLING;
/// but not before this where the victims live on and go on doing what they do.
const WATCHED: Duration = Duration::from_secs(6);
/// Who waits for longer than this waits for ever: the histograms end here, too.
const HOUR: Duration = Duration::from_secs(3_600);
/// The server's usual seconds are those before an incident.
const USUAL_SECONDS: usize = 5;

/// All that is measured.
pub(crate) struct Measure {
    pub(super) latencies: Histogram<u64>,
    pub(super) joins: Histogram<u64>,
    pub(super) seconds: Vec<Second>,
    /// Seconds before those, which are forgotten.
    forgotten: usize,
    pub(crate) incidents: Vec<Incident>,
    /// What the server had counted once everybody had found a place.
    pub(super) joined: Option<Counters>,
    /// Of servers that were restarted.
    gone: Counters,
    pub(crate) counters: Counters,
    /// Latencies of the second that is not over.
    current: Histogram<u64>,
    /// How many events were published, at each look of the last hour.
    published: VecDeque<(Duration, u64)>,
}

/// What happened within a second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Second {
    pub(super) server_bytes: u64,
    pub(crate) latency_ms: Spread,
    pub(super) peers: usize,
    pub(super) fed_by_server: usize,
    /// Whether everybody had found a place before.
    pub(super) is_joined: bool,
}

/// Something went wrong.
#[derive(Debug, Clone)]
pub(crate) struct Incident {
    pub(super) asked: String,
    pub(super) at: Duration,
    pub(crate) victims: BTreeSet<Who>,
    /// Why it struck nobody at first.
    pub(super) spared: Option<Spared>,
    /// Whether everybody had every event by then.
    pub(super) too_late: bool,
    /// What the server called the victims, and in which tier they were.
    pub(crate) places: BTreeMap<PeerId, u32>,
    /// Those who were fed by way of the victims.
    pub(crate) hit: BTreeSet<Who>,
    /// Those who did not run at some time since: what came late to them says nothing of this.
    apart: BTreeSet<Who>,
    /// The latest event since then of each peer that lived through it: how long it took, in microseconds.
    pub(super) latest_us: BTreeMap<Who, u64>,
    pub(super) fed_by_server_before: f64,
    /// Some time after.
    pub(super) fed_by_server_after: Option<f64>,
    /// The end of it: what comes later is another's doing.
    pub(super) is_over: bool,
    /// Of each peer that was there: what its application had missed by then.
    missing_before: BTreeMap<Who, u64>,
    /// What those of them that live have missed since.
    pub(super) lost: u64,
    /// Since when nobody waits.
    quiet_since: Option<Duration>,
    /// When it had been quiet for long enough.
    pub(crate) recovered: Option<Duration>,
    /// How long there was no server.
    pub(super) server_away: Option<Duration>,
    /// When the victims had no children any more, for those who live on and misbehave.
    pub(super) abandoned: Option<Duration>,
}

/// Why something that went wrong struck nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Spared {
    NotUpYet,
    NoneLeft,
    AllFrozen,
}

impl std::fmt::Display for Spared {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotUpYet => "no peer was up yet",
            Self::NoneLeft => "no peer was left",
            Self::AllFrozen => "every peer was frozen",
        })
    }
}

/// What is known at a look.
pub(super) struct Sight<'a> {
    /// Since the first event was due.
    pub(super) at: Duration,
    pub(super) server: &'a ServerLook,
    pub(super) living: &'a BTreeMap<Who, Look>,
    /// What the server calls them.
    pub(super) names: &'a BTreeMap<PeerId, Who>,
    /// Those of them who do not run.
    pub(super) frozen: &'a BTreeSet<Who>,
    pub(super) tier1: usize,
}

impl Measure {
    pub(super) fn new() -> Self {
        Self {
            latencies: histogram(),
            joins: histogram(),
            seconds: Vec::new(),
            forgotten: 0,
            incidents: Vec::new(),
            joined: None,
            gone: Counters::default(),
            counters: Counters::default(),
            current: histogram(),
            published: VecDeque::new(),
        }
    }

    /// Takes what a process has counted.
    pub(super) fn heard(&mut self, process: usize, line: &Line) {
        for (us, count) in &line.latencies {
            self.latencies.saturating_record_n(*us, *count);
            self.current.saturating_record_n(*us, *count);
        }
        for (us, count) in &line.joins {
            self.joins.saturating_record_n(*us, *count);
        }
        for incident in self.incidents.iter_mut().filter(|incident| !incident.is_over) {
            for look in &line.looks {
                if let Some(latest_us) = incident.latest_us.get_mut(&(process, look.member)) {
                    *latest_us = look.latest_us.max(*latest_us);
                }
            }
        }
    }

    /// Takes a look at the whole.
    pub(super) fn saw(&mut self, sight: &Sight) {
        let all = self.gone.plus(&sight.server.counters);
        let fed_by_server = sight.fed_by_server();
        let index = sight.at.as_secs() as usize - self.forgotten;
        if self.seconds.len() <= index {
            self.current.reset();
            let is_joined = self.joined.is_some();
            self.seconds.resize(index + 1, Second { is_joined, ..Second::default() });
        }
        if let Some(second) = self.seconds.last_mut() {
            second.server_bytes += all.bytes() - self.counters.bytes();
            second.latency_ms = Spread::of(&self.current);
            second.peers = sight.living.len();
            second.fed_by_server = fed_by_server;
        }
        self.counters = all;
        if self.joined.is_none() && fed_by_server <= sight.tier1 && sight.living.values().all(Look::is_ready)
        {
            self.joined = Some(all);
        }
        self.published.push_back((sight.at, sight.server.published));
        while self.published.pop_front_if(|(at, _)| *at + HOUR < sight.at).is_some() {}
        for incident in &mut self.incidents {
            incident.saw(sight, &self.published);
        }
    }

    /// Something goes wrong now. What was before is over, but for what lasts until the end.
    pub(super) fn struck(&mut self, incident: Incident) {
        for before in &mut self.incidents {
            before.is_over |= !before.is_churn();
        }
        self.incidents.push(incident);
    }

    /// Keeps so many of the last seconds only.
    pub(crate) fn forget_seconds(&mut self, kept: usize) {
        let excess = self.seconds.len().saturating_sub(kept);
        self.seconds.drain(..excess);
        self.forgotten += excess;
    }

    /// The last second that is over.
    pub(crate) fn last_second(&self) -> Second {
        self.seconds.iter().rev().nth(1).copied().unwrap_or_default()
    }

    /// The server's process is gone with its counters.
    pub(super) fn server_restarts(&mut self, last: &ServerLook) {
        self.gone = self.gone.plus(&last.counters);
    }

    /// How much later than usual the latest events came: to those who were hit, and to all who lived through it.
    pub(super) fn stalls(&self, incidents: &[Incident]) -> (Histogram<u64>, Histogram<u64>) {
        let usual_us = self.latencies.value_at_quantile(0.5);
        let (mut hit, mut all) = (histogram(), histogram());
        for incident in incidents {
            for (who, latest_us) in &incident.latest_us {
                let stall_us = latest_us.saturating_sub(usual_us);
                all.saturating_record(stall_us);
                if incident.hit.contains(who) {
                    hit.saturating_record(stall_us);
                }
            }
        }
        (hit, all)
    }

    /// What the server sent around an incident: in a usual second before it, in the busiest until it was over, and in the
    /// last whole one of these.
    pub(super) fn egress(&self, incident: &Incident) -> (u64, u64, u64) {
        let index =
            |at: Duration| (at.as_secs() as usize).saturating_sub(self.forgotten).min(self.seconds.len());
        let bytes = |seconds: &[Second]| seconds.iter().map(|second| second.server_bytes).collect::<Vec<_>>();
        let begin = index(incident.at);
        let mut before = bytes(&self.seconds[begin.saturating_sub(USUAL_SECONDS)..begin]);
        before.sort_unstable();
        let end = incident.recovered.map_or(self.seconds.len(), |after| index(incident.at + after) + 1);
        let since = bytes(&self.seconds[begin..end.min(self.seconds.len()).max(begin)]);
        let last = since.len().checked_sub(2).map_or(0, |last| since[last]);
        (before.get(before.len() / 2).copied().unwrap_or(0), since.into_iter().max().unwrap_or(0), last)
    }
}

/// What churn is called: an incident that lasts.
pub(super) const CHURN: &str = "churn";

impl Incident {
    /// One that begins at this moment.
    pub(super) fn new(asked: &str, sight: &Sight, victims: BTreeSet<Who>, hit: BTreeSet<Who>) -> Self {
        let is_struck = |who: &Who| victims.contains(who) || sight.frozen.contains(who);
        let survivors = sight.living.iter().filter(|(who, look)| !is_struck(who) && look.is_ready());
        Self {
            asked: asked.to_owned(),
            at: sight.at,
            places: sight.places(&victims),
            missing_before: sight.living.iter().map(|(who, look)| (*who, look.missing)).collect(),
            lost: 0,
            quiet_since: None,
            recovered: None,
            server_away: None,
            apart: sight.frozen.clone(),
            latest_us: survivors.map(|(who, _)| (*who, 0)).collect(),
            spared: None,
            too_late: false,
            victims,
            hit,
            fed_by_server_before: sight.share_fed_by_server(),
            fed_by_server_after: None,
            is_over: false,
            abandoned: None,
        }
    }

    pub(super) fn is_churn(&self) -> bool {
        self.asked == CHURN
    }

    /// More are struck, by the same.
    pub(super) fn goes_on(&mut self, sight: &Sight, victims: BTreeSet<Who>, hit: BTreeSet<Who>) {
        for who in hit.iter().filter(|who| sight.living.contains_key(who) && !self.apart.contains(who)) {
            self.latest_us.entry(*who).or_insert(0);
        }
        self.latest_us.retain(|who, _| !victims.contains(who));
        self.places.extend(sight.places(&victims));
        self.victims.extend(victims);
        self.hit.extend(hit);
    }

    fn saw(&mut self, sight: &Sight, published: &VecDeque<(Duration, u64)>) {
        // The dead have no stalls.
        self.latest_us.retain(|who, _| sight.living.contains_key(who));
        if !self.is_over {
            self.apart.extend(sight.frozen);
            self.latest_us.retain(|who, _| !self.apart.contains(who));
            for (who, latest_us) in &mut self.latest_us {
                let waits =
                    sight.living.get(who).map_or(Duration::ZERO, |look| waits(look, sight.at, published));
                *latest_us = (waits.as_micros() as u64).max(*latest_us);
            }
            self.count_lost(sight.living);
        }
        if self.recovered.is_none() {
            self.settle(sight, published);
        }
        let since = sight.at.saturating_sub(self.at);
        if self.fed_by_server_after.is_none() && since >= SETTLING {
            self.fed_by_server_after = Some(sight.share_fed_by_server());
        }
        let lives = |who: &Who| sight.living.contains_key(who);
        if self.abandoned.is_none() && self.victims.iter().any(lives) && sight.children_of(&self.victims) == 0
        {
            self.abandoned = Some(since);
        }
    }

    fn count_lost(&mut self, living: &BTreeMap<Who, Look>) {
        let lost = |(who, before): (&Who, &u64)| Some(living.get(who)?.missing.saturating_sub(*before));
        self.lost = self.missing_before.iter().filter_map(lost).sum();
    }

    /// Is it quiet, and has it been for long enough?
    fn settle(&mut self, sight: &Sight, published: &VecDeque<(Duration, u64)>) {
        let present = || self.missing_before.keys().filter_map(|who| sight.living.get(who));
        if !sight.frozen.is_empty() || present().any(|look| waits(look, sight.at, published) >= LATE) {
            self.quiet_since = None;
            return;
        }
        let victims_live = self.victims.iter().any(|who| sight.living.contains_key(who));
        let since = sight.at.saturating_sub(self.at);
        let quiet_for = sight.at.saturating_sub(*self.quiet_since.get_or_insert(sight.at));
        if quiet_for >= QUIET && (!victims_live || since >= WATCHED) {
            self.recovered = Some(since);
        }
    }
}

impl Sight<'_> {
    /// How many children these have together.
    fn children_of(&self, parents: &BTreeSet<Who>) -> usize {
        let parents: BTreeSet<_> = self.nodes_of(parents).map(|node| node.peer).collect();
        let is_child = |node: &&Node| node.parent.is_some_and(|parent| parents.contains(&parent));
        self.server.nodes.iter().filter(is_child).count()
    }

    /// What the server calls these, and in which tier they are.
    fn places(&self, of: &BTreeSet<Who>) -> BTreeMap<PeerId, u32> {
        self.nodes_of(of).map(|node| (node.peer, node.tier)).collect()
    }

    /// How many of those who live the server feeds. It keeps the dead for a while.
    fn fed_by_server(&self) -> usize {
        self.nodes().filter(|node| node.is_fed_by_server).count()
    }

    fn share_fed_by_server(&self) -> f64 {
        self.fed_by_server() as f64 / self.nodes().count().max(1) as f64
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.server.nodes.iter().filter(|node| self.names.contains_key(&node.peer))
    }

    fn nodes_of(&self, of: &BTreeSet<Who>) -> impl Iterator<Item = &Node> {
        let is_one = |node: &&Node| self.names.get(&node.peer).is_some_and(|who| of.contains(who));
        self.server.nodes.iter().filter(is_one)
    }
}

impl Counters {
    /// All that was sent.
    pub(super) fn bytes(&self) -> u64 {
        self.data_bytes + self.control_bytes
    }

    /// The share of data that the server did not send, since `before`.
    pub(super) fn offload_since(&self, before: &Self) -> f64 {
        let (data, direct) =
            (self.data_bytes - before.data_bytes, self.direct_data_bytes - before.direct_data_bytes);
        1.0 - data as f64 / direct.max(1) as f64
    }

    fn plus(&self, other: &Self) -> Self {
        Self {
            frames: self.frames + other.frames,
            data_bytes: self.data_bytes + other.data_bytes,
            control_bytes: self.control_bytes + other.control_bytes,
            direct_data_bytes: self.direct_data_bytes + other.direct_data_bytes,
            links: self.links + other.links,
            links_lost: self.links_lost + other.links_lost,
            accusations: self.accusations + other.accusations,
            suspensions: self.suspensions + other.suspensions,
        }
    }
}

/// How long a peer waits.
fn waits(look: &Look, now: Duration, published: &VecDeque<(Duration, u64)>) -> Duration {
    look.next.map_or(Duration::ZERO, |next| waiting(next, now, published))
}

/// How long an event has been published at least that has not come yet.
fn waiting(next: u64, now: Duration, published: &VecDeque<(Duration, u64)>) -> Duration {
    let before = published.partition_point(|(_, count)| *count <= next);
    published.get(before).map_or(Duration::ZERO, |(at, _)| now.saturating_sub(*at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(member: u64, latest_ms: u64) -> Look {
        Look { member, peer: None, next: Some(7), missing: 0, latest_us: latest_ms * 1_000 }
    }

    fn line(looks: &[Look], latencies: &[(u64, u64)]) -> Line {
        let (looks, latencies) = (looks.to_vec(), latencies.to_vec());
        Line { report: Default::default(), looks, latencies, joins: Vec::new(), cpu_s: None }
    }

    fn server(data_bytes: u64) -> ServerLook {
        let counters = Counters { data_bytes, direct_data_bytes: 10 * data_bytes, ..Counters::default() };
        ServerLook { counters, ..ServerLook::default() }
    }

    fn sight<'a>(at_ms: u64, server: &'a ServerLook, living: &'a BTreeMap<Who, Look>) -> Sight<'a> {
        static NO_NAMES: BTreeMap<PeerId, Who> = BTreeMap::new();
        static NOBODY: BTreeSet<Who> = BTreeSet::new();
        let at = Duration::from_millis(at_ms);
        Sight { at, server, living, names: &NO_NAMES, frozen: &NOBODY, tier1: 0 }
    }

    #[test]
    fn a_stall_is_how_much_later_than_usual_the_latest_event_came_after_the_incident() {
        let mut measure = Measure::new();
        let (server, looks) = (server(0), [look(1, 900), look(2, 5), look(3, 5)]);
        let living: BTreeMap<Who, Look> = looks.iter().map(|look| ((0, look.member), *look)).collect();
        measure.heard(0, &line(&looks, &[(10_000, 100)]));
        let hit = BTreeSet::from([(0, 2)]);
        let victims = BTreeSet::from([(0, 3)]);
        measure.struck(Incident::new("kill", &sight(1_000, &server, &living), victims, hit));
        measure.heard(0, &line(&[look(1, 10), look(2, 310), look(3, 999)], &[]));
        measure.heard(0, &line(&[look(1, 10), look(2, 110)], &[]));
        let (hit, all) = measure.stalls(&measure.incidents);
        assert_eq!((hit.len(), all.len()), (1, 2), "the victim has none");
        assert!((hit.max() as f64 / 300_000.0 - 1.0).abs() < 0.001, "{}", hit.max());
        assert_eq!(all.min(), 0);
        // A later incident has its own.
        measure.struck(Incident::new(
            "blink",
            &sight(2_000, &server, &living),
            BTreeSet::new(),
            BTreeSet::new(),
        ));
        measure.heard(0, &line(&[look(2, 5_000)], &[]));
        assert!(measure.stalls(&measure.incidents[..1]).0.max() < 400_000);
    }

    #[test]
    fn regression_the_pause_of_one_that_is_frozen_while_others_come_and_go_is_nobodys_stall() {
        let mut measure = Measure::new();
        let (server, looks) = (server(0), [look(1, 5), look(2, 5)]);
        let living: BTreeMap<Who, Look> = looks.iter().map(|look| ((0, look.member), *look)).collect();
        measure.heard(0, &line(&looks, &[(5_000, 100)]));
        measure.struck(Incident::new(
            CHURN,
            &sight(1_000, &server, &living),
            BTreeSet::new(),
            BTreeSet::new(),
        ));
        let frozen = BTreeSet::from([(0, 2)]);
        measure.saw(&Sight { frozen: &frozen, ..sight(2_000, &server, &living) });
        measure.incidents[0].goes_on(&sight(9_000, &server, &living), BTreeSet::new(), frozen);
        measure.heard(0, &line(&[look(1, 10), look(2, 8_000)], &[]));
        let (_, all) = measure.stalls(&measure.incidents);
        assert_eq!(all.len(), 1);
        assert!(all.max() < 10_000, "{}", all.max());
    }

    #[test]
    fn regression_the_dead_whom_the_server_still_knows_are_not_fed() {
        let node = |peer, is_fed_by_server| Node {
            peer: PeerId(peer),
            parent: None,
            tier: 1,
            has_children: false,
            is_fed_by_server,
        };
        let nodes = vec![node(1, true), node(2, false), node(3, true)];
        let server = ServerLook { nodes, ..server(0) };
        let names = BTreeMap::from([(PeerId(1), (0, 1)), (PeerId(2), (0, 2))]);
        let living = BTreeMap::new();
        let sight = Sight { names: &names, ..sight(1_000, &server, &living) };
        assert_eq!((sight.fed_by_server(), sight.share_fed_by_server()), (1, 0.5));
    }

    #[test]
    fn who_still_waits_is_as_late_as_the_event_that_has_not_come() {
        let s = Duration::from_secs;
        let published = VecDeque::from([(s(1), 5), (s(2), 10), (s(3), 15)]);
        assert_eq!(waiting(10, s(7), &published), s(4), "event 10 was there at the third look");
        assert_eq!(waiting(15, s(7), &published), s(0), "nobody has published it");
        assert_eq!(waiting(0, s(7), &published), s(6));
    }

    fn at_look(next: u64, missing: u64) -> BTreeMap<Who, Look> {
        BTreeMap::from([((0, 1), Look { next: Some(next), missing, ..look(1, 0) })])
    }

    #[test]
    fn an_incident_is_over_when_nobody_has_waited_for_two_seconds_and_nobody_is_frozen() {
        let (mut measure, server) = (Measure::new(), ServerLook { published: 10, ..server(0) });
        let (behind, there) = (at_look(7, 2), at_look(10, 3));
        measure.saw(&sight(1_000, &server, &behind));
        let begins = Incident::new("kill", &sight(1_000, &server, &behind), BTreeSet::new(), BTreeSet::new());
        measure.struck(begins);
        measure.saw(&sight(2_000, &server, &behind));
        measure.saw(&sight(2_250, &server, &there));
        measure.saw(&sight(4_000, &server, &there));
        assert_eq!(measure.incidents[0].recovered, None, "not for long enough");
        let frozen = BTreeSet::from([(0, 1)]);
        measure.saw(&Sight { frozen: &frozen, ..sight(4_250, &server, &there) });
        measure.saw(&sight(4_500, &server, &there));
        measure.saw(&sight(6_500, &server, &there));
        assert_eq!(measure.incidents[0].recovered, Some(Duration::from_millis(5_500)));
        assert_eq!(measure.incidents[0].lost, 1, "what was missing before was not lost by this");
    }

    #[test]
    fn what_the_server_sent_around_an_incident_is_found_also_when_older_seconds_are_forgotten() {
        let (mut measure, living) = (Measure::new(), at_look(0, 0));
        for (second, sent) in [0, 100, 200, 300, 800, 1_000, 1_001].into_iter().enumerate() {
            let (at_ms, server) = (second as u64 * 1_000, server(sent));
            let now = sight(at_ms, &server, &living);
            measure.saw(&now);
            if second == 3 {
                measure.struck(Incident::new("kill", &now, BTreeSet::new(), BTreeSet::new()));
            }
        }
        assert_eq!(measure.egress(&measure.incidents[0]), (100, 500, 200));
        measure.forget_seconds(4);
        assert_eq!(measure.egress(&measure.incidents[0]).1, 500);
        measure.saw(&sight(7_000, &server(1_400), &living));
        assert_eq!(measure.seconds.last().map(|second| second.server_bytes), Some(399));
    }

    #[test]
    fn bytes_are_those_of_their_second_and_outlive_the_server() {
        let mut measure = Measure::new();
        let living = BTreeMap::new();
        measure.saw(&sight(100, &server(1_000), &living));
        measure.saw(&sight(900, &server(1_500), &living));
        measure.server_restarts(&server(1_600));
        measure.saw(&sight(1_200, &server(50), &living));
        let bytes: Vec<_> = measure.seconds.iter().map(|second| second.server_bytes).collect();
        assert_eq!(bytes, [1_500, 150]);
        assert_eq!(measure.counters.data_bytes, 1_650);
        assert!((measure.counters.offload_since(&Counters::default()) - 0.9).abs() < 1e-9);
    }
}
