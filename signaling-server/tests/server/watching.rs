//! What the operator sees of clients: who is there, from where, and by which transport.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use serde_json::json;
use tiercast_codec::Since;
use tokio_tungstenite::tungstenite::Message as WsMessage;

use crate::{
    API_KEY, client::Client, config, http_client, json_sessions, message, program::Program, readers::Sse,
    start,
};

#[tokio::test]
async fn metrics_tell_who_is_there_and_what_was_sent_by_each_transport() -> anyhow::Result<()> {
    let server = start(config()).await?;
    let mut peer = Client::subscribed(server.addr(), Since::Now).await?;
    let mut plain = json_sessions::Client::connect(server.addr()).await?;
    plain.answer(json!({"type": "subscribe", "channel": "events"})).await?;
    let mut sse = Sse::open(server.addr(), "/v1/sse/events", "").await?;
    sse.event().await?;
    server.publisher("events")?.publish(message("x")).await?;
    peer.events(1).await?;
    plain.bodies(1).await?;
    sse.bodies(1).await?;
    http_client::get(server.addr(), "/v1/history/events", &[]).await?;
    let page = http_client::get(server.addr(), "/metrics", &[]).await?.body;
    for (metric, transport, value) in [
        ("sessions", "ws", 1),
        ("sessions", "json", 1),
        ("readers", "json", 1),
        ("readers", "sse", 1),
        ("readers", "history", 0),
        ("visits_total", "sse", 1),
        ("visits_total", "history", 1),
        ("visits_total", "taskcluster", 0),
        ("events_total", "ws", 1),
        ("events_total", "json", 1),
        ("events_total", "sse", 1),
        ("events_total", "history", 1),
        ("events_total", "poll", 0),
        ("gaps_total", "sse", 0),
    ] {
        let line = format!("tiercast_transport_{metric}{{transport=\"{transport}\"}} {value}");
        ensure!(page.lines().any(|other| other == line), "`{line}` is not in\n{page}");
    }
    for transport in ["ws", "json", "sse", "history"] {
        let bytes = format!("tiercast_transport_sent_bytes_total{{transport=\"{transport}\"}} ");
        let sent = page.lines().find_map(|line| line.strip_prefix(&bytes)).context(bytes.clone())?;
        ensure!(sent.parse::<u64>()? > 0, "{bytes}");
    }
    drop((plain, sse));
    let is_left = "tiercast_transport_readers{transport=\"json\"} 0";
    http_client::wait_for_metric(server.addr(), is_left).await?;
    server.shutdown().await;
    Ok(())
}

/// A server's log, and the key of one who reads.
struct Log {
    program: Program,
    key: String,
}

impl Log {
    async fn start() -> anyhow::Result<Self> {
        let api_keys = format!("api_keys={API_KEY}");
        let args = ["--set", "log=debug", "--set", "keys_required=true", "--set", &api_keys];
        let program = Program::start(&args).await?;
        let key = key(&program).await?;
        Ok(Self { program, key })
    }

    fn addr(&self) -> SocketAddr {
        self.program.addr
    }

    /// A path with the key of `alice`.
    fn path(&self, path: &str) -> String {
        let sign = if path.contains('?') { '&' } else { '?' };
        format!("{path}{sign}key={}", self.key)
    }

    async fn get(&self, path: &str) -> anyhow::Result<http_client::Response> {
        http_client::get(self.addr(), &self.path(path), &[]).await
    }

    /// The next line about this has all these words.
    async fn says(&mut self, about: &str, words: &[&str]) -> anyhow::Result<()> {
        let line = self.program.line_with(about).await?;
        for word in words.iter().chain(&["address=127.0.0.1"]) {
            ensure!(line.contains(word), "`{word}` is not in: {line}");
        }
        Ok(())
    }

    /// Nothing that was said so far gives away a secret.
    fn is_discreet(&self) -> anyhow::Result<()> {
        for secret in [API_KEY, WRONG_KEY, &self.key, self.key.split_once('.').context("a tag")?.1] {
            let line = self.program.heard().iter().find(|line| line.contains(secret));
            ensure!(line.is_none(), "a secret is in: {line:?}");
        }
        Ok(())
    }
}

/// A key that somebody makes up.
const WRONG_KEY: &str = "not-a-key-of-this-server";

const ALICE_READS: [&str; 4] = ["INFO", "who=\"alice\"", "channel=events", "since=earliest"];

#[tokio::test]
async fn every_line_about_a_peer_says_who_it_is_from_where_and_what_it_reads() -> anyhow::Result<()> {
    let mut log = Log::start().await?;
    let mut peer = Client::connect_by_key(log.addr(), &log.key).await?;
    ensure!(peer.subscribe("events", Since::Earliest).await?.is_ok());
    let who = ["transport=\"ws\"", "client=", "session="];
    log.says("peer subscribes", &[&ALICE_READS[..], &who].concat()).await?;
    peer.vanish().await?;
    log.says("session ended without a goodbye", &[&ALICE_READS[..], &who].concat()).await?;
    let mut peer = Client::connect_by_key(log.addr(), &log.key).await?;
    ensure!(peer.subscribe("events", Since::Earliest).await?.is_ok());
    ensure!(peer.subscribe("nowhere", Since::Now).await?.is_err());
    log.says("request refused", &[&who[..], &["INFO", "channel=nowhere", "since=now", "code=3505"]].concat())
        .await?;
    peer.send_raw(WsMessage::text("no msgpack")).await?;
    log.says("closing session", &[&ALICE_READS[..], &who, &["code=3500"]].concat()).await?;
    log.is_discreet()
}

#[tokio::test]
async fn every_line_about_a_client_says_who_it_is_from_where_and_what_it_reads() -> anyhow::Result<()> {
    let mut log = Log::start().await?;
    let mut plain = json_sessions::Client::connect_at(log.addr(), &log.path("/v1/ws")).await?;
    plain.answer(json!({"type": "subscribe", "channel": "events", "since": "earliest"})).await?;
    let json = [&ALICE_READS[..], &["transport=\"json\""]].concat();
    log.says("reader came", &json).await?;
    drop(plain);
    log.says("session ended", &json).await?;
    log.says("reader left", &[&json[..], &["events=0", "bytes=0"]].concat()).await?;

    let path = log.path("/v1/sse/events?since=earliest");
    let mut sse = Sse::open(log.addr(), &path, "").await?;
    sse.event().await?;
    let words = [&ALICE_READS[..], &["transport=\"sse\""]].concat();
    log.says("reader came", &words).await?;
    drop(sse);
    log.says("reader left", &words).await?;

    for transport in ["poll", "history"] {
        let named = format!("transport=\"{transport}\"");
        let words = ["DEBUG", "who=\"alice\"", "channel=events", "since=earliest", &named];
        let wait = if transport == "poll" { "&wait=0" } else { "" };
        log.get(&format!("/v1/{transport}/events?since=earliest{wait}")).await?;
        log.says("reader came", &words).await?;
        log.says("reader left", &words).await?;
    }
    log.is_discreet()
}

#[tokio::test]
async fn each_request_that_is_refused_is_a_line_that_says_who_asked_for_what_and_why_not()
-> anyhow::Result<()> {
    let mut log = Log::start().await?;
    let alice = ["INFO", "who=\"alice\"", "since=\"earliest\""];
    for (transport, path, words) in [
        ("sse", "/v1/sse/nowhere?since=earliest", ["channel=\"nowhere\"", "status=404", "code=3505"]),
        ("poll", "/v1/poll/nowhere?since=earliest", ["channel=\"nowhere\"", "status=404", "code=3505"]),
        (
            "history",
            "/v1/history/events?since=earliest&limit=0",
            ["channel=\"events\"", "status=400", "code=3506"],
        ),
        ("sse", "/v1/sse?exchange=ci&since=earliest", ["channel=\"ci\"", "status=403", "code=3509"]),
        (
            "taskcluster",
            "/api/events/v1/connect/?since=earliest",
            ["path=\"/api/events", "status=200", "code=3506"],
        ),
        ("ws", "/v1/ws?since=earliest", ["path=\"/v1/ws\"", "status=400", "code=3506"]),
    ] {
        log.get(path).await?;
        let transport = format!("transport=\"{transport}\"");
        log.says("request refused", &[&alice[..], &words, &[&transport, "reason="]].concat()).await?;
    }
    let last =
        http_client::get(log.addr(), &log.path("/v1/sse/nowhere"), &[("last-event-id", "7-3")]).await?;
    ensure!(last.status == 404, "{last:?}");
    log.says("request refused", &["since=\"7-3\""]).await?;

    for path in [
        format!("/v1/poll/events?key={WRONG_KEY}"),
        format!("/v1/sse/events&key={}", log.key),
        format!("/v1/sse/events%3Fkey%3D{}", log.key),
        format!("/v1/nothing%3Fkey%3D{}", log.key),
    ] {
        http_client::get(log.addr(), &path, &[]).await?;
        log.says("request refused", &["INFO", "path=\"/v1/", "status=40"]).await?;
    }

    let mut plain = json_sessions::Client::connect_at(log.addr(), &log.path("/v1/ws")).await?;
    let words = ["INFO", "who=\"alice\"", "transport=\"json\""];
    plain.answer(json!({"type": "subscribe", "channel": "nowhere", "since": "earliest"})).await?;
    log.says("reader refused", &[&words[..], &["channel=nowhere", "since=earliest", "code=3505"]].concat())
        .await?;
    plain.answer(json!({"type": "pause", "channel": "events"})).await?;
    log.says("request refused", &[&words[..], &["channel=events", "code="]].concat()).await?;
    log.is_discreet()
}

#[tokio::test]
async fn publishing_and_the_making_of_keys_are_in_the_log_without_any_key() -> anyhow::Result<()> {
    let mut log = Log::start().await?;
    let http = "transport=\"http\"";
    log.says("key made", &["INFO", http, "channel=events", "subject=\"alice\"", "until_s="]).await?;
    for (key, about, words) in [
        (WRONG_KEY, "request refused", ["INFO", "channel=\"events\"", "status=401"]),
        (API_KEY, "published", ["DEBUG", "channel=events", "events=1"]),
    ] {
        let bearer = format!("Bearer {key}");
        let headers = [("authorization", &*bearer)];
        http_client::request(log.addr(), "POST", "/v1/publish/events", &headers, b"hello").await?;
        log.says(about, &[&words[..], &[http]].concat()).await?;
    }
    let headers = [("authorization", &*format!("Bearer {WRONG_KEY}"))];
    http_client::request(log.addr(), "POST", "/v1/keys", &headers, b"{}").await?;
    log.says("request refused", &["INFO", http, "path=\"/v1/keys\"", "status=401"]).await?;
    log.is_discreet()
}

/// A key whose holder has a name.
async fn key(program: &Program) -> anyhow::Result<String> {
    let wish = json!({"channel": "events", "lifetime_s": 60, "subject": "alice"}).to_string();
    let authorization = format!("Bearer {API_KEY}");
    let headers = [("authorization", &*authorization), ("content-type", "application/json")];
    let answer =
        http_client::request(program.addr, "POST", "/v1/keys", &headers, wish.as_bytes()).await?.json()?;
    Ok(answer["key"].as_str().context("no key")?.to_owned())
}
