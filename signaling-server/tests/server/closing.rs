//! The closing handshake (RFC 6455, 5.5.1 and 7.1): both ends say Close before the connection ends, and nobody waits
//! for ever for the other.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::StreamExt;
use tiercast_codec::{Code, Since};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::tungstenite::{
    Message as WsMessage,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use crate::{
    client::{Client, PATIENCE, open},
    config, message, noise, start,
};

/// A masked text message of one byte, for which the server closes the session.
const TEXT: [u8; 7] = [0x81, 0x81, 0, 0, 0, 0, b'x'];
/// A masked close frame with code 1000.
const CLOSE: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8];

fn close_frame(code: u16) -> CloseFrame {
    CloseFrame { code: CloseCode::from(code), reason: "leaving".into() }
}

/// Reads the next message, which must be a short close frame; gives its code.
async fn close_code(io: &mut TcpStream) -> anyhow::Result<u16> {
    let mut head = [0; 2];
    timeout(PATIENCE, io.read_exact(&mut head)).await??;
    ensure!(head[0] == 0x88 && head[1] >= 2, "not a close frame with a code: {head:x?}");
    let mut payload = vec![0; head[1].into()];
    timeout(PATIENCE, io.read_exact(&mut payload)).await??;
    Ok(u16::from_be_bytes([payload[0], payload[1]]))
}

/// Waits until the other end has ended the connection in order; gives what came before.
async fn rest(io: &mut TcpStream) -> anyhow::Result<Vec<u8>> {
    let mut rest = Vec::new();
    timeout(PATIENCE, io.read_to_end(&mut rest)).await.context("the connection stays")??;
    Ok(rest)
}

#[tokio::test]
async fn regression_a_close_is_answered_with_the_same_code() -> anyhow::Result<()> {
    let server = start(config()).await?;
    for code in [None, Some(1000), Some(1001), Some(Code::DEPARTED.0), Some(4999)] {
        let mut socket = open(server.addr(), "tiercast.v1").await?;
        socket.close(code.map(close_frame)).await?;
        let answer = timeout(PATIENCE, socket.next()).await?.context("the end without an answer")?;
        let Ok(WsMessage::Close(answer)) = answer else { anyhow::bail!("{code:?}: {answer:?}") };
        ensure!(answer.map(|frame| frame.code.into()) == code);
        ensure!(timeout(PATIENCE, socket.next()).await?.is_none(), "the server ends the connection");
    }
    Ok(())
}

#[tokio::test]
async fn a_code_that_may_not_be_sent_is_answered_with_a_protocol_error() -> anyhow::Result<()> {
    let server = start(config()).await?;
    for code in [0_u16, 999, 1005, 1006, 1015] {
        let mut raw = open(server.addr(), "tiercast.v1").await?.into_inner();
        let mut close = CLOSE;
        close[6..].copy_from_slice(&code.to_be_bytes());
        raw.write_all(&close).await?;
        ensure!(close_code(&mut raw).await? == 1002, "{code}");
        ensure!(rest(&mut raw).await?.is_empty());
    }
    Ok(())
}

#[tokio::test]
async fn a_subscriber_that_leaves_in_the_middle_of_a_backlog_is_answered() -> anyhow::Result<()> {
    let server = start(config()).await?;
    let mut client = Client::subscribed(server.addr(), Since::Now).await?;
    for number in 0..16 {
        server.publisher("events")?.publish(message(noise(number, 1 << 20))).await?;
    }
    client.send_raw(WsMessage::Close(Some(close_frame(1000)))).await?;
    let (code, _) = client.closed().await?;
    ensure!(code.0 == 1000, "{code}");
    Ok(())
}

#[tokio::test]
async fn regression_a_server_that_closes_waits_for_the_answer() -> anyhow::Result<()> {
    let mut config = config();
    config.limits.close = PATIENCE;
    let server = start(config).await?;
    let mut raw = open(server.addr(), "tiercast.v1").await?.into_inner();
    raw.write_all(&TEXT).await?;
    ensure!(close_code(&mut raw).await? == Code::MALFORMED.0);
    // It cannot be seen that something will never come. A server that does not wait has ended long before.
    let early = timeout(Duration::from_millis(300), raw.read_u8()).await;
    ensure!(early.is_err(), "it did not wait: {early:?}");
    raw.write_all(&TEXT).await?;
    raw.write_all(&CLOSE).await?;
    ensure!(rest(&mut raw).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn one_who_never_answers_is_waited_for_as_long_as_configured() -> anyhow::Result<()> {
    const LIMIT: Duration = Duration::from_millis(400);
    let mut config = config();
    config.limits.close = LIMIT;
    let server = start(config).await?;
    // One does not answer the close; the other closes, and then does not end its side of the connection.
    for (last_words, code) in [(&TEXT[..], Code::MALFORMED.0), (&CLOSE, 1000)] {
        let mut raw = open(server.addr(), "tiercast.v1").await?.into_inner();
        let started = Instant::now();
        raw.write_all(last_words).await?;
        ensure!(close_code(&mut raw).await? == code);
        ensure!(rest(&mut raw).await?.is_empty());
        ensure!(started.elapsed() < PATIENCE / 2, "{:?}", started.elapsed());
        // What is written to a connection that is gone is answered with a reset.
        let gone = async {
            while raw.write_all(&TEXT).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, gone).await.context("the server still listens")?;
        ensure!(started.elapsed() >= LIMIT, "{:?}", started.elapsed());
    }
    Ok(())
}
