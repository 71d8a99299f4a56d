//! The rest of the HTTP API: health, readiness, metrics, channels, topology, errors.

use std::time::Duration;

use anyhow::ensure;
use axum::{Router, routing::get};
use tiercast_codec::{Code, Hello, NodeKind, PROTOCOL_VERSION, Relay, Since, Subscribe, ToHub, ToPeer};
use tiercast_signaling_server::{Server, config::KEYS, config::Kind};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    client::{Client, PATIENCE},
    config, http_client, message, start,
};

#[tokio::test]
async fn a_server_that_has_started_is_alive_and_ready() -> anyhow::Result<()> {
    let server = start(config()).await?;
    ensure!(http_client::get(server.addr(), "/healthz", &[]).await?.status == 200);
    let ready = http_client::get(server.addr(), "/readyz", &[]).await?;
    ensure!(ready.status == 200 && ready.json()?["ready"] == true, "{ready:?}");
    Ok(())
}

#[tokio::test]
async fn channels_tell_their_source_and_position() -> anyhow::Result<()> {
    let server = start(config()).await?;
    let _client = Client::subscribed(server.addr(), Since::Now).await?;
    let position = server.publisher("events")?.publish(message("x")).await?;
    let channels = http_client::get(server.addr(), "/v1/channels", &[]).await?.json()?;
    let expected = serde_json::json!({ "channels": [{
        "name": "events",
        "source": { "kind": "embedded", "state": "open", "reason": null },
        "position": position.to_string(),
        "sessions": 1,
    }] });
    ensure!(channels == expected, "{channels}");
    Ok(())
}

#[tokio::test]
async fn regression_a_path_that_is_no_text_is_refused_like_any_other_channel_that_is_not_there()
-> anyhow::Result<()> {
    let server = start(config()).await?;
    let key = [("authorization", "Bearer correct-horse-battery")];
    for path in ["/v1/sse/%ff", "/v1/poll/%ff", "/v1/history/%ff", "/v1/topology/%ff"] {
        let refused = http_client::get(server.addr(), path, &key).await?;
        ensure!(refused.status == 404 && refused.json()?["code"] == 3505, "{path}: {refused:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_topology_is_shown_to_those_with_a_key_or_to_all() -> anyhow::Result<()> {
    let server = start(config()).await?;
    let mut client = Client::connect(server.addr()).await?;
    let relay = Some(Relay { node: NodeKind::Native, children_max: 8 });
    let subscribe = Subscribe {
        id: 9,
        channel: "events".parse()?,
        since: Since::Now,
        window_bytes: std::num::NonZeroU32::MAX,
        relay,
        links: Vec::new(),
    };
    client.send(ToHub::Subscribe(subscribe)).await?;
    while !matches!(client.control().await?, ToPeer::Place(_)) {}

    let path = "/v1/topology/events";
    ensure!(http_client::get(server.addr(), path, &[]).await?.status == 401);
    let key = [("authorization", "Bearer correct-horse-battery")];
    let topology = http_client::get(server.addr(), path, &key).await?.json()?;
    let expected = serde_json::json!({ "channel": "events", "peers": [{
        "peer": topology["peers"][0]["peer"], "parent": null, "standby": null, "tier": 1, "place": "root",
        "node": "native",
        "children": 0, "children_max": 8,
    }] });
    ensure!(topology == expected, "{topology}");
    ensure!(topology["peers"][0]["peer"].is_u64(), "{topology}");
    ensure!(http_client::get(server.addr(), "/v1/topology/none", &key).await?.status == 404);

    let mut open = config();
    open.open_topology = true;
    let server = start(open).await?;
    ensure!(http_client::get(server.addr(), path, &[]).await?.status == 200);
    Ok(())
}

#[tokio::test]
async fn regression_the_tree_is_made_once_in_a_while_however_many_ask() -> anyhow::Result<()> {
    let peers = |topology: serde_json::Value| topology["peers"].as_array().map_or(0, Vec::len);
    for (period, seen_later) in [(Duration::from_secs(3_600), 1), (Duration::ZERO, 2)] {
        let mut config = config();
        (config.open_topology, config.limits.topology) = (true, period);
        let server = start(config).await?;
        let ask = || http_client::get(server.addr(), "/v1/topology/events", &[]);
        let _first = Client::subscribed(server.addr(), Since::Now).await?;
        ensure!(peers(ask().await?.json()?) == 1);
        let _second = Client::subscribed(server.addr(), Since::Now).await?;
        for answer in futures_util::future::join_all((0..20).map(|_| ask())).await {
            ensure!(peers(answer?.json()?) == seen_later, "with a period of {period:?}");
        }
        ensure!(server.handle().topology(&"events".parse()?).await?.map(|nodes| nodes.len()) == Some(2));
    }
    Ok(())
}

#[tokio::test]
async fn unknown_routes_and_methods_are_errors_in_json() -> anyhow::Result<()> {
    let server = start(config()).await?;
    for (method, path, status) in [("GET", "/v1/nothing", 404), ("POST", "/v1/channels", 405)] {
        let answer = http_client::request(server.addr(), method, path, &[], b"").await?;
        ensure!(answer.status == status && answer.json()?["fix"].is_string(), "{answer:?}");
    }
    let answer = http_client::get(server.addr(), "/v1/ws", &[]).await?;
    ensure!(answer.status == 400 && answer.json()?["error"].is_string(), "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn half_a_request_is_not_waited_for_for_ever() -> anyhow::Result<()> {
    let mut config = config();
    config.limits.request = Duration::from_millis(100);
    let server = start(config).await?;
    let mut half_a_head = TcpStream::connect(server.addr()).await?;
    half_a_head.write_all(b"GET /healthz HTTP/1.1\r\n").await?;
    timeout(PATIENCE, half_a_head.read_to_end(&mut Vec::new())).await??;

    let mut half_a_body = TcpStream::connect(server.addr()).await?;
    let head = "POST /v1/publish/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 10\r\n\
                authorization: Bearer correct-horse-battery\r\n\r\nhalf";
    half_a_body.write_all(head.as_bytes()).await?;
    let mut answer = String::new();
    timeout(PATIENCE, half_a_body.read_to_string(&mut answer)).await??;
    ensure!(answer.starts_with("HTTP/1.1 408") && answer.contains("limits.request_ms"), "{answer}");
    ensure!(server.handle().snapshot().await?.channels[0].stats.events == 0, "half an event is none");
    Ok(())
}

#[tokio::test]
async fn an_application_adds_routes_of_its_own() -> anyhow::Result<()> {
    let server = Server::start_with(config(), |handle| {
        let publisher = handle.publisher("events").expect("an embedded channel");
        let press = move || async move { publisher.publish(message("pressed")).await.is_ok().to_string() };
        Router::new().route("/", get(|| async { "the page" })).route("/press", get(press))
    })
    .await?;
    let mut client = Client::subscribed(server.addr(), Since::Now).await?;
    ensure!(http_client::get(server.addr(), "/", &[]).await?.body == "the page");
    ensure!(http_client::get(server.addr(), "/press", &[]).await?.body == "true");
    ensure!(client.events(1).await?[0].message == message("pressed"));
    ensure!(http_client::get(server.addr(), "/healthz", &[]).await?.status == 200);
    Ok(())
}

#[tokio::test]
async fn metrics_tell_everything_under_the_documented_names() -> anyhow::Result<()> {
    let server = start(config()).await?;
    let mut client = Client::subscribed(server.addr(), Since::Now).await?;
    server.publisher("events")?.publish(message("x")).await?;
    client.events(1).await?;
    let mut rude = Client::connect(server.addr()).await?;
    rude.send(ToHub::Hello(Hello {
        id: 2,
        protocol: PROTOCOL_VERSION,
        client: "again".into(),
        resume: None,
    }))
    .await?;
    ensure!(rude.closed().await?.0 == Code::UNEXPECTED);
    let page = http_client::get(server.addr(), "/metrics", &[]).await?;
    ensure!(page.status == 200 && page.head.contains("application/openmetrics-text"), "{page:?}");
    let has = |line: &str| page.body.lines().any(|other| other == line);
    for line in [
        "tiercast_sessions 1",
        "tiercast_sessions_opened_total 2",
        "tiercast_sessions_closed_total{code=\"3503\"} 1",
        "tiercast_sessions_resumed_total 0",
        "tiercast_sessions_stalled_total 0",
        "tiercast_messages_malformed_total 0",
        "tiercast_events_oversized_total 0",
        "tiercast_channel_events_total{channel=\"events\"} 1",
        "tiercast_channel_frames_total{channel=\"events\"} 1",
        "tiercast_channel_gaps_total{channel=\"events\"} 0",
        "tiercast_channel_links_total{channel=\"events\"} 0",
        "tiercast_channel_links_lost_total{channel=\"events\"} 0",
        "tiercast_channel_links_adopted_total{channel=\"events\"} 0",
        "tiercast_channel_accusations_total{channel=\"events\"} 0",
        "tiercast_channel_suspensions_total{channel=\"events\"} 0",
        "tiercast_channel_signals_total{channel=\"events\"} 0",
        "tiercast_channel_signals_dropped_total{channel=\"events\"} 0",
        "tiercast_channel_orphans_fed_total{channel=\"events\"} 0",
        "tiercast_channel_source_open{channel=\"events\",kind=\"embedded\"} 1",
        "tiercast_channel_offset{channel=\"events\"} 0",
        "tiercast_channel_peers{channel=\"events\",tier=\"0\"} 1",
        "tiercast_channel_peers{channel=\"events\",tier=\"1\"} 0",
    ] {
        ensure!(has(line), "`{line}` is not in\n{}", page.body);
    }
    for name in [
        "tiercast_connections_accepted_total ",
        "tiercast_session_control_bytes_total ",
        "tiercast_channel_data_bytes_total{",
        "tiercast_channel_control_bytes_total{",
        "tiercast_channel_direct_data_bytes_total{",
        "tiercast_uptime_seconds ",
        "tiercast_process_cpu_seconds_total ",
        "tiercast_process_resident_bytes ",
    ] {
        ensure!(page.body.lines().any(|line| line.starts_with(name)), "`{name}` is not in\n{}", page.body);
    }
    for key in KEYS.iter().filter(|key| !key.path.starts_with("amqp.")) {
        if let Kind::Number(number) = &key.kind {
            let name = format!("tiercast_config_{}", key.path.replace('.', "_"));
            let value = (number.read)(&config()).unwrap_or_default();
            ensure!(has(&format!("{name} {value}")), "{name} is missing");
        }
    }
    ensure!(page.body.ends_with("# EOF\n") && page.body.matches("# HELP ").count() > 40);
    Ok(())
}
