//! Publishing over HTTP: who may, what arrives, and what is refused.

use std::collections::BTreeMap;

use anyhow::ensure;
use tiercast_codec::{HeaderValue, Message, Since};

use crate::{
    API_KEY,
    client::Client,
    config,
    http_client::{Response, request},
    start,
};

/// Path, headers, body, expected status, and a word of the expected cure.
type Refusal<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [u8], u16, &'a str);

const BEARER: &str = "Bearer correct-horse-battery";

async fn publish(
    addr: std::net::SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> anyhow::Result<Response> {
    request(addr, "POST", path, headers, body).await
}

#[tokio::test]
async fn an_event_arrives_byte_for_byte_with_everything_said_about_it() -> anyhow::Result<()> {
    let server = start(config()).await?;
    let mut client = Client::subscribed(server.addr(), Since::Now).await?;
    let body: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    let headers = [
        ("authorization", BEARER),
        ("content-type", "application/x-test; charset=utf-8"),
        ("tiercast-message-id", "id-7"),
        ("tiercast-timestamp", "1790000000"),
        ("tiercast-header-branch", "main"),
    ];
    let answer = publish(server.addr(), "/v1/publish/events?routing_key=a.b%20c", &headers, &body).await?;
    ensure!(answer.status == 200, "{answer:?}");
    let event = client.events(1).await?.remove(0);
    let position = client.position.map(|position| position.to_string());
    ensure!(answer.json()?["position"].as_str() == position.as_deref());
    let expected = Message {
        routing_key: "a.b c".to_owned(),
        exchange: String::new(),
        content_type: Some("application/x-test; charset=utf-8".to_owned()),
        message_id: Some("id-7".to_owned()),
        timestamp: Some(1_790_000_000),
        headers: BTreeMap::from([("branch".to_owned(), HeaderValue::Text("main".to_owned()))]),
        body: body.into(),
    };
    ensure!(event.message == expected, "{event:?}");
    Ok(())
}

#[tokio::test]
async fn an_empty_event_has_the_channels_name_as_routing_key() -> anyhow::Result<()> {
    let server = start(config()).await?;
    let mut client = Client::subscribed(server.addr(), Since::Now).await?;
    let answer = publish(server.addr(), "/v1/publish/events", &[("authorization", BEARER)], b"").await?;
    ensure!(answer.status == 200, "{answer:?}");
    let event = client.events(1).await?.remove(0);
    ensure!(event.message == Message { routing_key: "events".to_owned(), ..Message::default() });
    Ok(())
}

#[tokio::test]
async fn each_refusal_says_what_to_do() -> anyhow::Result<()> {
    let mut config = config();
    config.limits.publish_bytes = 1_000;
    let server = start(config).await?;
    let authorized = [("authorization", BEARER)];
    let long_key = format!("/v1/publish/events?routing_key={}", "k".repeat(256));
    let too_large = vec![0; 1_001];
    let cases: [Refusal<'_>; 10] = [
        ("/v1/publish/events", &[], b"x", 401, "Authorization: Bearer"),
        ("/v1/publish/events", &[("authorization", "Bearer wrong-key-entirely")], b"x", 401, "api_keys"),
        ("/v1/publish/events", &[("authorization", "Basic abc")], b"x", 401, "Bearer"),
        ("/v1/publish/nothing", &authorized, b"x", 404, "/v1/channels"),
        ("/v1/publish/no%20name", &authorized, b"x", 404, "/v1/channels"),
        ("/v1/publish/events", &authorized, &too_large, 413, "limits.publish_bytes"),
        ("/v1/publish/events?routingkey=x", &authorized, b"x", 400, "routing_key"),
        (&long_key, &authorized, b"x", 400, "255"),
        ("/v1/publish/events", &[authorized[0], ("tiercast-timestamp", "noon")], b"x", 400, "seconds"),
        (
            "/v1/publish/events",
            &[authorized[0], ("tiercast-message-id", "\u{e9}"), ("tiercast-message-id", "b")],
            b"x",
            400,
            "once",
        ),
    ];
    for (path, headers, body, status, word) in cases {
        let answer = publish(server.addr(), path, headers, body).await?;
        ensure!(answer.status == status, "{path}: {answer:?}");
        let json = answer.json()?;
        ensure!(json["error"].as_str().is_some_and(|error| !error.is_empty()), "{json}");
        ensure!(json["fix"].as_str().is_some_and(|fix| fix.contains(word)), "{json}");
        ensure!(!answer.body.contains(API_KEY));
    }
    ensure!(server.handle().snapshot().await?.channels[0].stats.events == 0, "nothing was published");
    Ok(())
}

#[tokio::test]
async fn without_a_key_nobody_may_publish() -> anyhow::Result<()> {
    let mut config = config();
    config.api_keys.clear();
    let server = start(config).await?;
    for headers in [&[][..], &[("authorization", "Bearer ")], &[("authorization", BEARER)]] {
        let answer = publish(server.addr(), "/v1/publish/events", headers, b"x").await?;
        ensure!(answer.status == 403 && answer.body.contains("api_keys"), "{answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_channel_of_a_broker_is_not_published_to_here() -> anyhow::Result<()> {
    use tiercast_signaling_server::source::amqp::{AmqpChannelConfig, AmqpConfig, BindingConfig};
    let mut config = config();
    let binding = BindingConfig::new("exchange", ["#"])?;
    // Nobody listens there: the source retries for as long as the server runs.
    let channel = AmqpChannelConfig::new("builds".parse()?, vec![binding]);
    config.amqp = Some(AmqpConfig::new("amqp://127.0.0.1:1/%2f".parse()?, vec![channel]));
    let server = start(config).await?;
    let answer = publish(server.addr(), "/v1/publish/builds", &[("authorization", BEARER)], b"x").await?;
    ensure!(answer.status == 404 && answer.body.contains("broker"), "{answer:?}");
    let ready = crate::http_client::get(server.addr(), "/readyz", &[]).await?;
    ensure!(ready.status == 503 && ready.body.contains("builds"), "{ready:?}");
    let mut client = Client::connect(server.addr()).await?;
    let refused = client.subscribe("builds", Since::Now).await?.err();
    ensure!(
        refused.is_some_and(
            |error| error.code == tiercast_codec::Code::NOT_READY && error.retry_after_ms.is_some()
        )
    );
    server.shutdown().await;
    Ok(())
}
