//! What an experiment has shown, as figures and in words.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use serde::Serialize;
use tiercast_peer_client::swarm::Spread;

use super::{
    ExperimentOptions,
    measure::{Incident, Measure, Second, Spared},
};

/// What was measured. What each means is in the help.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figures {
    pub(super) source: &'static str,
    pub(super) peers: u64,
    pub(super) tier1: usize,
    pub(super) peers_by_tier: BTreeMap<u32, usize>,
    pub(super) living: usize,
    pub(super) events: u64,
    pub(super) frames: u64,
    pub(super) delivered: u64,
    pub(super) missing: u64,
    pub(super) duplicates: u64,
    pub(super) out_of_order: u64,
    pub(super) wrong: u64,
    pub(super) gaps: u64,
    pub(super) nacks: u64,
    pub(super) latency_ms: Spread,
    pub(super) join_ms: Spread,
    pub(super) stalls: Stalls,
    pub(super) incidents: Vec<IncidentFigures>,
    pub(super) never_came: Vec<String>,
    pub(super) server_data_bytes: u64,
    pub(super) server_control_bytes: u64,
    pub(super) direct_data_bytes: u64,
    pub(super) offload: f64,
    pub(super) offload_after_joins: Option<f64>,
    pub(super) server_bytes_per_s: Egress,
    pub(super) links: u64,
    pub(super) links_lost: u64,
    pub(super) accusations: u64,
    pub(super) suspensions: u64,
    pub(super) ready_s: Option<f64>,
    pub(super) elapsed_s: f64,
    pub(super) cpu_s: Cpu,
}

/// How much later than usual events came after incidents.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Stalls {
    pub(super) hit: u64,
    pub(super) hit_ms: Spread,
    pub(super) all: u64,
    pub(super) all_ms: Spread,
}

/// One of the things that went wrong.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct IncidentFigures {
    pub(super) what: String,
    pub(super) at_s: f64,
    pub(super) victims: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) struck_nobody: Option<Spared>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) too_late: bool,
    pub(super) victims_by_tier: BTreeMap<u32, usize>,
    pub(super) stalls: Stalls,
    pub(super) fed_by_server_before: f64,
    pub(super) fed_by_server_2s_later: Option<f64>,
    pub(super) victims_without_children_after_s: Option<f64>,
    pub(super) lost: u64,
    pub(super) recovered_after_s: Option<f64>,
    pub(super) server_away_s: Option<f64>,
    pub(super) server_bytes_per_s: EgressAround,
}

/// Bytes that the server sent in a second around an incident.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct EgressAround {
    pub(super) before: u64,
    pub(super) busiest: u64,
    pub(super) after: u64,
}

/// Bytes that the server sent in a second, once everybody had found a place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Egress {
    pub(super) median: u64,
    pub(super) busiest: u64,
}

/// CPU time of the processes; not known on every system.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Cpu {
    pub(super) server: Option<f64>,
    pub(super) peers: Option<f64>,
}

impl Stalls {
    pub(super) fn of(measure: &Measure, incidents: &[Incident]) -> Self {
        let (hit, all) = measure.stalls(incidents);
        Self { hit: hit.len(), hit_ms: Spread::of(&hit), all: all.len(), all_ms: Spread::of(&all) }
    }
}

impl IncidentFigures {
    pub(crate) fn of(measure: &Measure, incident: &Incident) -> Self {
        let seconds = |duration: std::time::Duration| duration.as_secs_f64();
        let (before, busiest, after) = measure.egress(incident);
        let mut victims_by_tier = BTreeMap::new();
        for tier in incident.places.values() {
            *victims_by_tier.entry(*tier).or_insert(0) += 1;
        }
        Self {
            what: incident.asked.clone(),
            at_s: seconds(incident.at),
            victims: incident.victims.len(),
            struck_nobody: incident.spared.filter(|_| incident.victims.is_empty()),
            too_late: incident.too_late,
            victims_by_tier,
            stalls: Stalls::of(measure, std::slice::from_ref(incident)),
            fed_by_server_before: incident.fed_by_server_before,
            fed_by_server_2s_later: incident.fed_by_server_after,
            victims_without_children_after_s: incident.abandoned.map(seconds),
            lost: incident.lost,
            recovered_after_s: incident.recovered.map(seconds),
            server_away_s: incident.server_away.map(seconds),
            server_bytes_per_s: EgressAround { before, busiest, after },
        }
    }

    fn shortfall(&self) -> Option<String> {
        if let Some(why) = self.struck_nobody {
            return Some(format!("{} struck nobody: {why}", self.what));
        }
        self.too_late.then(|| format!("{} struck when every event was there: raise --events", self.what))
    }

    fn is_freeze(&self) -> bool {
        self.what.starts_with("freeze") && self.victims > 0
    }
}

impl Egress {
    /// Of whole seconds, from when everybody had found a place; of all if not everybody has.
    pub(super) fn of(seconds: &[Second]) -> Self {
        let joined: Vec<_> = seconds.iter().filter(|second| second.is_joined).collect();
        let counted = if joined.is_empty() { seconds.iter().collect() } else { joined };
        let mut bytes: Vec<_> = counted.iter().map(|second| second.server_bytes).collect();
        // The last one is not a whole second.
        bytes.truncate(bytes.len().saturating_sub(1).max(1));
        bytes.sort_unstable();
        let median = bytes.get(bytes.len() / 2).copied().unwrap_or(0);
        Self { median, busiest: bytes.last().copied().unwrap_or(0) }
    }
}

impl Figures {
    /// Events that are missing, repeated, out of order or not what was published.
    pub(super) fn faults(&self) -> u64 {
        self.missing + self.duplicates + self.out_of_order + self.wrong
    }

    /// Why this shows less than was asked for, if it does.
    pub(super) fn shortfalls(&self) -> Vec<String> {
        let nobody_left = (self.living == 0).then(|| "nobody was left to check".to_owned());
        let incidents = self.incidents.iter().filter_map(IncidentFigures::shortfall);
        let never_came =
            self.never_came.iter().map(|what| format!("{what} never came, {}", self.why_never()));
        nobody_left.into_iter().chain(incidents).chain(never_came).collect()
    }

    /// Why what was to go wrong did not, and what to do.
    fn why_never(&self) -> &'static str {
        if self.living == 0 {
            "nobody was left by then: let fewer be killed"
        } else if self.ready_s.is_none() {
            "the peers were never all ready: raise --patience or lower --peers"
        } else {
            "the events ended before it: raise --events"
        }
    }

    /// What it comes to, in words.
    pub(super) fn verdict(&self) -> String {
        let mut words = match self.faults() {
            0 if self.living == 0 => String::new(),
            0 => "Every peer got every event, once and in order.".to_owned(),
            faults => format!(
                "Failed: {faults} events are missing, repeated, out of order or not what was published."
            ),
        };
        let shortfalls = self.shortfalls();
        if !shortfalls.is_empty() {
            let _ = write!(words, " This does not show what was asked for: {}.", shortfalls.join("; "));
        }
        let carried = 100.0 * self.offload;
        if self.offload > 0.0 {
            let _ = write!(words, " The peers carried {carried:.1} % of it, the server the rest.");
        }
        if self.stalls.hit > 0 {
            let (hit, stall) = (self.stalls.hit, self.stalls.hit_ms);
            let _ = write!(
                words,
                " {hit} times a peer was cut off by a fault: half of these times it waited no longer than {}, and never longer than {}.",
                time(stall.p50),
                time(stall.max)
            );
        }
        if self.incidents.iter().any(IncidentFigures::is_freeze) {
            words += " The pause of the frozen themselves counts in the latency and not in the stalls.";
        }
        words.trim_start().to_owned()
    }

    /// A table of one or more of these, side by side, each with a title.
    pub(super) fn table(columns: &[(&str, &Self)]) -> String {
        let mut rows: Vec<(String, Vec<String>)> = Vec::new();
        let mut row = |title: &str, value: &dyn Fn(&Self) -> String| {
            rows.push((title.to_owned(), columns.iter().map(|(_, figures)| value(figures)).collect()));
        };
        row("events delivered", &|f| thousands(f.delivered));
        row("missing / twice / out of order / wrong", &|f| {
            format!("{} / {} / {} / {}", f.missing, f.duplicates, f.out_of_order, f.wrong)
        });
        row("gaps that peers were told of", &Self::gaps);
        row("sent by the server", &|f| bytes(f.server_data_bytes + f.server_control_bytes));
        row("if it fed everybody", &|f| bytes(f.direct_data_bytes));
        row("offload, joins included", &|f| percent(f.offload));
        row("offload after joins", &|f| f.offload_after_joins.map_or("-".into(), percent));
        row("server, median second", &|f| bytes(f.server_bytes_per_s.median));
        row("server, busiest second", &|f| {
            let Egress { median, busiest } = f.server_bytes_per_s;
            format!("{} ({})", bytes(busiest), ratio(busiest, median))
        });
        row("latency p50 / p99 / p99.9 / max", &|f| spread(&f.latency_ms));
        row("start to first event", &|f| spread(&f.join_ms));
        if columns.iter().any(|(_, figures)| !figures.incidents.is_empty()) {
            row("stalls of those hit", &|f| stalls(f.stalls.hit, &f.stalls.hit_ms));
            row("stalls of all", &|f| stalls(f.stalls.all, &f.stalls.all_ms));
        }
        row("peers by tier (0: not placed)", &|f| {
            f.peers_by_tier
                .iter()
                .map(|(tier, count)| format!("{tier}:{count}"))
                .collect::<Vec<_>>()
                .join(" ")
        });
        row("links asked for / lost", &|f| format!("{} / {}", thousands(f.links), thousands(f.links_lost)));
        if columns.iter().any(|(_, figures)| figures.accusations > 0) {
            row("accusations / relays suspended", &|f| format!("{} / {}", f.accusations, f.suspensions));
        }
        if columns.iter().any(|(_, figures)| figures.nacks > 0) {
            row("asked for again on links", &|f| thousands(f.nacks));
        }
        row("CPU of server / peers", &|f| {
            let cpu = |seconds: Option<f64>| seconds.map_or("?".into(), |seconds| format!("{seconds:.1} s"));
            format!("{} / {}", cpu(f.cpu_s.server), cpu(f.cpu_s.peers))
        });
        let mut head = Vec::new();
        if columns.len() > 1 {
            head.push((String::new(), columns.iter().map(|(title, _)| (*title).to_owned()).collect()));
        }
        let mut text = aligned(&[head, rows].concat());
        for (title, figures) in columns.iter().filter(|(_, figures)| !figures.incidents.is_empty()) {
            let _ = write!(text, "\n{}", figures.incidents(if columns.len() > 1 { title } else { "" }));
        }
        text
    }

    fn gaps(&self) -> String {
        let is_renumbered = self.incidents.iter().any(|incident| incident.server_away_s.is_some());
        let why = if is_renumbered { " (the restart began the numbering anew)" } else { "" };
        format!("{}{why}", thousands(self.gaps))
    }

    fn incidents(&self, title: &str) -> String {
        let names = [
            "at",
            "victims",
            "hit",
            "stall p50",
            "p99",
            "longest",
            "longest of all",
            "fed by server",
            "2 s later",
        ];
        let mut rows = vec![(
            format!("incidents{}{title}", if title.is_empty() { "" } else { ", " }),
            names.map(str::to_owned).to_vec(),
        )];
        for incident in &self.incidents {
            let stalls = &incident.stalls;
            let of_hit = |value: f64| if stalls.hit == 0 { "-".to_owned() } else { time(value) };
            let values = vec![
                format!("{:.1} s", incident.at_s),
                incident.victims.to_string(),
                stalls.hit.to_string(),
                of_hit(stalls.hit_ms.p50),
                of_hit(stalls.hit_ms.p99),
                of_hit(stalls.hit_ms.max),
                time(stalls.all_ms.max),
                percent(incident.fed_by_server_before),
                incident.fed_by_server_2s_later.map_or("-".into(), percent),
            ];
            rows.push((incident.what.clone(), values));
        }
        let mut text = aligned(&rows);
        for incident in &self.incidents {
            if let Some(shortfall) = incident.shortfall() {
                let _ = writeln!(text, "{shortfall}");
            }
            if let Some(after_s) = incident.victims_without_children_after_s {
                let _ = writeln!(text, "{}: without children after {after_s:.1} s", incident.what);
            }
        }
        text
    }
}

/// What was asked for, in a line. One run may have needed more events than another.
pub(super) fn title(options: &ExperimentOptions, columns: &[(&str, &Figures)]) -> String {
    let (peers, rate, size) = (options.peers, options.rate, options.size);
    let events: BTreeSet<_> = columns.iter().map(|(_, figures)| figures.events).collect();
    let events = events.iter().map(u64::to_string).collect::<Vec<_>>().join(" and ");
    let mut title = format!("{peers} peers, {events} events of {size} B, {rate} a second");
    if let Some(lost) = options.loss {
        let _ = write!(title, ", {} % of packets lost", f64::from(lost) / 10_000.0);
    }
    if let Some(delay) = options.delay {
        let _ = write!(title, ", {delay:?} each way");
    }
    if options.no_repair {
        title += ", repaired by SCTP";
    }
    if let Some(churn) = options.churn {
        let _ = write!(title, ", peers come and go, {churn} a second");
    }
    title
}

/// Columns as wide as they must be, aligned to the left: a phone shows where they begin.
fn aligned(rows: &[(String, Vec<String>)]) -> String {
    let letters = |text: &String| text.chars().count();
    let first = rows.iter().map(|(title, _)| letters(title)).max().unwrap_or(0);
    let columns = rows.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|(_, values)| values.get(column)).map(letters).max();
    let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for (title, values) in rows {
        let _ = write!(text, "{title:<first$}");
        for (value, width) in values.iter().zip(&widths) {
            let _ = write!(text, "  {value:<width$}");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

fn spread(spread: &Spread) -> String {
    [spread.p50, spread.p99, spread.p999, spread.max].map(time).join(" / ")
}

fn stalls(count: u64, spread: &Spread) -> String {
    match count {
        0 => "nobody was".to_owned(),
        _ => format!("p50 {}, p99 {}, longest {}", time(spread.p50), time(spread.p99), time(spread.max)),
    }
}

fn time(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{ms:.1} ms"),
        ms if ms < 10_000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1_000.0),
    }
}

fn bytes(bytes: u64) -> String {
    match bytes as f64 {
        bytes if bytes >= 1e6 => format!("{:.1} MB", bytes / 1e6),
        bytes => format!("{:.1} kB", bytes / 1e3),
    }
}

/// How many times the usual.
fn ratio(value: u64, usual: u64) -> String {
    match usual {
        0 => "-".to_owned(),
        _ => format!("{:.1} x", value as f64 / usual as f64),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{super::measure::Sight, *};

    fn second(server_bytes: u64, is_joined: bool) -> Second {
        Second { server_bytes, is_joined, ..Second::default() }
    }

    #[test]
    fn the_servers_seconds_are_counted_from_when_everybody_had_a_place() {
        let seconds = [(900, false), (10, true), (11, true), (40, true), (1, true)];
        let seconds = seconds.map(|(bytes, is_joined)| second(bytes, is_joined));
        assert_eq!(Egress::of(&seconds), Egress { median: 11, busiest: 40 });
        assert_eq!(Egress::of(&[second(5, false)]), Egress { median: 5, busiest: 5 });
        assert_eq!(Egress::of(&[]), Egress::default());
    }

    fn incident(what: &str) -> IncidentFigures {
        let measure = Measure::new();
        let (server, living, names, frozen) = Default::default();
        let sight = Sight {
            at: Default::default(),
            server: &server,
            living: &living,
            names: &names,
            frozen: &frozen,
            tier1: 0,
        };
        IncidentFigures::of(&measure, &Incident::new(what, &sight, Default::default(), Default::default()))
    }

    fn figures(living: usize, incidents: Vec<IncidentFigures>) -> Figures {
        Figures {
            source: "embedded",
            peers: 4,
            tier1: 0,
            peers_by_tier: BTreeMap::new(),
            living,
            events: 40,
            frames: 0,
            delivered: 0,
            missing: 0,
            duplicates: 0,
            out_of_order: 0,
            wrong: 0,
            gaps: 3,
            nacks: 0,
            latency_ms: Spread::default(),
            join_ms: Spread::default(),
            stalls: Stalls::default(),
            incidents,
            never_came: Vec::new(),
            server_data_bytes: 0,
            server_control_bytes: 0,
            direct_data_bytes: 0,
            offload: 0.0,
            offload_after_joins: None,
            server_bytes_per_s: Egress { median: 0, busiest: 70 },
            links: 0,
            links_lost: 0,
            accusations: 0,
            suspensions: 0,
            ready_s: None,
            elapsed_s: 0.0,
            cpu_s: Cpu { server: None, peers: None },
        }
    }

    #[test]
    fn regression_where_nobody_is_left_nothing_is_said_to_have_come() {
        let figures = figures(0, Vec::new());
        assert_eq!(figures.verdict(), "This does not show what was asked for: nobody was left to check.");
        let table = Figures::table(&[("mesh", &figures)]);
        assert!(table.contains("0.1 kB (-)"), "{table}");
    }

    #[test]
    fn regression_a_fault_that_struck_nobody_is_said() {
        let spared = IncidentFigures { struck_nobody: Some(Spared::NotUpYet), ..incident("kill 4@0s") };
        let figures = figures(4, vec![spared, incident("blink 2s")]);
        assert_eq!(figures.shortfalls(), ["kill 4@0s struck nobody: no peer was up yet"]);
        assert!(
            figures.verdict().ends_with("kill 4@0s struck nobody: no peer was up yet."),
            "{}",
            figures.verdict()
        );
        assert!(Figures::table(&[("mesh", &figures)]).contains("struck nobody"));
    }

    #[test]
    fn regression_what_came_too_late_or_never_is_said_with_what_to_do() {
        let late = IncidentFigures { too_late: true, victims: 1, ..incident("kill 1@2s") };
        let never_came = vec!["churn 1".to_owned()];
        let figures = Figures { never_came, ready_s: Some(0.3), ..figures(4, vec![late]) };
        let said = [
            "kill 1@2s struck when every event was there: raise --events",
            "churn 1 never came, the events ended before it: raise --events",
        ];
        assert_eq!(figures.shortfalls(), said);
        assert!(figures.verdict().contains(&said.join("; ")), "{}", figures.verdict());
        let waiting = Figures { ready_s: None, ..figures.clone() };
        assert!(waiting.shortfalls()[1].contains("raise --patience"), "{:?}", waiting.shortfalls());
        let emptied = Figures { living: 0, ..figures };
        assert!(emptied.shortfalls()[2].contains("let fewer be killed"), "{:?}", emptied.shortfalls());
    }

    #[test]
    fn regression_the_title_says_how_many_events_there_were() {
        let [mesh, direct] = [1_400, 1_600].map(|events| Figures { events, ..figures(4, Vec::new()) });
        let title = |columns: &[_]| title(&ExperimentOptions::default(), columns);
        assert!(title(&[("mesh", &mesh)]).starts_with("40 peers, 1400 events of"));
        assert!(title(&[("mesh", &mesh), ("direct", &mesh)]).starts_with("40 peers, 1400 events of"));
        assert!(title(&[("mesh", &mesh), ("direct", &direct)]).starts_with("40 peers, 1400 and 1600 events"));
    }

    #[test]
    fn what_counts_where_is_said() {
        let frozen = IncidentFigures { victims: 1, ..incident("freeze 1@1s+2s") };
        let restarted = IncidentFigures { server_away_s: Some(0.1), ..incident("restart-server 2s") };
        let stalls = Stalls { hit: 19, ..Stalls::default() };
        let figures = Figures { stalls, ..figures(4, vec![frozen, restarted]) };
        let verdict = figures.verdict();
        assert!(
            verdict.contains("19 times a peer was cut off") && verdict.contains("pause of the frozen"),
            "{verdict}"
        );
        let table = Figures::table(&[("mesh", &figures)]);
        assert!(table.contains("3 (the restart began the numbering anew)"), "{table}");
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.5, 28.4, 1_234.0, 61_000.0].map(time), ["0.5 ms", "28 ms", "1234 ms", "61.0 s"]);
        let rows = [("a".to_owned(), vec!["1".to_owned()]), ("bcd".to_owned(), vec!["22".to_owned()])];
        assert_eq!(aligned(&rows), "a    1\nbcd  22\n");
        let rows = rows.map(|(title, values)| (title, [values, vec!["7".to_owned()]].concat()));
        assert_eq!(aligned(&rows), "a    1   7\nbcd  22  7\n");
    }
}
