//! Dynamic channels where the broker has no part in it; with one: `tests/tests/dynamic_channels.rs`.

use anyhow::{Context, ensure};
use tiercast_codec::{Code, Pattern};
use tiercast_signaling_server::{
    Config, Server,
    source::amqp::{
        AmqpConfig,
        dynamic::{DynamicConfig, DynamicError},
    },
};

use crate::http_client::get;

async fn ask(server: &Server, exchange: &str) -> Result<(), DynamicError> {
    let everything: Pattern = "#".parse().expect("a pattern");
    server.handle().dynamic(exchange, [everything]).await.map(|_| ())
}

#[tokio::test]
async fn without_a_connection_those_who_ask_are_told_to_come_back() -> anyhow::Result<()> {
    let dynamic =
        DynamicConfig { exchanges: vec!["open/*".parse()?], bind_ms: 200, ..DynamicConfig::default() };
    // Nobody listens there.
    let amqp = AmqpConfig { dynamic, ..AmqpConfig::new("amqp://127.0.0.1:1".parse()?, Vec::new()) };
    let listen = "127.0.0.1:0".parse()?;
    let config = Config { listen, embedded_channels: Vec::new(), amqp: Some(amqp), ..Config::default() };
    let server = Server::start(config).await?;
    for (exchange, code) in [("open/a", Code::NOT_READY), ("secret", Code::NOT_ALLOWED)] {
        ensure!(ask(&server, exchange).await.map_err(|error| error.code()) == Err(code), "{exchange}");
    }
    let metrics = get(server.addr(), "/metrics", &[]).await?.body;
    for line in [
        "tiercast_dynamic_refused_total{reason=\"not_ready\"} 1",
        "tiercast_dynamic_refused_total{reason=\"not_allowed\"} 1",
        "tiercast_dynamic_bindings 0",
        "tiercast_config_amqp_dynamic_bind_ms 200",
    ] {
        ensure!(metrics.contains(line), "{line} is not in {metrics}");
    }
    let ready = get(server.addr(), "/readyz", &[]).await?;
    ensure!(ready.status == 200, "what clients ask for is no matter of the server's: {}", ready.body);
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn a_server_without_a_broker_has_no_exchanges() -> anyhow::Result<()> {
    let listen = "127.0.0.1:0".parse()?;
    let server = Server::start(Config { listen, ..Config::default() }).await?;
    let refusal = ask(&server, "any").await.err().context("allowed")?;
    ensure!(refusal.code() == Code::NOT_ALLOWED, "{refusal}");
    server.shutdown().await;
    Ok(())
}
