//! A server that lets its sessions go before it stops.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::json;
use tiercast_codec::{Code, Since, ToPeer};
use tiercast_signaling_server::Server;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite;

use crate::{
    client::{self, Client},
    config, http_client, json_sessions, message,
    readers::Sse,
    start,
};

const DEADLINE: Duration = Duration::from_secs(20);

/// Longer than any of these tests, and more than what clients are told to wait without it.
const LONG: Duration = Duration::from_secs(600);

/// A server that would let its clients go for so long; the first one goes at once.
async fn leisurely() -> anyhow::Result<Server> {
    let mut config = config();
    config.limits.drain = LONG;
    start(config).await
}

/// Checks that whoever goes at once is told to come back when all are gone.
fn check_wait(ms: Option<u64>) -> anyhow::Result<()> {
    let wait = Duration::from_millis(ms.context("not told how long to wait")?);
    ensure!((LONG - client::PATIENCE..LONG + client::PATIENCE).contains(&wait), "told to wait {wait:?}");
    Ok(())
}

fn seconds(retry_after: Option<&str>) -> Option<u64> {
    Some(retry_after?.parse::<u64>().ok()? * 1_000)
}

/// Checks what a request is answered with that waited, or comes, while the server lets its clients go.
fn check_refused(answer: &http_client::Response) -> anyhow::Result<()> {
    ensure!((answer.status, &answer.json()?["code"]) == (503, &json!(3000)), "{answer:?}");
    check_wait(seconds(answer.head.lines().find_map(|line| line.strip_prefix("retry-after: "))))
}

#[tokio::test]
async fn a_peer_that_is_let_go_is_told_how_long() -> anyhow::Result<()> {
    let server = leisurely().await?;
    let mut peer = Client::connect(server.addr()).await?;
    tokio::spawn(server.shutdown());
    let ToPeer::Error(error) = peer.control().await? else { anyhow::bail!("told something else") };
    ensure!((error.id, error.code) == (None, Code::SHUTDOWN), "{error:?}");
    check_wait(error.retry_after_ms.map(u64::from))?;
    ensure!(peer.closed().await?.0 == Code::SHUTDOWN);
    Ok(())
}

#[tokio::test]
async fn a_reader_of_sse_that_is_let_go_is_told_how_long() -> anyhow::Result<()> {
    let server = leisurely().await?;
    let mut reader = Sse::open(server.addr(), "/v1/sse/events", "").await?;
    reader.event().await?;
    tokio::spawn(server.shutdown());
    let end = reader.event().await?;
    ensure!((&*end.name, &end.data["code"]) == ("end", &json!(3000)), "{end:?}");
    check_wait(reader.retry)
}

#[tokio::test]
async fn a_poll_that_is_let_go_is_told_how_long() -> anyhow::Result<()> {
    let server = leisurely().await?;
    let addr = server.addr();
    let poll = tokio::spawn(http_client::get(addr, "/v1/poll/events", &[]));
    http_client::wait_for_metric(addr, r#"tiercast_transport_readers{transport="poll"} 1"#).await?;
    tokio::spawn(server.shutdown());
    check_refused(&timeout(DEADLINE, poll).await???)
}

#[tokio::test]
async fn a_session_of_json_that_is_let_go_is_told_once_how_long() -> anyhow::Result<()> {
    let mut config = config();
    config.embedded_channels = vec!["events".parse()?, "other".parse()?];
    config.limits.drain = LONG;
    let server = start(config).await?;
    let mut client = json_sessions::Client::connect(server.addr()).await?;
    for channel in ["events", "other"] {
        client.answer(json!({"type": "subscribe", "channel": channel})).await?;
    }
    tokio::spawn(server.shutdown());
    let last = client.hear().await?;
    check_wait(Some(client.check_let_go(&last).await?))
}

#[tokio::test]
async fn a_session_of_json_that_a_stop_closes_is_told_when_to_come_back() -> anyhow::Result<()> {
    let server = start(config()).await?;
    let mut client = json_sessions::Client::connect(server.addr()).await?;
    client.answer(json!({"type": "hello", "protocol": 1})).await?;
    let stopping = tokio::spawn(server.shutdown());
    let last = client.hear().await?;
    ensure!((1_500..4_500).contains(&client.check_let_go(&last).await?), "{last}");
    Ok(timeout(DEADLINE, stopping).await??)
}

#[tokio::test]
async fn newcomers_are_told_how_long_too() -> anyhow::Result<()> {
    let server = leisurely().await?;
    let addr = server.addr();
    tokio::spawn(server.shutdown());
    while http_client::get(addr, "/readyz", &[]).await?.status == 200 {}
    let mut reader = Sse::open(addr, "/v1/sse/events", "").await?;
    ensure!(reader.event().await?.name == "end");
    check_wait(reader.retry)?;
    check_refused(&http_client::get(addr, "/v1/history/events", &[]).await?)?;
    let Err(tungstenite::Error::Http(refused)) = client::open(addr, "tiercast.v1").await else {
        anyhow::bail!("a session was let in");
    };
    let retry_after = refused.headers().get("retry-after").and_then(|wait| wait.to_str().ok());
    check_wait(seconds(retry_after))
}

#[tokio::test]
async fn sessions_and_readers_go_one_after_the_other_and_are_served_until_then() -> anyhow::Result<()> {
    let mut config = config();
    config.limits.drain = Duration::from_secs(2);
    let server = start(config).await?;
    let (addr, publisher) = (server.addr(), server.publisher("events")?);
    let mut peers = Vec::new();
    for _ in 0..4 {
        peers.push(Client::subscribed(addr, Since::Now).await?);
    }
    let mut readers = Vec::new();
    for _ in 0..4 {
        let mut reader = Sse::open(addr, "/v1/sse/events", "").await?;
        reader.event().await?;
        readers.push(reader);
    }
    let mut plain = json_sessions::Client::connect(addr).await?;
    plain.answer(json!({"type": "subscribe", "channel": "events"})).await?;
    let stopping = tokio::spawn(server.shutdown());
    let left = async {
        let mut codes = Vec::new();
        for peer in &mut peers {
            codes.push(peer.closed().await?.0);
        }
        anyhow::Ok(codes)
    };
    let refused = async {
        while http_client::get(addr, "/readyz", &[]).await?.status == 200 {}
        let newcomer = http_client::get(addr, "/v1/poll/events", &[]).await?;
        anyhow::Ok((newcomer.status, newcomer.json()?["code"].clone()))
    };
    let served = async {
        // Until it is let go, which the last one is in the end.
        let mut got = 0;
        loop {
            publisher.publish(message("still here")).await.ok();
            let event = readers[3].event().await?;
            match &*event.name {
                "" => got += 1,
                _ => return anyhow::Ok((got, event)),
            }
        }
    };
    let (codes, newcomer, served) = timeout(DEADLINE, async { tokio::join!(left, refused, served) }).await?;
    assert_eq!(codes?, [Code::SHUTDOWN; 4]);
    assert_eq!(newcomer?, (503, json!(3000)));
    let (got, end) = served?;
    assert!(got > 0, "nothing came while the others left");
    assert_eq!((&*end.name, &end.data["code"]), ("end", &json!(3000)));
    while plain.hear().await? != json!({"closed": "3000"}) {}
    timeout(DEADLINE, stopping).await??;
    Ok(())
}
