//! Embedded channels that keep their events: what is confirmed is there after a restart, and what is lost is told.

use std::{fs, path::PathBuf};

use anyhow::{Context, bail, ensure};
use futures_util::future::try_join_all;
use serde_json::Value;
use tempfile::TempDir;
use tiercast_codec::{GapReason, Position, Since};
use tiercast_signaling_server::{Config, Server, StartError, StoreError};

use crate::{
    client::{Client, Received},
    config,
    http_client::{get, request},
    message, start,
};

const BEARER: (&str, &str) = ("authorization", "Bearer correct-horse-battery");

/// A configuration with a folder for events.
fn with_folder(folder: &TempDir) -> Config {
    Config { data_dir: Some(folder.path().to_owned()), ..config() }
}

/// Publishes so many events, whose bodies are their numbers.
async fn publish(server: &Server, numbers: std::ops::Range<usize>) -> anyhow::Result<Vec<Position>> {
    let mut positions = Vec::new();
    for number in numbers {
        positions.push(server.publisher("events")?.publish(message(number.to_string())).await?);
    }
    Ok(positions)
}

/// Reads events whose bodies are these numbers.
async fn expect(client: &mut Client, numbers: std::ops::Range<usize>) -> anyhow::Result<()> {
    let events = client.events(numbers.len()).await?;
    for (event, number) in events.iter().zip(numbers) {
        ensure!(event.offset == number as i64 && event.message == message(number.to_string()), "{event:?}");
    }
    Ok(())
}

/// The files that hold the events, oldest first.
fn segments(folder: &TempDir) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder.path().join("events.channel"))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

#[tokio::test]
async fn a_restart_is_not_noticed_by_those_who_come_back_with_their_position() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = start(with_folder(&folder)).await?;
    let before = publish(&server, 0..10).await?;
    server.shutdown().await;

    let server = start(with_folder(&folder)).await?;
    let mut client = Client::subscribed(server.addr(), Since::Position(before[3])).await?;
    expect(&mut client, 4..10).await?;
    let after = publish(&server, 10..11).await?;
    ensure!(after == [Position::new(before[0].epoch, 10)], "{after:?}");
    expect(&mut client, 10..11).await?;
    let mut late = Client::subscribed(server.addr(), Since::Earliest).await?;
    expect(&mut late, 0..11).await
}

#[tokio::test]
async fn what_the_log_in_memory_has_no_more_comes_from_the_disk() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut config = with_folder(&folder);
    config.hub.log.bytes = 1;
    config.store.retention.segment_bytes = 65_536;
    let server = start(config.clone()).await?;
    for batch in 0..40 {
        let bodies = (batch * 100..(batch + 1) * 100).map(|number: usize| message(number.to_string()));
        server.publisher("events")?.publish_all(bodies.collect()).await?;
    }
    let mut client = Client::subscribed(server.addr(), Since::Earliest).await?;
    expect(&mut client, 0..4_000).await?;
    server.shutdown().await;
    ensure!(segments(&folder)?.len() > 1);
    let server = start(config).await?;
    let mut client = Client::subscribed(server.addr(), Since::Earliest).await?;
    expect(&mut client, 0..4_000).await
}

#[tokio::test]
async fn what_is_damaged_is_an_explicit_gap_and_the_rest_is_there() -> anyhow::Result<()> {
    damage_is_a_gap(config()).await?;
    // The same where the log in memory is too small for it.
    let mut config = config();
    config.hub.log.bytes = 1;
    damage_is_a_gap(config).await
}

/// Flips a byte of the event in the middle, and reads all.
async fn damage_is_a_gap(config: Config) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let with_folder =
        |folder: &TempDir| Config { data_dir: Some(folder.path().to_owned()), ..config.clone() };
    let server = start(with_folder(&folder)).await?;
    let positions = publish(&server, 0..10).await?;
    server.shutdown().await;
    let path = segments(&folder)?.pop().context("a segment")?;
    let mut bytes = fs::read(&path)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes)?;

    let server = start(with_folder(&folder)).await?;
    let mut client = Client::subscribed(server.addr(), Since::Earliest).await?;
    let mut got = client.events(5).await?;
    let Received::Gap(gap) = client.receive().await? else { bail!("no gap") };
    ensure!(gap.from == positions[4] && gap.to == positions[5] && gap.reason == GapReason::Source, "{gap:?}");
    got.extend(client.events(4).await?);
    ensure!(got.iter().map(|event| event.offset).eq([0, 1, 2, 3, 4, 6, 7, 8, 9]), "{got:?}");
    let page = get(server.addr(), "/metrics", &[]).await?.body;
    ensure!(page.contains("tiercast_store_damages_total{channel=\"events\"} 1"), "{page}");
    Ok(())
}

#[tokio::test]
async fn two_servers_do_not_share_a_folder() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let first = start(with_folder(&folder)).await?;
    let second = Server::start(with_folder(&folder)).await;
    ensure!(matches!(second, Err(StartError::Store(StoreError::InUse { .. }))), "{second:?}");
    first.shutdown().await;
    start(with_folder(&folder)).await?;
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused_and_nobody_sees_it() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut config = with_folder(&folder);
    config.store.retention.segment_bytes = 65_536;
    let server = start(config).await?;
    let mut client = Client::subscribed(server.addr(), Since::Now).await?;
    let large = vec![b'x'; 70_000];
    let position = server.publisher("events")?.publish(message(large)).await?;
    // The next event begins a segment, whose place is taken.
    let path = folder.path().join(format!("events.channel/{}-{:016}.log", position.epoch, 1));
    fs::create_dir(&path)?;
    let publish = || {
        request(server.addr(), "POST", "/v1/publish/events", &[BEARER, ("tiercast-message-id", "a")], b"1")
    };
    let refused = publish().await?;
    ensure!(refused.status == 503 && refused.body.contains("nothing was published"), "{refused:?}");
    ensure!(refused.body.contains("data_dir") && refused.head.contains("retry-after"), "{refused:?}");
    fs::remove_dir(&path)?;
    let accepted = publish().await?.json()?;
    ensure!(
        accepted["duplicate"] == false && accepted["position"] == format!("{}-1", position.epoch),
        "{accepted}"
    );
    let offsets: Vec<_> = client.events(2).await?.iter().map(|event| event.offset).collect();
    ensure!(offsets == [0, 1]);
    let page = get(server.addr(), "/metrics", &[]).await?.body;
    ensure!(page.lines().any(|line| line == "tiercast_publish_refused_total 1"), "{page}");
    Ok(())
}

#[tokio::test]
async fn a_message_id_is_known_after_a_restart() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let headers = [BEARER, ("tiercast-message-id", "build-7")];
    let mut answers = Vec::new();
    for body in ["first", "second"] {
        let server = start(with_folder(&folder)).await?;
        answers.push(
            request(server.addr(), "POST", "/v1/publish/events", &headers, body.as_bytes()).await?.json()?,
        );
        server.shutdown().await;
    }
    ensure!(answers[0]["duplicate"] == false && answers[1]["duplicate"] == true, "{answers:?}");
    ensure!(answers[0]["position"] == answers[1]["position"], "{answers:?}");
    Ok(())
}

#[tokio::test]
async fn those_who_publish_the_same_at_the_same_time_get_one_answer() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = start(with_folder(&folder)).await?;
    let headers = [BEARER, ("tiercast-message-id", "once")];
    let publish = |_| request(server.addr(), "POST", "/v1/publish/events", &headers, b"x");
    let answers = try_join_all((0..20).map(publish)).await?;
    let answers = answers.iter().map(|answer| answer.json()).collect::<anyhow::Result<Vec<Value>>>()?;
    ensure!(answers.iter().all(|answer| answer["position"] == answers[0]["position"]), "{answers:?}");
    ensure!(answers.iter().filter(|answer| answer["duplicate"] == false).count() == 1, "{answers:?}");
    let page = get(server.addr(), "/metrics", &[]).await?.body;
    let has = |line: &str| page.lines().any(|other| other == line);
    for line in [
        "tiercast_published_total 1",
        "tiercast_published_duplicates_total 19",
        "tiercast_publish_refused_total 0",
        "tiercast_store_syncs_total{channel=\"events\"} 1",
        "tiercast_store_waiting_bytes{channel=\"events\"} 0",
        "tiercast_store_oldest_offset{channel=\"events\"} 0",
    ] {
        ensure!(has(line), "{line} is not in {page}");
    }
    ensure!(page.contains("tiercast_store_bytes{channel=\"events\"} "), "{page}");
    Ok(())
}

#[tokio::test]
async fn what_is_removed_because_there_is_too_much_is_a_gap_of_retention() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut config = with_folder(&folder);
    config.hub.log.bytes = 1;
    config.store.retention.segment_bytes = 65_536;
    config.store.retention.max_bytes = 1 << 20;
    let server = start(config).await?;
    let first = server.publisher("events")?.publish(message("first")).await?;
    for number in 0..40 {
        server.publisher("events")?.publish(message(crate::noise(number, 60_000))).await?;
    }
    let mut client = Client::subscribed(server.addr(), Since::Position(first)).await?;
    let Received::Gap(gap) = client.receive().await? else { bail!("no gap") };
    ensure!(gap.from == first && gap.reason == GapReason::Retention, "{gap:?}");
    let left = 40 - gap.to.offset as usize;
    ensure!((10..20).contains(&left), "{left} events of 60,000 bytes are left of 1 MiB");
    ensure!(client.events(left).await?.last().is_some_and(|event| event.offset == 40));
    Ok(())
}

#[tokio::test]
async fn publishers_for_whom_the_queue_has_no_room_wait_for_it() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut config = with_folder(&folder);
    config.store.queue_bytes = 65_536;
    let server = start(config).await?;
    let publisher = server.publisher("events")?;
    // One alone is more than the queue: it waits until it has all of it.
    let sizes = (0..64).map(|number| if number == 7 { 200_000 } else { 20_000 });
    let positions =
        try_join_all(sizes.map(|bytes| publisher.publish(message(crate::noise(1, bytes))))).await?;
    let mut offsets: Vec<_> = positions.iter().map(|position| position.offset).collect();
    offsets.sort_unstable();
    ensure!(offsets.into_iter().eq(0..64));
    let page = get(server.addr(), "/metrics", &[]).await?.body;
    let syncs =
        page.lines().find_map(|line| line.strip_prefix("tiercast_store_syncs_total{channel=\"events\"} "));
    let syncs: usize = syncs.context("a count")?.parse()?;
    ensure!((64 / 3..=64).contains(&syncs), "at most three fit at a time: {syncs} syncs");
    Ok(())
}
