//! Traces: all that happened to one peer, and all that it did, as JSON. Both languages replay them.

use bytes::Bytes;
use serde_json::{Value, json};
use tiercast_codec::LinkId;
use tiercast_mesh::{
    Time,
    peer::{Delivery, HavePace, Input, Output, PeerConfig, Status, Target},
};

/// Writes a trace. A step is an input, or an attempt to send, and what came of it.
pub struct Recorder {
    /// The node.
    pub node: u64,
    /// What happened to it, and what came of that.
    pub steps: Vec<Value>,
}

impl Recorder {
    /// Writes down what happens to this node.
    pub fn new(node: u64) -> Self {
        Self { node, steps: Vec::new() }
    }

    /// An input.
    pub fn input(&mut self, now: Time, input: &Input) {
        self.steps.push(json!({ "now": now.0, "input": input_json(input), "outputs": [], "deliveries": [] }));
    }

    /// Its application stops reading, or goes on.
    pub fn reads(&mut self, reads: bool) {
        self.steps.push(json!({ "reads": reads, "outputs": [], "deliveries": [] }));
    }

    /// An attempt to send.
    pub fn transmit(&mut self, target: Target, bytes: Option<&Bytes>) {
        let bytes = bytes.map(|bytes| hex(bytes));
        self.steps.push(
            json!({ "transmit": target_json(target), "bytes": bytes, "outputs": [], "deliveries": [] }),
        );
    }

    /// What it wanted done.
    pub fn output(&mut self, output: &Output) {
        self.append("outputs", output_json(output));
    }

    /// What its application was given.
    pub fn delivery(&mut self, delivery: &Delivery) {
        self.append("deliveries", delivery_json(delivery));
    }

    fn append(&mut self, list: &str, value: Value) {
        let step = self.steps.last_mut().expect("something happened");
        step[list].as_array_mut().expect("a list").push(value);
    }
}

/// Settings as JSON.
pub fn config_json(config: &PeerConfig) -> Value {
    json!({
        "client": config.client,
        "relay": config.relay,
        "log_bytes": config.log.bytes,
        "log_entries": config.log.entries,
        "window_bytes": config.window_bytes,
        "outbox_bytes": config.outbox_bytes,
        "link_heartbeat_ms": config.link_heartbeat.as_millis() as u64,
        "link_answer_ms": config.link_answer.as_millis() as u64,
        "link_setup_ms": config.link_setup.as_millis() as u64,
        "welcome_timeout_ms": config.welcome_timeout.as_millis() as u64,
        "link_doubt_ms": config.link_doubt.as_millis() as u64,
        "lead_tier_ms": config.lead_tier.as_millis() as u64,
        "lead_min_ms": config.lead_min.as_millis() as u64,
        "lead_max_ms": config.lead_max.as_millis() as u64,
        "hedge_ms": config.hedge.as_millis() as u64,
        "have_min_ms": config.have.least.as_millis() as u64,
        "have_max_ms": config.have.most.as_millis() as u64,
        "have_tail_ms": config.have.tail.as_millis() as u64,
        "have_bytes": config.have.bytes,
        "nack_wait_ms": config.nack_wait.as_millis() as u64,
        "nack_min_ms": config.nack_min.as_millis() as u64,
        "again_bytes": config.again_bytes,
    })
}

/// Settings from JSON.
pub fn config_from(value: &Value) -> PeerConfig {
    let number = |key: &str| value[key].as_u64().unwrap_or_else(|| panic!("{key} is a number"));
    let ms = |key: &str| std::time::Duration::from_millis(number(key));
    PeerConfig {
        client: value["client"].as_str().expect("client").to_owned(),
        relay: serde_json::from_value(value["relay"].clone()).expect("relay"),
        log: tiercast_mesh::LogLimits {
            bytes: number("log_bytes") as usize,
            entries: number("log_entries") as usize,
        },
        window_bytes: number("window_bytes") as u32,
        outbox_bytes: number("outbox_bytes") as usize,
        link_heartbeat: ms("link_heartbeat_ms"),
        link_answer: ms("link_answer_ms"),
        link_setup: ms("link_setup_ms"),
        welcome_timeout: ms("welcome_timeout_ms"),
        link_doubt: ms("link_doubt_ms"),
        lead_min: ms("lead_min_ms"),
        lead_tier: ms("lead_tier_ms"),
        lead_max: ms("lead_max_ms"),
        hedge: ms("hedge_ms"),
        have: HavePace {
            least: ms("have_min_ms"),
            most: ms("have_max_ms"),
            tail: ms("have_tail_ms"),
            bytes: number("have_bytes") as usize,
        },
        nack_wait: ms("nack_wait_ms"),
        nack_min: ms("nack_min_ms"),
        again_bytes: number("again_bytes") as usize,
    }
}

fn input_json(input: &Input) -> Value {
    match input {
        Input::SessionOpened => json!({ "type": "session_opened" }),
        Input::SessionData(bytes) => json!({ "type": "session_data", "bytes": hex(bytes) }),
        Input::SessionClosed => json!({ "type": "session_closed" }),
        Input::LinkOpened(link) => json!({ "type": "link_opened", "link": link }),
        Input::LinkData(link, bytes) => json!({ "type": "link_data", "link": link, "bytes": hex(bytes) }),
        Input::LinkClosed(link) => json!({ "type": "link_closed", "link": link }),
        Input::LocalSignal(link, signal) => json!({ "type": "local_signal", "link": link, "signal": signal }),
        Input::Subscribe { channel, since } => {
            json!({ "type": "subscribe", "channel": channel, "since": since })
        }
        Input::Unsubscribe(channel) => json!({ "type": "unsubscribe", "channel": channel }),
        Input::Offer(children_max) => json!({ "type": "offer", "children_max": children_max }),
        Input::Timeout => json!({ "type": "timeout" }),
    }
}

/// An input from JSON.
pub fn input_from(value: &Value) -> Input {
    let link = || LinkId(value["link"].as_u64().expect("link"));
    let bytes = || unhex(value["bytes"].as_str().expect("bytes"));
    let channel = || serde_json::from_value(value["channel"].clone()).expect("channel");
    match value["type"].as_str().expect("type") {
        "session_opened" => Input::SessionOpened,
        "session_data" => Input::SessionData(bytes()),
        "session_closed" => Input::SessionClosed,
        "link_opened" => Input::LinkOpened(link()),
        "link_data" => Input::LinkData(link(), bytes()),
        "link_closed" => Input::LinkClosed(link()),
        "local_signal" => {
            Input::LocalSignal(link(), serde_json::from_value(value["signal"].clone()).expect("signal"))
        }
        "subscribe" => Input::Subscribe {
            channel: channel(),
            since: value["since"].as_str().expect("since").parse().expect("since"),
        },
        "unsubscribe" => Input::Unsubscribe(channel()),
        "offer" => Input::Offer(serde_json::from_value(value["children_max"].clone()).expect("children_max")),
        "timeout" => Input::Timeout,
        other => panic!("unknown input {other}"),
    }
}

fn target_json(target: Target) -> Value {
    match target {
        Target::Session => json!("session"),
        Target::Link(link) => json!(link),
    }
}

/// A target from JSON.
pub fn target_from(value: &Value) -> Target {
    value.as_u64().map_or(Target::Session, |link| Target::Link(LinkId(link)))
}

fn output_json(output: &Output) -> Value {
    match output {
        Output::Transmit(target) => json!({ "type": "transmit", "target": target_json(*target) }),
        // The reason is a text for people and may differ.
        Output::CloseSession { code, .. } => json!({ "type": "close_session", "code": code }),
        Output::OpenLink { link, offers, via } => {
            json!({ "type": "open_link", "link": link, "offers": offers, "via": via })
        }
        Output::RemoteSignal(link, signal) => {
            json!({ "type": "remote_signal", "link": link, "signal": signal })
        }
        Output::CloseLink { link, bye } => {
            json!({ "type": "close_link", "link": link, "bye": bye.as_ref().map(|bye| hex(bye)) })
        }
        Output::Status(status) => status_json(status),
    }
}

fn status_json(status: &Status) -> Value {
    match status {
        Status::Welcome { peer, server_time_us, .. } => {
            json!({ "type": "welcome", "peer": peer, "server_time_us": server_time_us })
        }
        Status::Subscribed { channel, position, recovered } => json!({
            "type": "subscribed", "channel": channel, "position": position.to_string(), "recovered": recovered,
        }),
        Status::Refused { channel, code, reason, retry_after_ms } => json!({
            "type": "refused", "channel": channel, "code": code, "reason": reason, "retry_after_ms": retry_after_ms,
        }),
        Status::Placed { channel, tier } => json!({ "type": "placed", "channel": channel, "tier": tier }),
        Status::Parent { channel, parent } => {
            json!({ "type": "parent", "channel": channel, "parent": parent })
        }
        Status::Children { channel, count } => {
            json!({ "type": "children", "channel": channel, "count": count })
        }
        Status::LinkLost { other, code } => json!({ "type": "link_lost", "other": other, "code": code }),
    }
}

fn delivery_json(delivery: &Delivery) -> Value {
    match delivery {
        Delivery::Event { position, sealed_us, event, .. } => json!({
            "type": "event", "position": position.to_string(), "sealed_us": sealed_us,
            "routing_key": event.message.routing_key, "body": hex(&event.message.body),
        }),
        Delivery::Gap { from, to, reason, .. } => {
            json!({ "type": "gap", "from": from.to_string(), "to": to.to_string(), "reason": reason })
        }
        Delivery::CaughtUp { position, .. } => {
            json!({ "type": "caught_up", "position": position.to_string() })
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Bytes {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(byte).collect()
}
