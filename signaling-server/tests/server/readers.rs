//! Plain clients over HTTP: SSE, long poll, history.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use futures_util::FutureExt;
use serde_json::{Value, json};
use tiercast_codec::{Message, PatternSet, Since};
use tiercast_mesh::hub::{Reading, Rights};
use tiercast_signaling_server::{Config, LogLimits, Server, Task};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

use crate::{config, http_client, message, start};

/// Whatever is waited for comes sooner than this.
const DEADLINE: Duration = Duration::from_secs(20);

/// An event of `text/event-stream`.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct SseEvent {
    pub name: String,
    pub id: String,
    pub data: Value,
}

/// A client of `text/event-stream`.
pub struct Sse {
    lines: BufReader<TcpStream>,
    /// What the last id was, as a browser remembers it.
    last_id: String,
    /// When to come back, in ms, as it was said last.
    pub retry: Option<u64>,
    comments: usize,
}

impl Sse {
    pub async fn open(addr: SocketAddr, path: &str, last_id: &str) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(addr).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {addr}\r\nlast-event-id: {last_id}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut client =
            Self { lines: BufReader::new(stream), last_id: String::new(), retry: None, comments: 0 };
        let status = client.line().await?;
        anyhow::ensure!(status.contains(" 200 "), "{status}");
        while !client.line().await?.is_empty() {}
        Ok(client)
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let read = timeout(DEADLINE, self.lines.read_line(&mut line)).await.context("no line")??;
        anyhow::ensure!(read > 0, "the end");
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// The next event that has data. The chunks of HTTP/1.1 stand in lines of their own, which are passed over.
    pub async fn event(&mut self) -> anyhow::Result<SseEvent> {
        let mut event = SseEvent::default();
        loop {
            let line = self.line().await?;
            match line.split_once(": ") {
                Some(("id", id)) => {
                    self.last_id = id.to_owned();
                    event.id = id.to_owned();
                }
                Some(("event", name)) => event.name = name.to_owned(),
                Some(("retry", retry)) => self.retry = Some(retry.parse()?),
                Some(("data", data)) => {
                    event.data = serde_json::from_str(data)?;
                    return Ok(event);
                }
                _ if line == ":" => self.comments += 1,
                _ => {}
            }
        }
    }

    /// So many events, by their bodies.
    pub async fn bodies(&mut self, count: usize) -> anyhow::Result<Vec<String>> {
        let mut bodies = Vec::new();
        while bodies.len() < count {
            let event = self.event().await?;
            anyhow::ensure!(event.name.is_empty(), "{event:?}");
            bodies.push(event.data["body"].as_str().unwrap_or_default().to_owned());
        }
        Ok(bodies)
    }
}

fn keyed(routing_key: &str, body: &str) -> Message {
    Message { routing_key: routing_key.to_owned(), ..message(body) }
}

async fn publish(server: &Server, messages: &[Message]) -> anyhow::Result<String> {
    let publisher = server.publisher("events")?;
    let mut last = String::new();
    for message in messages {
        last = publisher.publish(message.clone()).await?.to_string();
    }
    Ok(last)
}

async fn get(server: &Server, path: &str) -> anyhow::Result<Value> {
    let answer = timeout(DEADLINE, http_client::get(server.addr(), path, &[])).await??;
    anyhow::ensure!(answer.status == 200, "{answer:?}");
    answer.json()
}

fn bodies(page: &Value) -> Vec<&str> {
    let events = page["events"].as_array().map(Vec::as_slice).unwrap_or_default();
    events.iter().filter_map(|event| event["body"].as_str()).collect()
}

#[tokio::test]
async fn an_event_source_that_comes_back_gets_exactly_what_it_missed() -> anyhow::Result<()> {
    let server = start(config()).await?;
    publish(&server, &[message("zero")]).await?;
    let mut client = Sse::open(server.addr(), "/v1/sse/events?since=earliest", "").await?;
    let ready = client.event().await?;
    assert_eq!((&*ready.name, &ready.data["recovered"]), ("ready", &json!(true)));
    assert_eq!(client.bodies(1).await?, ["zero"]);
    publish(&server, &[message("one"), message("two")]).await?;
    assert_eq!(client.bodies(1).await?, ["one"]);
    let retry = client.retry.context("no retry")?;
    assert!((1_500..4_500).contains(&retry), "{retry}");
    let last_id = client.last_id.clone();
    drop(client);
    let missed = publish(&server, &[message("three")]).await?;
    let mut client = Sse::open(server.addr(), "/v1/sse/events", &last_id).await?;
    assert_eq!(client.event().await?.id, last_id, "ready, where it was");
    assert_eq!(client.bodies(2).await?, ["two", "three"]);
    assert_eq!(client.last_id, missed);
    server.shutdown().await;
    let end = client.event().await?;
    assert_eq!((&*end.name, &end.data["code"]), ("end", &json!(3000)));
    assert!(client.event().await.is_err(), "and then the connection ends");
    Ok(())
}

#[tokio::test]
async fn what_a_filtered_event_source_did_not_ask_for_moves_its_position() -> anyhow::Result<()> {
    let mut config = config();
    config.limits.reader_heartbeat = Duration::from_millis(100);
    let server = start(config).await?;
    let mut client = Sse::open(server.addr(), "/v1/sse/events?match=build.%23&match=*", "").await?;
    client.event().await?;
    let wanted = publish(&server, &[keyed("test.a", "no"), keyed("build.a.b", "yes")]).await?;
    assert_eq!(client.bodies(1).await?, ["yes"]);
    assert_eq!(client.last_id, wanted);
    let skipped = publish(&server, &[keyed("test.a", "no")]).await?;
    while client.last_id != skipped {
        let at = client.event().await?;
        assert_eq!((&*at.name, &at.data["position"]), ("at", &json!(at.id)));
    }
    publish(&server, &[keyed("deploy", "yes")]).await?;
    assert_eq!(client.bodies(1).await?, ["yes"]);
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn an_event_source_that_fell_off_the_log_is_told_so_once() -> anyhow::Result<()> {
    let mut config = config();
    config.hub.log = LogLimits { bytes: 1 << 20, entries: 1 };
    config.hub.batch.delay = Duration::ZERO;
    let server = start(config).await?;
    let first = publish(&server, &[message("zero")]).await?;
    publish(&server, &[message("one"), message("two"), message("three")]).await?;
    let mut client = Sse::open(server.addr(), &format!("/v1/sse/events?since={first}"), "").await?;
    assert_eq!(client.event().await?.data["recovered"], json!(false));
    let gap = client.event().await?;
    assert_eq!((&*gap.name, &gap.data["reason"]), ("gap", &json!("retention")));
    assert_eq!(gap.data["from"], json!(first));
    assert_eq!(gap.data["to"], json!(gap.id));
    assert_eq!(client.bodies(1).await?, ["three"]);
    let page = get(&server, &format!("/v1/history/events?since={first}")).await?;
    assert_eq!((&page["gap"]["to"], bodies(&page)), (&gap.data["to"], vec!["three"]));
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn a_browser_is_told_to_come_back_and_others_what_is_wrong() -> anyhow::Result<()> {
    let server = start(Config { hub: full(), ..config() }).await?;
    let mut client = Sse::open(server.addr(), "/v1/sse/events", "").await?;
    client.event().await?;
    let mut other = Sse::open(server.addr(), "/v1/sse/events", "").await?;
    let end = other.event().await?;
    assert_eq!((&*end.name, &end.data["code"]), ("end", &json!(3003)));
    assert!(other.retry.is_some());
    let answer = http_client::get(server.addr(), "/v1/poll/events", &[]).await?;
    assert_eq!((answer.status, answer.json()?["code"].clone()), (503, json!(3003)));
    for (path, status, word) in [
        ("/v1/sse/nothing", 404, "nothing"),
        ("/v1/sse/%20", 404, "GET /v1/channels"),
        ("/v1/sse/events?since=yesterday", 400, "yesterday"),
        ("/v1/sse/events?match=a*", 400, "a*"),
        ("/v1/sse/events?mach=a", 400, "since, match"),
        ("/v1/poll/events?wait=61", 400, "0 to 60"),
        ("/v1/poll/events?wait=1&wait=2", 400, "2 times"),
        ("/v1/history/events?limit=0", 400, "1 to 1000"),
    ] {
        let answer = http_client::get(server.addr(), path, &[]).await?;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert!(answer.body.contains(word), "{path}: {answer:?}");
    }
    server.shutdown().await;
    Ok(())
}

/// A hub that takes one reader.
fn full() -> tiercast_signaling_server::HubConfig {
    tiercast_signaling_server::HubConfig { readers_max: 1, ..Default::default() }
}

#[tokio::test]
async fn a_poll_is_answered_as_soon_as_there_is_something() -> anyhow::Result<()> {
    let server = start(config()).await?;
    let page = get(&server, "/v1/poll/events?wait=0&sequence=7").await?;
    assert_eq!((bodies(&page), &page["sequence"]), (vec![], &json!(7)));
    let next = page["next"].as_str().context("next")?.to_owned();
    let path = format!("/v1/poll/events?since={next}");
    let (page, published) = tokio::join!(get(&server, &path), async {
        http_client::wait_for_metric(server.addr(), "tiercast_readers 1").await?;
        publish(&server, &[message("a")]).await
    });
    let page = page?;
    assert_eq!((bodies(&page), page["next"].as_str()), (vec!["a"], Some(&*published?)));
    let again = get(&server, &path).await?;
    assert_eq!(bodies(&again), ["a"], "a proxy that asks again gets the same");
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn history_gives_what_is_retained_a_page_at_a_time() -> anyhow::Result<()> {
    let server = start(config()).await?;
    let messages: Vec<_> =
        (0..250).map(|n| keyed(if n % 2 == 0 { "even" } else { "odd" }, &n.to_string())).collect();
    publish(&server, &messages).await?;
    let (mut since, mut got, mut pages) = ("earliest".to_owned(), Vec::new(), 0);
    loop {
        let page = get(&server, &format!("/v1/history/events?since={since}&limit=30&match=even")).await?;
        got.extend(bodies(&page).into_iter().map(str::to_owned));
        since = page["next"].as_str().context("next")?.to_owned();
        pages += 1;
        if page["more"] == json!(false) {
            break;
        }
    }
    assert_eq!(got, (0..250).step_by(2).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(pages, 5, "each says whether there is more");
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn readers_that_are_gone_are_forgotten() -> anyhow::Result<()> {
    let mut server = start(config()).await?;
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = Sse::open(server.addr(), "/v1/sse/events", "").await?;
        client.event().await?;
        clients.push(client);
    }
    drop(clients);
    http_client::wait_for_metric(server.addr(), "tiercast_readers 0").await?;
    assert_eq!(timeout(Duration::ZERO, server.failed()).await.ok().flatten(), None::<Task>);
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn regression_a_reader_whose_client_goes_before_it_is_let_in_is_forgotten() -> anyhow::Result<()> {
    let server = start(config()).await?;
    let reading = Reading {
        channel: "events".parse()?,
        since: Since::Now,
        filter: Arc::new(PatternSet::new(Vec::new())),
        rights: Rights::default(),
    };
    let mut opening = Box::pin(server.handle().read(reading));
    // The server has been asked, and the client does not wait for the answer.
    anyhow::ensure!(opening.as_mut().now_or_never().is_none());
    drop(opening);
    http_client::wait_for_metric(server.addr(), "tiercast_readers 0").await?;
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn a_page_for_one_who_is_ahead_of_the_channel_tells_the_gap() -> anyhow::Result<()> {
    let server = start(config()).await?;
    publish(&server, &[keyed("a", "first"), keyed("a", "second")]).await?;
    let page = http_client::get(server.addr(), "/v1/history/events", &[]).await?.json()?;
    let (epoch, _) = page["next"].as_str().and_then(|next| next.split_once('-')).context("a position")?;
    for path in ["/v1/history/events?", "/v1/poll/events?wait=0&"] {
        for _ in 0..20 {
            let path = format!("{path}since={epoch}-1000");
            let page = http_client::get(server.addr(), &path, &[]).await?.json()?;
            assert_eq!(page["gap"]["from"], json!(format!("{epoch}-1000")), "{path}: {page}");
        }
    }
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn regression_one_who_wants_nothing_of_a_busy_channel_is_told_that_it_moves() -> anyhow::Result<()> {
    let mut config = config();
    config.limits.reader_heartbeat = Duration::from_millis(200);
    config.hub.batch.delay = Duration::ZERO;
    let server = start(config).await?;
    let mut client = Sse::open(server.addr(), "/v1/sse/events?match=wanted", "").await?;
    let begin = client.event().await?.id;
    let busy = async {
        loop {
            publish(&server, &[keyed("other", "no")]).await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let told = async {
        while client.last_id == begin {
            client.event().await?;
        }
        anyhow::Ok(())
    };
    tokio::select! {
        busy = busy => busy,
        told = told => told,
    }?;
    server.shutdown().await;
    Ok(())
}
