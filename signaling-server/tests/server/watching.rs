//! What the operator sees of clients: who is there, from where, and by which transport.

use anyhow::{Context, ensure};
use serde_json::json;
use tiercast_codec::Since;

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

#[tokio::test]
async fn every_line_about_a_client_says_who_it_is_and_from_where() -> anyhow::Result<()> {
    let api_keys = format!("api_keys={API_KEY}");
    let mut program = Program::start(&["--set", "log=debug", "--set", &api_keys]).await?;
    let (key, addr) = (key(&program).await?, program.addr);
    let peer = Client::subscribed(addr, Since::Earliest).await?;
    let line = program.line_with("peer subscribes").await?;
    says(
        &line,
        &["transport=\"ws\"", "address=127.0.0.1", "client=", "session=", "channel=events", "since=earliest"],
    )?;
    peer.vanish().await?;
    let line = program.line_with("session ended without a goodbye").await?;
    says(&line, &["transport=\"ws\"", "address=127.0.0.1", "session="])?;

    let mut plain = json_sessions::Client::connect_at(addr, &format!("/v1/ws?key={key}")).await?;
    plain.answer(json!({"type": "subscribe", "channel": "events", "since": "earliest"})).await?;
    let line = program.line_with("reader came").await?;
    let who = ["who=\"alice\"", "address=127.0.0.1", "events"];
    says(&line, &["transport=\"json\"", "since=earliest"])?;
    says(&line, &who)?;
    drop(plain);
    says(&program.line_with("reader left").await?, &who)?;

    let path = format!("/v1/poll/events?wait=0&key={key}");
    http_client::get(addr, &path, &[]).await?;
    let line = program.line_with("reader left").await?;
    says(&line, &["transport=\"poll\""])?;
    says(&line, &who)?;
    ensure!(!line.contains(&key), "no secrets: {line}");
    Ok(())
}

fn says(line: &str, words: &[&str]) -> anyhow::Result<()> {
    for word in words {
        ensure!(line.contains(word), "`{word}` is not in: {line}");
    }
    Ok(())
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
