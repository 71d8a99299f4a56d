//! Reads a channel by JSON over WebSocket: an event a line. Needs futures-util, serde_json, tokio and tokio-tungstenite.

use std::{
    error::Error,
    time::{Duration, SystemTime},
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

/// The server says something every 15 s, if only that it is there.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// From this code on it makes no sense to come back.
const FINAL: u64 = 3500;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or("ws://127.0.0.1:8780/v1/ws".to_owned());
    let channel = arguments.next().unwrap_or("events".to_owned());
    let mut position = "earliest".to_owned();
    loop {
        if let Err(error) = read(&url, &channel, &mut position).await {
            eprintln!("{error}");
        }
        sleep(Duration::from_millis(500) + jitter()).await;
    }
}

/// Reads until the connection ends.
async fn read(url: &str, channel: &str, position: &mut String) -> Result<(), Box<dyn Error>> {
    let mut request = url.into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", "tiercast.v1.json".parse()?);
    let (mut socket, _) = connect_async(request).await?;
    let subscribe = json!({"type": "subscribe", "id": 1, "channel": channel, "since": position});
    socket.send(Message::text(subscribe.to_string())).await?;
    while let Some(message) = timeout(SILENCE_MAX, socket.next()).await? {
        let text = match message? {
            Message::Text(text) => text,
            Message::Close(Some(close)) => {
                end_if_final(u16::from(close.code).into(), &close.reason);
                return Err(close.reason.as_str().into());
            }
            _ => continue,
        };
        let said: Value = serde_json::from_str(&text)?;
        let mut reached = &said["position"];
        match said["type"].as_str() {
            Some("event") => println!("{text}"),
            Some("gap") => {
                eprintln!("events are gone for good: {text}");
                reached = &said["to"];
            }
            Some("error") => {
                end_if_final(said["code"].as_u64().unwrap_or_default(), &text);
                return Err(text.as_str().into());
            }
            _ => {}
        }
        if let Some(reached) = reached.as_str() {
            *position = reached.to_owned();
        }
    }
    Ok(())
}

/// Ends the program, with what was said, where asking again would bring the same answer.
fn end_if_final(code: u64, said: &str) {
    if code >= FINAL {
        eprintln!("{said}");
        std::process::exit(1);
    }
}

/// Up to a second, so that not everybody comes back at once.
fn jitter() -> Duration {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Duration::from_nanos(now.subsec_nanos().into())
}
