//! Stopping: everybody is told, nothing is left.

use std::time::{Duration, Instant};

use anyhow::ensure;
use tiercast_codec::{Code, Since};
use tiercast_signaling_server::{PublishError, Stopped};
use tokio::net::TcpStream;

use crate::{client::Client, config, message, start};

#[tokio::test]
async fn every_session_is_told_to_come_back() -> anyhow::Result<()> {
    let server = start(config()).await?;
    let addr = server.addr();
    let publisher = server.publisher("events")?;
    let handle = server.handle().clone();
    let mut first = Client::subscribed(addr, Since::Now).await?;
    let mut second = Client::connect(addr).await?;
    let stopping = tokio::spawn(server.shutdown());
    for client in [&mut first, &mut second] {
        let (code, reason) = client.closed().await?;
        ensure!(code == Code::SHUTDOWN && code.may_reconnect() && reason.contains("shutting down"));
    }
    drop((first, second));
    stopping.await?;
    ensure!(TcpStream::connect(addr).await.is_err(), "nobody listens any more");
    ensure!(publisher.publish(message("late")).await == Err(PublishError::Stopped));
    ensure!(handle.snapshot().await.is_err_and(|error| error == Stopped));
    Ok(())
}

#[tokio::test]
async fn what_was_published_before_arrives_before_the_end() -> anyhow::Result<()> {
    let mut config = config();
    config.hub.batch.delay = Duration::from_millis(100);
    let server = start(config).await?;
    let mut client = Client::subscribed(server.addr(), Since::Now).await?;
    // The first is sealed at once; the others wait for their batch.
    for number in 0..10 {
        server.publisher("events")?.publish(message(format!("last words {number}"))).await?;
    }
    let stopping = tokio::spawn(server.shutdown());
    ensure!(client.events(10).await?[9].message == message("last words 9"));
    ensure!(client.closed().await?.0 == Code::SHUTDOWN);
    drop(client);
    stopping.await?;
    Ok(())
}

#[tokio::test]
async fn one_who_does_not_go_does_not_hold_up_the_rest() -> anyhow::Result<()> {
    let mut config = config();
    config.limits.shutdown = Duration::from_millis(300);
    config.limits.close = Duration::from_secs(20);
    let server = start(config).await?;
    // It neither reads nor closes; and one that has sent half a request.
    let _stubborn = Client::connect(server.addr()).await?;
    let half = TcpStream::connect(server.addr()).await?;
    half.writable().await?;
    half.try_write(b"GET / HTTP/1.1\r\n")?;
    let started = Instant::now();
    server.shutdown().await;
    ensure!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    Ok(())
}
