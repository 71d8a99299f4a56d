//! JSON over WebSocket.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, ensure};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tiercast_signaling_server::{
    Config, LogLimits, Message, Server,
    source::amqp::{AmqpConfig, dynamic::DynamicConfig},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message as WsMessage, client::IntoClientRequest},
};

use crate::{config, message, start};

const DEADLINE: Duration = Duration::from_secs(20);

/// A client that speaks JSON.
pub struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    requests: u64,
}

impl Client {
    pub async fn connect(addr: SocketAddr) -> anyhow::Result<Self> {
        Self::connect_at(addr, "/v1/ws").await
    }

    pub async fn connect_at(addr: SocketAddr, path: &str) -> anyhow::Result<Self> {
        let mut request = format!("ws://{addr}{path}").into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", "tiercast.v1.json".parse()?);
        let (socket, answer) = connect_async(request).await?;
        assert_eq!(answer.headers()["sec-websocket-protocol"], "tiercast.v1.json");
        Ok(Self { socket, requests: 0 })
    }

    async fn say(&mut self, message: Value) -> anyhow::Result<()> {
        Ok(self.socket.send(WsMessage::text(message.to_string())).await?)
    }

    /// The next message; or the code with which the server closed.
    pub async fn hear(&mut self) -> anyhow::Result<Value> {
        loop {
            let message = timeout(DEADLINE, self.socket.next()).await?.context("the end")??;
            match message {
                WsMessage::Text(text) => return Ok(serde_json::from_str(&text)?),
                WsMessage::Close(frame) => {
                    return Ok(json!({ "closed": frame.context("no code")?.code.to_string() }));
                }
                _ => {}
            }
        }
    }

    /// Asks for something, and hears the answer; what comes before it is given, too.
    async fn ask(&mut self, mut request: Value) -> anyhow::Result<(Value, Vec<Value>)> {
        self.requests += 1;
        request["id"] = json!(self.requests);
        self.say(request).await?;
        let mut before = Vec::new();
        loop {
            let message = self.hear().await?;
            if message["id"] == json!(self.requests) {
                return Ok((message, before));
            }
            before.push(message);
        }
    }

    pub async fn answer(&mut self, request: Value) -> anyhow::Result<Value> {
        let (answer, before) = self.ask(request).await?;
        anyhow::ensure!(before.is_empty(), "{before:?}");
        Ok(answer)
    }

    /// Checks that this is what a server that stops says to the session as a whole, and that it closes then. Returns when to
    /// come back, in ms.
    pub async fn check_let_go(&mut self, last: &Value) -> anyhow::Result<u64> {
        ensure!((&last["type"], &last["code"]) == (&json!("error"), &json!(3000)), "{last}");
        ensure!(last.get("id").or(last.get("channel")).is_none(), "it is about the session: {last}");
        ensure!(self.hear().await? == json!({"closed": "3000"}), "not closed with the same code");
        last["retry_after_ms"].as_u64().context("not told when to come back")
    }

    /// So many events, by their bodies.
    pub async fn bodies(&mut self, count: usize) -> anyhow::Result<Vec<String>> {
        let mut bodies = Vec::new();
        while bodies.len() < count {
            let event = self.hear().await?;
            anyhow::ensure!(event["type"] == json!("event"), "{event}");
            bodies.push(event["body"].as_str().unwrap_or_default().to_owned());
        }
        Ok(bodies)
    }
}

async fn publish(server: &Server, routing_key: &str, bodies: &[&str]) -> anyhow::Result<String> {
    let publisher = server.publisher("events")?;
    let mut last = String::new();
    for body in bodies {
        let message = Message { routing_key: routing_key.to_owned(), ..message(*body) };
        last = publisher.publish(message).await?.to_string();
    }
    Ok(last)
}

#[tokio::test]
async fn regression_a_quiet_subscription_beside_a_busy_one_is_told_that_it_moves() -> anyhow::Result<()> {
    let mut config = config();
    config.limits.reader_heartbeat = Duration::from_millis(200);
    config.embedded_channels = vec!["events".parse()?, "other".parse()?];
    let server = start(config).await?;
    let mut client = Client::connect(server.addr()).await?;
    client.answer(json!({"type": "subscribe", "channel": "events"})).await?;
    client.answer(json!({"type": "subscribe", "channel": "other", "match": ["wanted"]})).await?;
    let unwanted = server.publisher("other")?.publish(message("no")).await?.to_string();
    let busy = async {
        loop {
            publish(&server, "busy", &["yes"]).await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let told = async {
        loop {
            let message = client.hear().await?;
            if message["channel"] == json!("other") {
                return anyhow::Ok(message);
            }
        }
    };
    let told = tokio::select! {
        busy = busy => busy,
        told = timeout(DEADLINE, told) => told?,
    }?;
    assert_eq!(told, json!({"type": "at", "channel": "other", "position": unwanted}));
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn a_client_subscribes_and_comes_back_where_it_was() -> anyhow::Result<()> {
    let server = start(config()).await?;
    publish(&server, "a.b", &["zero"]).await?;
    let mut client = Client::connect(server.addr()).await?;
    let welcome = client.answer(json!({"type": "hello", "protocol": 1, "client": "test"})).await?;
    assert_eq!((&welcome["type"], &welcome["heartbeat_ms"]), (&json!("welcome"), &json!(15_000)));
    let subscribe = json!({"type": "subscribe", "channel": "events", "since": "earliest"});
    let subscribed = client.answer(subscribe).await?;
    assert_eq!((&subscribed["type"], &subscribed["recovered"]), (&json!("subscribed"), &json!(true)));
    let event = client.hear().await?;
    assert_eq!((&event["routing_key"], &event["body"]), (&json!("a.b"), &json!("zero")));
    publish(&server, "a.b", &["one"]).await?;
    let event = client.hear().await?;
    drop(client);
    publish(&server, "a.b", &["two"]).await?;
    let mut client = Client::connect(server.addr()).await?;
    client.answer(json!({"type": "subscribe", "channel": "events", "since": event["position"]})).await?;
    publish(&server, "a.b", &["three"]).await?;
    assert_eq!(client.bodies(2).await?, ["two", "three"]);
    let answer = client.answer(json!({"type": "unsubscribe", "channel": "events"})).await?;
    assert_eq!(answer["type"], json!("unsubscribed"));
    publish(&server, "a.b", &["four"]).await?;
    client.say(json!({"type": "ping", "time_us": 5})).await?;
    assert_eq!(client.hear().await?, json!({"type": "pong", "time_us": 5}));
    server.shutdown().await;
    let last = client.hear().await?;
    client.check_let_go(&last).await?;
    Ok(())
}

#[tokio::test]
async fn what_is_wanted_changes_while_subscribed_at_a_place_that_is_told() -> anyhow::Result<()> {
    let server = start(config()).await?;
    let mut client = Client::connect(server.addr()).await?;
    client.answer(json!({"type": "subscribe", "channel": "events", "match": ["a.*"]})).await?;
    let before = publish(&server, "a.b", &["yes"]).await?;
    assert_eq!(client.bodies(1).await?, ["yes"]);
    publish(&server, "b", &["no"]).await?;
    let bound = client.answer(json!({"type": "bind", "channel": "events", "match": ["b", "c"]})).await?;
    assert_eq!(bound["match"], json!(["a.*", "b", "c"]));
    assert!(bound["position"].as_str() >= Some(&before), "{bound}");
    publish(&server, "b", &["now it is"]).await?;
    let event = client.hear().await?;
    if event["body"] == json!("no") {
        // It had not been read when the patterns changed, and that is what the answer says.
        assert_eq!(bound["position"], json!(before));
        assert_eq!(client.bodies(1).await?, ["now it is"]);
    } else {
        assert_eq!(event["body"], json!("now it is"));
    }
    for pattern in ["a.*", "b", "c"] {
        client.answer(json!({"type": "unbind", "channel": "events", "match": [pattern]})).await?;
    }
    publish(&server, "b", &["nothing is wanted"]).await?;
    client.answer(json!({"type": "bind", "channel": "events", "match": ["x.#"]})).await?;
    publish(&server, "x", &["this is"]).await?;
    assert_eq!(client.bodies(1).await?, ["this is"]);
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn a_paused_subscription_gets_nothing_and_then_all_of_it() -> anyhow::Result<()> {
    let server = start(config()).await?;
    let mut client = Client::connect(server.addr()).await?;
    client.answer(json!({"type": "subscribe", "channel": "events"})).await?;
    let paused = client.answer(json!({"type": "pause", "channel": "events"})).await?;
    assert_eq!(paused["type"], json!("paused"));
    publish(&server, "a", &["one", "two"]).await?;
    client.answer(json!({"type": "hello", "protocol": 1})).await?;
    let (resumed, before) = client.ask(json!({"type": "resume", "channel": "events"})).await?;
    assert_eq!(resumed["position"], paused["position"]);
    let missing = 2 - before.len();
    assert_eq!(client.bodies(missing).await?, ["one", "two"][before.len()..]);
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn one_that_paused_for_too_long_is_told_what_is_gone() -> anyhow::Result<()> {
    let mut config = config();
    config.hub.log = LogLimits { bytes: 1 << 20, entries: 1 };
    config.hub.batch.delay = Duration::ZERO;
    let server = start(config).await?;
    let mut client = Client::connect(server.addr()).await?;
    client.answer(json!({"type": "subscribe", "channel": "events"})).await?;
    let paused = client.answer(json!({"type": "pause", "channel": "events"})).await?;
    publish(&server, "a", &["one", "two", "three"]).await?;
    client.say(json!({"type": "resume", "id": 9, "channel": "events"})).await?;
    let heard = [client.hear().await?, client.hear().await?, client.hear().await?];
    let gap = heard.iter().find(|message| message["type"] == json!("gap")).context("no gap")?;
    assert_eq!((&gap["from"], &gap["reason"]), (&paused["position"], &json!("retention")));
    assert!(heard.iter().any(|message| message["body"] == json!("three")), "{heard:?}");
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_done_is_answered_and_what_cannot_be_read_ends_the_session() -> anyhow::Result<()> {
    let mut config = config();
    config.limits.patterns_max = 2;
    config.hub.subscriptions_max = 1;
    let server = start(config).await?;
    let mut client = Client::connect(server.addr()).await?;
    for (request, code) in [
        (json!({"type": "subscribe", "channel": "nothing"}), 3505),
        (json!({"type": "subscribe", "channel": "events", "match": ["a*"]}), 3506),
        (json!({"type": "subscribe", "channel": "events", "match": ["a", "b", "c"]}), 3506),
        (json!({"type": "pause", "channel": "events"}), 3508),
        (json!({"type": "dance"}), 3507),
        (json!({"type": "subscribe", "channel": "events", "match": ["a", "b"]}), 0),
        (json!({"type": "bind", "channel": "events", "match": ["c"]}), 3506),
        (json!({"type": "subscribe", "channel": "events"}), 3506),
        (json!({"type": "subscribe", "channel": "others"}), 3506),
    ] {
        let answer = client.answer(request.clone()).await?;
        assert_eq!(answer["code"].as_u64().unwrap_or_default(), code, "{request}: {answer}");
    }
    client.socket.send(WsMessage::text("not JSON")).await?;
    assert_eq!(client.hear().await?, json!({"closed": "3500"}));
    for wrong in [WsMessage::binary(vec![1]), WsMessage::text(" ".repeat(70_000))] {
        let mut client = Client::connect(server.addr()).await?;
        client.socket.send(wrong).await?;
        assert_eq!(client.hear().await?, json!({"closed": "3500"}));
    }
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn a_quiet_client_is_asked_whether_it_is_there_and_told_where_it_is() -> anyhow::Result<()> {
    let mut config = config();
    config.limits.reader_heartbeat = Duration::from_millis(100);
    let server = start(config).await?;
    let mut client = Client::connect(server.addr()).await?;
    client.answer(json!({"type": "subscribe", "channel": "events", "match": ["a"]})).await?;
    let position = publish(&server, "b", &["not wanted"]).await?;
    assert_eq!(client.hear().await?, json!({"type": "at", "channel": "events", "position": position}));
    // One that has long been sent events, and had no reason to say anything, is not gone.
    for _ in 0..50 {
        let a = publish(&server, "a", &["wanted"]).await?;
        assert_eq!(client.hear().await?["position"], json!(a));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let position = publish(&server, "b", &["not wanted"]).await?;
    assert_eq!(client.hear().await?["position"], json!(position), "told after a heartbeat");
    // One who does not read does not answer.
    let mut silent = Client::connect(server.addr()).await?;
    silent.answer(json!({"type": "hello", "protocol": 1})).await?;
    let gone = async {
        loop {
            let raw = silent.socket.get_mut();
            let MaybeTlsStream::Plain(raw) = raw else { anyhow::bail!("not plain") };
            let mut bytes = [0; 256];
            let read = tokio::io::AsyncReadExt::read(raw, &mut bytes).await?;
            let says_silent = bytes[..read].windows(2).any(|two| two == 3001_u16.to_be_bytes());
            if says_silent {
                return Ok(());
            }
            anyhow::ensure!(read > 0, "the end without a word");
        }
    };
    timeout(DEADLINE, gone).await??;
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn while_an_exchange_is_being_bound_a_client_is_served_all_else() -> anyhow::Result<()> {
    let exchanges = vec!["open/*".parse()?];
    let dynamic = DynamicConfig { exchanges, bind_ms: 3_000, ..DynamicConfig::default() };
    // Nobody listens there.
    let amqp = AmqpConfig { dynamic, ..AmqpConfig::new("amqp://127.0.0.1:1".parse()?, Vec::new()) };
    let mut config = Config { amqp: Some(amqp), ..config() };
    config.hub.subscriptions_max = 2;
    let server = start(config).await?;
    let mut client = Client::connect(server.addr()).await?;
    client.say(json!({"type": "subscribe", "id": 100, "exchange": "open/a", "match": ["#"]})).await?;
    let subscribed = client.answer(json!({"type": "subscribe", "channel": "events"})).await?;
    assert_eq!(subscribed["type"], json!("subscribed"));
    publish(&server, "a", &["meanwhile"]).await?;
    assert_eq!(client.bodies(1).await?, ["meanwhile"]);
    let more = json!({"type": "subscribe", "exchange": "open/b", "match": ["#"]});
    let refused = client.answer(more.clone()).await?;
    assert_eq!(refused["code"], json!(3506), "what is being bound counts: {refused}");
    let late = client.hear().await?;
    assert_eq!((&late["id"], &late["code"]), (&json!(100), &json!(3004)), "{late}");
    client.say(json!({"type": "subscribe", "id": 101, "exchange": "open/b", "match": ["#"]})).await?;
    client.answer(json!({"type": "hello", "protocol": 1})).await?;
    server.shutdown().await;
    let mut last = client.hear().await?;
    if last["id"] == json!(101) {
        assert_eq!(last["code"], json!(3000), "{last}");
        last = client.hear().await?;
    }
    client.check_let_go(&last).await.context("nobody waits for an exchange then")?;
    Ok(())
}
