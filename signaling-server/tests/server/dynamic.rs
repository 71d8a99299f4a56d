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

/// A server that allows `open/*`, with a broker that is not there.
async fn without_a_broker() -> anyhow::Result<Server> {
    let dynamic =
        DynamicConfig { exchanges: vec!["open/*".parse()?], bind_ms: 200, ..DynamicConfig::default() };
    // Nobody listens there.
    let amqp = AmqpConfig { dynamic, ..AmqpConfig::new("amqp://127.0.0.1:1".parse()?, Vec::new()) };
    let listen = "127.0.0.1:0".parse()?;
    let config = Config { listen, embedded_channels: Vec::new(), amqp: Some(amqp), ..Config::default() };
    Ok(Server::start(config).await?)
}

#[tokio::test]
async fn without_a_connection_those_who_ask_are_told_to_come_back() -> anyhow::Result<()> {
    let server = without_a_broker().await?;
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
async fn regression_clients_of_taskcluster_events_come_back_to_a_server_that_has_no_connection_yet()
-> anyhow::Result<()> {
    let server = without_a_broker().await?;
    let connect = |exchange: &str| {
        let binding = format!("%7B%22exchange%22:%22{exchange}%22,%22routingKeyPattern%22:%22%23%22%7D");
        format!("/api/events/v1/connect/?bindings=%7B%22bindings%22:[{binding}]%7D")
    };
    // A browser's `EventSource` gives up for good where it is answered with an error, and these clients do at an `error`.
    let answer = get(server.addr(), &connect("open/a"), &[]).await?;
    ensure!(answer.status == 200 && answer.body.contains("retry: "), "{answer:?}");
    ensure!(answer.body.contains("3004") && !answer.body.contains("event: error"), "{answer:?}");
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn regression_clients_of_taskcluster_events_are_told_by_an_error_event_what_is_wrong()
-> anyhow::Result<()> {
    let server = without_a_broker().await?;
    // As the libraries make it for a route of the queue.
    let binding =
        r#"{"exchange":"EXCHANGE","routingKeyPattern":"%23","routingKeyReference":[{"name":"taskId"}]}"#;
    let bindings = |exchange: &str| format!(r#"{{"bindings":[{}]}}"#, binding.replace("EXCHANGE", exchange));
    for (path, bindings, code) in [
        ("/connect/", bindings("secret"), 3509),
        ("/connect", bindings("secret"), 3509),
        ("/connect/", r#"{"bindings":[]}"#.to_owned(), 3506),
        ("/connect/", "nonsense".to_owned(), 3506),
    ] {
        let bindings = bindings.replace('{', "%7B").replace('}', "%7D").replace('"', "%22");
        let path = format!("/api/events/v1{path}?bindings={bindings}");
        let answer = get(server.addr(), &path, &[]).await?;
        let said = format!("\"code\":{code}");
        ensure!(answer.status == 200 && answer.body.contains("event: error"), "{path}: {answer:?}");
        ensure!(answer.body.contains(&said), "{path}: {answer:?}");
    }
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
