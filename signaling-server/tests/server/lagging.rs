//! Slow readers: they delay nobody, lose nothing that is kept, and are told what is not.

use std::time::Duration;

use anyhow::ensure;
use tiercast_codec::{GapReason, Since};

use crate::{
    client::{Client, PATIENCE, Received},
    config, message, noise, start,
};

const EVENT_BYTES: usize = 100_000;

/// More than all socket buffers between server and client hold.
const EVENTS: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_delays_nobody_and_loses_nothing() -> anyhow::Result<()> {
    let server = start(config()).await?;
    let mut slow = Client::connect_narrow(server.addr()).await?;
    ensure!(slow.subscribe("events", Since::Now).await?.is_ok());
    let mut fast = Client::subscribed(server.addr(), Since::Now).await?;
    let publisher = server.publisher("events")?;
    let publishing = async {
        for number in 0..EVENTS {
            publisher.publish(message(noise(number as u64, EVENT_BYTES))).await?;
        }
        anyhow::Ok(())
    };
    let (published, received) = tokio::join!(publishing, fast.events(EVENTS));
    published?;
    received?;

    // The fast one has everything, and the slow one has not read a byte: its cursor lags.
    let stats = server.handle().snapshot().await?.channels.remove(0).stats;
    let all = 2 * (EVENTS * EVENT_BYTES) as u64;
    ensure!(stats.data_bytes < all * 9 / 10, "{} of {all} bytes: nobody lagged", stats.data_bytes);
    let events = slow.events(EVENTS).await?;
    for (number, event) in events.iter().enumerate() {
        ensure!(event.message == message(noise(number as u64, EVENT_BYTES)), "event {number}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_falls_off_the_log_gets_a_gap_and_goes_on() -> anyhow::Result<()> {
    let mut config = config();
    config.hub.log.bytes = 10 * EVENT_BYTES;
    let server = start(config).await?;
    let mut slow = Client::connect_narrow(server.addr()).await?;
    ensure!(slow.subscribe("events", Since::Now).await?.is_ok());
    let publisher = server.publisher("events")?;
    for number in 0..EVENTS {
        publisher.publish(message(noise(number as u64, EVENT_BYTES))).await?;
    }
    // The client checks that frames and gaps continue each other.
    let (mut events, mut gaps) = (Vec::new(), 0);
    while slow.position.is_none_or(|position| position.offset < EVENTS as i64 - 1) {
        match slow.receive().await? {
            Received::Events(more) => events.extend(more),
            Received::Gap(gap) => {
                ensure!(gap.reason == GapReason::Retention, "{gap:?}");
                gaps += 1;
            }
            Received::Closed(code, reason) => anyhow::bail!("closed: {code} {reason}"),
        }
    }
    ensure!(gaps > 0 && events.len() < EVENTS, "{gaps} gaps, {} events", events.len());
    for event in &events {
        ensure!(event.message == message(noise(event.offset as u64, EVENT_BYTES)), "event {}", event.offset);
    }
    ensure!(server.handle().snapshot().await?.channels[0].stats.gaps == gaps);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_whose_connection_takes_nothing_for_long_is_closed() -> anyhow::Result<()> {
    let mut config = config();
    config.limits.write_stall = Duration::from_millis(200);
    let server = start(config).await?;
    let mut stalled = Client::connect_narrow(server.addr()).await?;
    ensure!(stalled.subscribe("events", Since::Now).await?.is_ok());
    let publisher = server.publisher("events")?;
    for number in 0..EVENTS {
        publisher.publish(message(noise(number as u64, EVENT_BYTES))).await?;
    }
    tokio::time::timeout(PATIENCE, async {
        while server.handle().snapshot().await?.sessions > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        anyhow::Ok(())
    })
    .await??;
    let page = crate::http_client::get(server.addr(), "/metrics", &[]).await?;
    ensure!(page.body.contains("tiercast_sessions_stalled_total 1"));
    drop(stalled);
    Ok(())
}
