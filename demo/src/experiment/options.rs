//! What is asked of an experiment, and whether it can be had.

use std::{collections::VecDeque, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use clap::{Args, FromArgMatches};
use serde::{Deserialize, Serialize};
use tiercast_peer_client::link::Weather;
use tiercast_signaling_server::source::amqp::BrokerUrl;
use tokio::time::Instant;

use super::fault::{self, Amount, Fault, Kind};
use crate::villain::Misdeed;

/// How many peers the server feeds, unless there are fewer.
const TIER1: u64 = 4;
/// How many events there are, unless faults take longer.
const EVENTS: u64 = 2_000;
/// How long events go on after the last fault, so that it is seen what came of it.
const AFTER_FAULTS: Duration = Duration::from_secs(6);
/// Churn ends so long before the events do, so that who comes last gets some.
const CHURN_ENDS: Duration = Duration::from_secs(3);
/// Most processes that are started without being asked for by number.
const PROCESSES_UNASKED: u64 = 100;

/// What to measure, and what shall go wrong meanwhile.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub(crate) struct ExperimentOptions {
    /// Where the events come from: `embedded`, or a broker, amqp://USER:PASSWORD@HOST:5672/%2f.
    #[arg(long, default_value = "embedded", value_name = "SOURCE")]
    pub(super) source: String,
    /// How many native peers listen.
    #[arg(long, default_value_t = 40, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=5_000))]
    pub(crate) peers: u64,
    /// How many of them the server feeds, at most all [default: 4].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=5_000))]
    pub(crate) tier1: Option<u64>,
    /// How many events are published [default: 2000, or as many as it takes to go on for 6 s after the last fault and
    /// the first of --churn; whichever is more].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) events: Option<u64>,
    /// How many events a second.
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) rate: u64,
    /// Bytes of an event's body.
    #[arg(long, default_value_t = 600, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    pub(crate) size: u64,
    /// Most children of a peer.
    #[arg(long, default_value_t = 8, value_name = "N")]
    pub(crate) max_children: u16,
    /// Take no part in the mesh: the server feeds everybody, for comparison.
    #[arg(long, conflicts_with = "compare")]
    pub(super) no_relay: bool,
    /// Leave the repair of losses on links to SCTP, and have no standbys, for comparison.
    #[arg(long)]
    pub(super) no_repair: bool,
    /// Run it twice, with the mesh and without, and show both side by side.
    #[arg(long)]
    pub(super) compare: bool,
    /// Over how many processes the peers are spread [default: 1; with --freeze one for each peer].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(crate) processes: Option<u64>,
    /// Decides who is struck; the same number strikes the same places.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) seed: u64,
    /// Give up when nothing more has been delivered for so long, at least 1s.
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = fault::patience)]
    pub(super) patience: Duration,

    /// Kill peers without a word; a process of which all peers are killed gets SIGKILL.
    #[arg(long, value_name = "WHO@WHEN", value_parser = fault::instant, help_heading = "Faults")]
    pub(super) kill: Vec<Fault>,
    /// Let as many new peers come as are killed.
    #[arg(long, requires = "kill", help_heading = "Faults")]
    pub(super) replace: bool,
    /// Stop the processes of peers for a while (SIGSTOP), relays unless it is said who.
    #[arg(long, value_name = "WHO@WHEN+TIME", value_parser = fault::lasting, help_heading = "Faults")]
    pub(super) freeze: Vec<Fault>,
    /// Let peers, relays unless it is said who, answer pings and pass on no event (given alone: 1@5s).
    #[arg(long, value_name = "WHO@WHEN", value_parser = fault::instant, num_args = 0..=1, default_missing_value = "1@5s", help_heading = "Faults")]
    pub(super) withhold: Vec<Fault>,
    /// Let peers, relays unless it is said who, lie (given alone: 4@5s, one for each lie).
    #[arg(long, value_name = "WHO@WHEN", value_parser = fault::instant, num_args = 0..=1, default_missing_value = "4@5s", help_heading = "Faults")]
    pub(super) lie: Vec<Fault>,
    /// What liars do, the first the first, and so on around [default: corrupt,replay,stall,accuse].
    #[arg(
        long,
        value_name = "LIST",
        value_enum,
        value_delimiter = ',',
        requires = "lie",
        help_heading = "Faults"
    )]
    pub(super) lies: Vec<Misdeed>,
    /// Let the links of peers, relays unless it is said who, send no more together than RATE (such as 100KB/s).
    #[arg(long, value_name = "WHO@WHEN=RATE", value_parser = fault::narrow, help_heading = "Faults")]
    pub(super) slow_uplink: Vec<Fault>,
    /// Cut the links of peers, relays unless it is said who: nothing leaves or arrives any more, and nobody is told.
    #[arg(long, value_name = "WHO@WHEN", value_parser = fault::instant, help_heading = "Faults")]
    pub(super) cut: Vec<Fault>,
    /// Cut all connections to the server at once, by a proxy in front of it (given alone: 5s).
    #[arg(long, value_name = "WHEN", value_parser = fault::duration, num_args = 0..=1, default_missing_value = "5s", help_heading = "Faults")]
    pub(super) blink: Vec<Duration>,
    /// Stop the server and start it again with its key and its state (given alone: 5s).
    #[arg(long, value_name = "WHEN", value_parser = fault::duration, num_args = 0..=1, default_missing_value = "5s", help_heading = "Faults")]
    pub(super) restart_server: Vec<Duration>,
    /// So many peers a second are killed, and as many come.
    #[arg(long, value_name = "RATE", value_parser = fault::per_second, help_heading = "Faults")]
    pub(super) churn: Option<f64>,
    /// The share of packets between peers that is lost, such as 2%, less than 100%.
    #[arg(long, value_name = "SHARE", value_parser = fault::per_million, help_heading = "Faults")]
    pub(super) loss: Option<u32>,
    /// How long packets between peers take, each way, such as 25ms.
    #[arg(long, value_name = "TIME", value_parser = fault::duration, help_heading = "Faults")]
    pub(super) delay: Option<Duration>,
    /// An event that is not counted where it comes: to see that this is noticed.
    #[arg(long, hide = true)]
    pub(super) skip: Option<u64>,

    /// Print the figures as one JSON object on one line, instead of a table.
    #[arg(long, help_heading = "Output")]
    pub(super) json: bool,
    /// Write a page with the figures and plots over time.
    #[arg(long, value_name = "FILE.html", help_heading = "Output")]
    pub(super) report: Option<PathBuf>,
}

/// Something that goes wrong, and when.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Deed {
    pub(crate) at: Duration,
    pub(crate) what: What,
    /// As it was asked for.
    pub(crate) asked: String,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    Kill(Fault),
    Freeze(Fault),
    Withhold(Fault),
    Lie(Fault),
    SlowUplink(Fault),
    Cut(Fault),
    Blink,
    RestartServer,
    /// Everybody relays, or nobody.
    Mesh(bool),
}

impl Default for ExperimentOptions {
    /// As the command line has it that says nothing.
    fn default() -> Self {
        let nothing = Self::augment_args(clap::Command::new("experiment")).get_matches_from(["experiment"]);
        Self::from_arg_matches(&nothing).expect("no flag must be given")
    }
}

impl ExperimentOptions {
    /// When the `number`th event is due.
    pub(super) fn due(&self, start: Instant, number: u64) -> Instant {
        start + Duration::from_nanos(number * 1_000_000_000 / self.rate)
    }

    /// How many peers the server feeds.
    pub(super) fn tier1(&self) -> usize {
        self.tier1.unwrap_or(TIER1.min(self.peers)) as usize
    }

    /// How many events are published; `None` as long as that depends on when everybody is ready.
    pub(super) fn events(&self) -> Option<u64> {
        self.events.or_else(|| self.last_fault().is_none().then_some(EVENTS))
    }

    /// How many events are published where everybody is ready so long after the start.
    pub(super) fn events_if_ready(&self, ready: Duration) -> u64 {
        let enough = self.last_fault().map(|last| last.saturating_add(AFTER_FAULTS).saturating_add(ready));
        self.events_until(enough.unwrap_or_default())
    }

    /// How many events are published where they need not go on for longer than this. Whole seconds: runs that are alike
    /// publish the same number.
    pub(super) fn events_until(&self, end: Duration) -> u64 {
        let enough = end.as_secs_f64().ceil() * self.rate as f64;
        self.events.unwrap_or(EVENTS.max(enough as u64))
    }

    /// When everybody who is ready has seen the end of the last fault, and the first of the churn.
    fn last_fault(&self) -> Option<Duration> {
        let faults = self.plan().into_iter().map(|deed| deed.at.saturating_add(deed.lasts()));
        let churn = self.churn.map(|rate| Duration::try_from_secs_f64(1.0 / rate).unwrap_or(Duration::MAX));
        faults.chain(churn).max()
    }

    /// When one comes and one goes, from when everybody is ready: that is so long after the first of so many events.
    pub(super) fn churn_times(&self, events: u64, ready: Duration) -> VecDeque<Duration> {
        let Some(rate) = self.churn else { return VecDeque::new() };
        let events_s = events as f64 / self.rate as f64;
        let count = (events_s - (ready + CHURN_ENDS).as_secs_f64()).max(0.0) * rate;
        (1..=count as u32).map(|number| Duration::from_secs_f64(f64::from(number) / rate)).collect()
    }

    /// Over how many processes the peers are spread.
    pub(super) fn processes(&self) -> u64 {
        let unasked = if self.freeze.is_empty() { 1 } else { self.peers };
        self.processes.unwrap_or(unasked)
    }

    /// What goes wrong, in its order.
    pub(super) fn plan(&self) -> Vec<Deed> {
        let faults = |flag: &'static str, faults: &[Fault], what: fn(Fault) -> What| {
            let deed = |fault: &Fault| Deed {
                at: fault.at,
                what: what(fault.clone()),
                asked: format!("{flag} {}", fault.text),
            };
            faults.iter().map(deed).collect::<Vec<_>>()
        };
        let times = |flag: &'static str, times: &[Duration], what: What| {
            let deed = |at: &Duration| Deed { at: *at, what: what.clone(), asked: format!("{flag} {at:?}") };
            times.iter().map(deed).collect::<Vec<_>>()
        };
        let mut plan = [
            faults("kill", &self.kill, What::Kill),
            faults("freeze", &self.freeze, What::Freeze),
            faults("withhold", &self.withhold, What::Withhold),
            faults("lie", &self.lie, What::Lie),
            faults("slow-uplink", &self.slow_uplink, What::SlowUplink),
            faults("cut", &self.cut, What::Cut),
            times("blink", &self.blink, What::Blink),
            times("restart-server", &self.restart_server, What::RestartServer),
        ]
        .concat();
        plan.sort_by_key(|deed| deed.at);
        plan
    }

    /// What happens to packets between peers.
    pub(super) fn weather(&self) -> Weather {
        Weather {
            lost_per_million: self.loss.unwrap_or(0),
            delay: self.delay.unwrap_or_default(),
            ..Weather::default()
        }
    }

    /// What liars do, one after the other.
    pub(super) fn lies(&self) -> &[Misdeed] {
        if self.lies.is_empty() { &Misdeed::LIES } else { &self.lies }
    }

    pub(super) fn check(&self) -> anyhow::Result<()> {
        self.check_peers()?;
        self.check_mesh()?;
        self.check_plan()
    }

    /// Are there as many peers as are asked for otherwise?
    fn check_peers(&self) -> anyhow::Result<()> {
        let peers = self.peers;
        if let Some(tier1) = self.tier1
            && tier1 > peers
        {
            bail!("--tier1 {tier1} is more than --peers {peers}: lower one or raise the other");
        }
        if self.source != "embedded" {
            // What was written may hold a password.
            self.source.parse::<BrokerUrl>().context("--source is neither `embedded` nor a broker's URL")?;
        }
        if self.processes() > peers {
            bail!(
                "--processes {} is more than --peers {peers}: lower one or raise the other",
                self.processes()
            );
        }
        if self.processes.is_none() && self.processes() > PROCESSES_UNASKED {
            bail!(
                "--freeze needs peers in processes of their own, and {peers} are many: say how many by --processes {PROCESSES_UNASKED}"
            );
        }
        if !self.freeze.is_empty() && self.processes() < 2 {
            bail!("--freeze stops a process, and all peers are in one: raise --processes (and --peers)");
        }
        Ok(())
    }

    /// Is there a mesh where something is asked of one?
    fn check_mesh(&self) -> anyhow::Result<()> {
        if !self.no_relay {
            return Ok(());
        }
        if self.no_repair {
            bail!(
                "--no-repair is about links between peers, and with --no-relay there are none: leave out one of the two"
            );
        }
        if let Some(deed) = self.plan().iter().find(|deed| deed.needs_relays()) {
            let asked = &deed.asked;
            bail!(
                "--{asked} is done to relays, and with --no-relay there are none: leave out one of the two"
            );
        }
        Ok(())
    }

    /// Can what shall go wrong do so?
    fn check_plan(&self) -> anyhow::Result<()> {
        let peers = self.peers;
        for deed in self.plan() {
            if let Some(Amount::Count(count)) = deed.what.fault().map(|fault| fault.amount)
                && count as u64 > peers
            {
                let asked = deed.asked;
                bail!("--{asked} strikes {count}, and there are --peers {peers}: write at most all");
            }
        }
        self.events.map_or(Ok(()), |events| self.check_events(events))
    }

    /// Are there so many events that it can go wrong meanwhile?
    fn check_events(&self, events: u64) -> anyhow::Result<()> {
        let last_s = events as f64 / self.rate as f64;
        if let Some(deed) = self.plan().iter().find(|deed| deed.at.as_secs_f64() >= last_s) {
            let asked = &deed.asked;
            bail!("--{asked} comes after the last event at {last_s:.1} s: raise --events or lower --rate");
        }
        if let Some(rate) = self.churn
            && self.churn_times(events, Duration::ZERO).is_empty()
        {
            bail!(
                "--churn {rate} comes to nothing before the last event at {last_s:.1} s: raise --events or lower --rate"
            );
        }
        Ok(())
    }
}

impl Deed {
    fn lasts(&self) -> Duration {
        self.what.fault().and_then(|fault| fault.lasts).unwrap_or_default()
    }

    /// Whether it comes to nothing where nobody relays.
    fn needs_relays(&self) -> bool {
        let is_of_relays = self.what.fault().is_some_and(|fault| fault.of == Some(Kind::Relays));
        is_of_relays
            || matches!(self.what, What::Withhold(_) | What::Lie(_) | What::SlowUplink(_) | What::Cut(_))
    }
}

impl What {
    /// Whom it strikes, if it does not strike all.
    fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Kill(fault)
            | Self::Freeze(fault)
            | Self::Withhold(fault)
            | Self::Lie(fault)
            | Self::SlowUplink(fault)
            | Self::Cut(fault) => Some(fault),
            Self::Blink | Self::RestartServer | Self::Mesh(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(arguments: &str) -> String {
        options(arguments).check().map_or_else(|error| error.to_string(), |()| String::new())
    }

    fn options(arguments: &str) -> ExperimentOptions {
        let arguments = ["experiment"].into_iter().chain(arguments.split(' '));
        let matches =
            ExperimentOptions::augment_args(clap::Command::new("experiment")).get_matches_from(arguments);
        ExperimentOptions::from_arg_matches(&matches).expect("they are understood")
    }

    #[test]
    fn regression_events_outlast_the_faults_however_late_the_peers_are_ready() {
        let s = Duration::from_secs;
        let kill = options("--rate 100 --kill 1@10s --freeze 1@12s+3s");
        assert_eq!(kill.events(), None, "nobody is ready yet");
        assert_eq!([s(0), s(1), s(30)].map(|ready| kill.events_if_ready(ready)), [2_100, 2_200, 5_100]);
        assert_eq!(kill.events_if_ready(Duration::from_millis(300)), 2_200, "whole seconds");
        assert_eq!(options("--kill 1@1s").events_if_ready(s(1)), EVENTS, "not fewer than usual");
        let given = options("--kill 1@1s --events 500");
        assert_eq!((given.events(), given.events_if_ready(s(9))), (Some(500), 500));
        assert_eq!(options("--loss 1%").events(), Some(EVENTS), "nothing is waited for");
    }

    #[test]
    fn regression_somebody_comes_and_goes_however_late_the_peers_are_ready_and_however_rarely() {
        for (churn, ready_s) in [("2", 0), ("1", 8), ("0.1", 0), ("0.07", 25)] {
            let options = options(&format!("--churn {churn}"));
            let ready = Duration::from_secs(ready_s);
            let times = options.churn_times(options.events_if_ready(ready), ready);
            assert!(!times.is_empty(), "{churn} {ready_s}");
        }
    }

    #[test]
    fn more_victims_than_there_are_peers_are_refused() {
        let error = refusal("--peers 4 --kill 50@1s");
        assert!(error.contains("--kill 50@1s strikes 50") && error.contains("at most all"), "{error}");
        assert_eq!(refusal("--peers 4 --kill 4@1s --cut 100%@1s"), "");
    }

    #[test]
    fn what_needs_relays_is_refused_where_nobody_relays() {
        for asked in
            ["--lie 1@1s", "--withhold 1@1s", "--cut 1@1s", "--slow-uplink 1@1s=1KB/s", "--kill 1:relays@1s"]
        {
            let error = refusal(&format!("--no-relay {asked}"));
            assert!(error.contains(asked) && error.contains("leave out one of the two"), "{error}");
            assert_eq!(refusal(asked), "");
        }
        assert!(refusal("--no-relay --no-repair").contains("leave out one of the two"));
        assert_eq!(refusal("--no-relay --kill 1@1s --blink 2s"), "");
    }
}
