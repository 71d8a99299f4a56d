//! The hub's counters, the sources', the process's and every limit, in OpenMetrics text.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet, text},
    metrics::MetricType,
    registry::{Registry, Unit},
};
use tiercast_mesh::hub::{ChannelStats, PastUse, SourceState, Spending};
use tiercast_platform::{Usage, log_lines_lost};

use crate::{
    config::{Config, Number, SourceKind, numbers},
    counters::{Counter, Gauge, Traffic, Transport},
    driver::{ChannelSnapshot, Handle, Snapshot},
    sheets::Sheets,
    source::{
        amqp::{AmqpStats, dynamic::DynamicStats},
        store::Extent,
    },
};

/// Everything that one scrape shows.
pub(crate) struct Scrape {
    pub(crate) snapshot: Snapshot,
    pub(crate) handle: Handle,
    pub(crate) amqp: Option<Arc<AmqpStats>>,
    pub(crate) config: Arc<Config>,
    pub(crate) sheets: Arc<Sheets>,
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrape")
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut page = Page(encoder);
        self.encode_sessions(&mut page)?;
        self.encode_readers(&mut page)?;
        self.encode_transports(&mut page)?;
        encode_channels(&mut page, &self.snapshot.channels)?;
        if let Some(stats) = &self.amqp {
            encode_amqp(&mut page, stats)?;
        }
        if let Some(stats) = &self.handle.dynamic_stats() {
            encode_dynamic(&mut page, stats)?;
        }
        encode_process(&mut page, &self.snapshot)?;
        encode_limits(&mut page, &self.config)
    }
}

impl Scrape {
    /// The page that is answered.
    pub(crate) fn into_text(self) -> String {
        let mut registry = Registry::with_prefix("tiercast");
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        text::encode(&mut text, &registry).expect("writing to a string does not fail");
        text
    }

    fn encode_readers(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge("readers", "Plain readers", self.snapshot.readers as i64)?;
        let help = "Bytes kept of frames as plain readers get them, about";
        page.gauge("sheets_bytes", help, self.sheets.bytes() as i64)
    }

    /// Who is there by which transport, and what was sent.
    fn encode_transports(&self, page: &mut Page<'_>) -> fmt::Result {
        let counters = self.handle.counters();
        let of = |transport: Transport| ([("transport", transport.name())], counters.traffic(transport));
        let gauges = |transports: &'static [Transport], count: fn(&Traffic) -> &Gauge| {
            transports
                .iter()
                .map(move |transport| of(*transport))
                .map(move |(labels, traffic)| (labels, count(traffic).value() as i64))
        };
        let help = "Open WebSockets: sessions of peers (ws), and those of plain clients (json)";
        let sockets = &[Transport::Ws, Transport::Json];
        page.gauges("transport_sessions", help, gauges(sockets, |traffic| &traffic.sessions))?;
        let help = "Open subscriptions and requests of plain clients";
        page.gauges("transport_readers", help, gauges(&Transport::PLAIN, |traffic| &traffic.readers))?;
        let counts = |count: fn(&Traffic) -> &Counter| {
            Transport::PLAIN
                .into_iter()
                .map(of)
                .map(move |(labels, traffic)| (labels, count(traffic).value()))
        };
        let help = "Subscriptions and requests of plain clients";
        page.counters("transport_visits", help, None, counts(|traffic| &traffic.visits))?;
        // What is sent to peers, the hub counts. Channels that clients ask for by an exchange, which come and go, are not for them.
        let fed = |count: fn(&ChannelStats) -> u64| {
            let channels = self.snapshot.channels.iter();
            let stays = channels.filter(|channel| channel.kind != SourceKind::Dynamic);
            ([("transport", Transport::Ws.name())], stays.map(|channel| count(&channel.stats)).sum())
        };
        let events = counts(|traffic| &traffic.events).chain([fed(|stats| stats.data_events)]);
        page.counters("transport_events", "Events sent to clients by the server itself", None, events)?;
        let bytes = counts(|traffic| &traffic.bytes).chain([fed(|stats| stats.data_bytes)]);
        let help = "Bytes of events sent to clients by the server itself; for ws, of frames";
        page.counters("transport_sent", help, Some(Unit::Bytes), bytes)?;
        let help = "Gaps that plain clients were told of";
        page.counters("transport_gaps", help, None, counts(|traffic| &traffic.gaps))
    }

    fn encode_sessions(&self, page: &mut Page<'_>) -> fmt::Result {
        let Snapshot { sessions, hub, channels, .. } = &self.snapshot;
        let unfit: u64 = channels.iter().map(|channel| channel.stats.unfit).sum();
        let counters = self.handle.counters();
        let malformed = hub.malformed + counters.violations().value();
        page.gauge("sessions", "Open sessions", *sessions as i64)?;
        page.counter("sessions_opened", "Sessions opened", None, hub.sessions_opened)?;
        let help = "Sessions in which a peer came back as the one that it was";
        page.counter("sessions_resumed", help, None, hub.resumed)?;
        let closed = hub.closed.iter().map(|(code, count)| ([("code", code.0.to_string())], *count));
        page.counters("sessions_closed", "Sessions that the hub closed, by close code", None, closed)?;
        let help = "Sessions closed because their connection took no byte for limits.write_stall_ms";
        page.counter("sessions_stalled", help, None, counters.stalled().value())?;
        page.counter(
            "connections_accepted",
            "TCP connections accepted",
            None,
            counters.connections().value(),
        )?;
        self.encode_spending(page)?;
        encode_past(page, &self.snapshot.past)?;
        let help = "Messages of peers that could not be decoded; each closed its session";
        page.counter("messages_malformed", help, None, malformed)?;
        let help = "Bytes of control messages that are about no channel";
        page.counter("session_control", help, Some(Unit::Bytes), hub.control_bytes)?;
        let help = "Peers that were asked whether they live because others called them silent or stale";
        page.counter("peers_asked", help, None, hub.looks)?;
        page.counter("peers_silent", "Peers among them that did not answer", None, hub.found_dead)?;
        let help = "Events of a broker that no frame can hold; a gap took the place of each";
        page.counter("events_oversized", help, None, unfit)?;
        self.encode_publishing(page)?;
        self.encode_stores(page)
    }

    /// What became of what was published to embedded channels.
    fn encode_publishing(&self, page: &mut Page<'_>) -> fmt::Result {
        let counters = self.handle.counters();
        let help = "Events published to embedded channels; with data_dir they are durable";
        page.counter("published", help, None, counters.published().value())?;
        let help = "Messages that were published before under the same id (limits.duplicates_events, limits.duplicates_s)";
        page.counter("published_duplicates", help, None, counters.duplicates().value())?;
        let help = "Requests to publish over HTTP that were refused";
        page.counter("publish_refused", help, None, counters.refused().value())
    }

    /// What channels keep on disk.
    fn encode_stores(&self, page: &mut Page<'_>) -> fmt::Result {
        let extents: Vec<_> = self
            .handle
            .stored()
            .iter()
            .map(|(name, stored)| ([("channel", name.as_str())], stored.extent()))
            .collect();
        let each =
            |value: fn(&Extent) -> u64| extents.iter().map(move |(labels, extent)| (*labels, value(extent)));
        let gauge = |value| each(value).map(|(labels, value)| (labels, value as i64));
        page.gauges("store_bytes", "Bytes of events on disk", gauge(|extent| extent.bytes))?;
        let stored = self.handle.stored().iter();
        let waiting =
            stored.map(|(name, stored)| ([("channel", name.as_str())], stored.waiting_bytes() as i64));
        page.gauges(
            "store_waiting_bytes",
            "Bytes of events that wait for the disk (store.queue_bytes)",
            waiting,
        )?;
        let help = "The offset of the oldest event on disk; that of the next one if there is none";
        page.gauges("store_oldest_offset", help, gauge(|extent| extent.oldest as u64))?;
        page.counters(
            "store_syncs",
            "Times that events were made durable",
            None,
            each(|extent| extent.syncs),
        )?;
        let help = "Stretches of damage in files of events; a gap took the place of each";
        page.counters("store_damages", help, None, each(|extent| extent.damages))
    }

    /// What the server spends on feeding peers, whose turn it is not, and how far that puts them behind.
    fn encode_spending(&self, page: &mut Page<'_>) -> fmt::Result {
        let by_class = |value: fn(&Spending) -> u64| {
            let spending = self.snapshot.spending.iter();
            spending.map(move |spending| ([("class", spending.class.name())], value(spending)))
        };
        let help = "Bytes of frames handed to sessions, by why the server feeds them";
        page.counters("feed", help, Some(Unit::Bytes), by_class(|spending| spending.bytes))?;
        let gauge = |value| by_class(value).map(|(labels, value)| (labels, value as i64));
        let help = "Subscriptions that wait for their turn because hub.feed_bytes are spent";
        page.gauges("feed_waiting", help, gauge(|spending| spending.waiting as u64))?;
        let help = "How long the first of them has waited, in milliseconds";
        page.gauges("feed_lag_ms", help, gauge(|spending| spending.waited.as_millis() as u64))
    }
}

/// What is read of the channels' past, behind their logs.
fn encode_past(page: &mut Page<'_>, past: &PastUse) -> fmt::Result {
    page.gauge("past_fetching", "Pages of the past that are being fetched", past.fetching as i64)?;
    page.gauge("past_waiting", "Subscriptions that wait for a page of the past", past.waiting as i64)?;
    let help = "How long the first of them has waited, in milliseconds";
    page.gauge("past_lag_ms", help, past.waited.as_millis() as i64)?;
    page.unit_gauge("past_kept", "Pages of the past that are kept", Unit::Bytes, past.bytes as i64)
}

fn encode_channels(page: &mut Page<'_>, channels: &[ChannelSnapshot]) -> fmt::Result {
    type Count = fn(&ChannelSnapshot) -> u64;
    let counters: [(&str, &str, Option<Unit>, Count); 22] = [
        ("events", "Events taken from the source", None, |channel| channel.stats.events),
        ("frames", "Frames sealed", None, |channel| channel.stats.frames),
        ("pages", "Pages of the past that were fetched from the source", None, |channel| channel.stats.pages),
        ("pages_failed", "Times that the source could not give a page; it is asked again", None, |channel| {
            channel.stats.pages_failed
        }),
        ("data", "Bytes of frames handed to sessions", Some(Unit::Bytes), |channel| channel.stats.data_bytes),
        (
            "pulled",
            "Bytes of frames that peers pulled because others were late",
            Some(Unit::Bytes),
            |channel| channel.stats.pulled_bytes,
        ),
        (
            "control",
            "Bytes of heads, gaps, tree and signaling messages handed to sessions",
            Some(Unit::Bytes),
            |channel| channel.stats.control_bytes,
        ),
        ("direct_data", "Bytes of frames if the server fed every subscriber", Some(Unit::Bytes), |channel| {
            channel.stats.direct_data_bytes
        }),
        ("gaps", "Gaps that subscribers were told of", None, |channel| channel.stats.gaps),
        ("links", "Links between peers that were asked for", None, |channel| channel.stats.links),
        ("links_in_one_network", "Links among them whose ends come from the same network", None, |channel| {
            channel.stats.links_in_one_network
        }),
        (
            "links_located",
            "Links among the others of whose ends it is known where they are",
            None,
            |channel| channel.stats.links_located,
        ),
        ("links_km", "How long these are together, in kilometres along the earth", None, |channel| {
            channel.stats.links_km
        }),
        ("moves", "Times that a peer was given a better place", None, |channel| channel.stats.moves),
        ("links_lost", "Links that were given up or broke", None, |channel| channel.stats.links_lost),
        ("links_shared", "Links among them that share the connection of another", None, |channel| {
            channel.stats.links_shared
        }),
        (
            "links_adopted",
            "Links that outlived the session of an end, or the server before this one, and were taken over",
            None,
            |channel| channel.stats.adopted,
        ),
        ("accusations", "Links closed by the child for a bad signature or malformed data", None, |channel| {
            channel.stats.accusations
        }),
        ("suspensions", "Relays that were taken out of service after an accusation", None, |channel| {
            channel.stats.suspensions
        }),
        ("signals", "Signals passed on from one end of a link to the other", None, |channel| {
            channel.stats.signals
        }),
        (
            "signals_dropped",
            "Signals that were not passed on: too large, too many for one link, or not being read",
            None,
            |channel| channel.stats.signals_dropped,
        ),
        ("orphans_fed", "Times that a peer had to be fed by the server again", None, |channel| {
            channel.stats.orphans
        }),
    ];
    for (name, help, unit, count) in counters {
        let samples = channels.iter().map(|channel| ([("channel", channel.name.as_str())], count(channel)));
        page.counters(&format!("channel_{name}"), help, unit, samples)?;
    }
    let open = channels.iter().map(|channel| {
        let kind = channel.kind.to_string();
        (
            [("channel", channel.name.to_string()), ("kind", kind)],
            i64::from(channel.source == SourceState::Open),
        )
    });
    page.gauges("channel_source_open", "Whether the channel's source is connected", open)?;
    let offsets = channels
        .iter()
        .filter_map(|channel| Some(([("channel", channel.name.as_str())], channel.position?.offset)));
    page.gauges("channel_offset", "The newest offset; -1 before the first event", offsets)?;
    let peers = channels.iter().flat_map(|channel| {
        // Tiers 0 and 1 are always there: dashboards add up what exists.
        let tiers = channel.peers_by_tier.keys().copied().max().unwrap_or(0).max(1);
        (0..=tiers).map(|tier| {
            let count = channel.peers_by_tier.get(&tier).copied().unwrap_or(0);
            ([("channel", channel.name.to_string()), ("tier", tier.to_string())], count as i64)
        })
    });
    page.gauges(
        "channel_peers",
        "Subscribers by tier; tier 0 have no place in the tree, 64 are all from there on",
        peers,
    )
}

fn encode_amqp(page: &mut Page<'_>, stats: &AmqpStats) -> fmt::Result {
    page.gauge("amqp_connected", "Whether the connection to the broker is up", i64::from(stats.connected()))?;
    page.counter("amqp_reconnects", "Connections to the broker after the first", None, stats.reconnects())?;
    page.counter("amqp_messages", "Messages taken from the broker", None, stats.messages())?;
    let help =
        "Messages left out because they are larger than amqp.max_event_bytes; a gap took the place of each";
    page.counter("amqp_messages_skipped", help, None, stats.skipped_too_large())?;
    let help = "Messages left out because they cannot be read; a gap took the place of each";
    page.counter("amqp_messages_unreadable", help, None, stats.unreadable())?;
    let help =
        "Queues given up because more than amqp.queue_bytes waited in them; each is a gap and a new epoch";
    page.counter("amqp_queue_overflows", help, None, stats.queue_overflows())?;
    let help = "Streams that did not go on where they had been; each is a gap and a new epoch";
    page.counter("amqp_renumberings", help, None, stats.renumberings())?;
    let help = "Marks put into streams to find out where they end";
    page.counter("amqp_marks", help, None, stats.marks())?;
    let help = "Bodies of messages that came from the broker and wait for the hub";
    page.unit_gauge("amqp_buffered", help, Unit::Bytes, stats.buffered_bytes() as i64)
}

fn encode_dynamic(page: &mut Page<'_>, stats: &DynamicStats) -> fmt::Result {
    let help = "Exchanges that clients ask for, or did a moment ago";
    page.gauge("dynamic_exchanges", help, stats.exchanges as i64)?;
    let help = "Patterns of them that are bound, those included that linger";
    page.gauge("dynamic_bindings", help, stats.bindings as i64)?;
    let refused = stats.refused.iter().map(|(code, count)| ([("reason", code.name())], *count));
    page.counters("dynamic_refused", "Requests for dynamic channels that were refused", None, refused)
}

fn encode_process(page: &mut Page<'_>, snapshot: &Snapshot) -> fmt::Result {
    page.seconds_gauge("uptime", "Time since the server started", snapshot.uptime.as_secs_f64())?;
    page.counter(
        "log_lines_lost",
        "Lines of the log that nobody read in time",
        None,
        log_lines_lost() as u64,
    )?;
    let Some(usage) = Usage::own() else { return Ok(()) };
    page.seconds_counter("process_cpu", "CPU time of this process, user and system", usage.cpu_seconds)?;
    let help = "Resident memory of this process";
    page.unit_gauge("process_resident", help, Unit::Bytes, usage.resident_bytes as i64)
}

/// Every limit of the configuration, so that a dashboard can show what is left.
fn encode_limits(page: &mut Page<'_>, config: &Config) -> fmt::Result {
    for (path, Number { read, .. }) in numbers() {
        if let Some(value) = read(config) {
            let name = format!("config_{}", path.replace('.', "_"));
            page.gauge(&name, &format!("The configured {path}"), value as i64)?;
        }
    }
    Ok(())
}

/// Writes metrics one after the other.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn counter(&mut self, name: &str, help: &str, unit: Option<Unit>, value: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    fn gauge(&mut self, name: &str, help: &str, value: i64) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn unit_gauge(&mut self, name: &str, help: &str, unit: Unit, value: i64) -> fmt::Result {
        self.0.encode_descriptor(name, help, Some(&unit), MetricType::Gauge)?.encode_gauge(&value)
    }

    fn seconds_gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.0.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Gauge)?.encode_gauge(&value)
    }

    fn seconds_counter(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, f64>(&value, None)
    }

    fn counters<L: prometheus_client::encoding::EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        samples: impl Iterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Counter)?;
        for (labels, value) in samples {
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    fn gauges<L: prometheus_client::encoding::EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl Iterator<Item = (L, i64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in samples {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }
}
