//! A broker that cannot be reached: what the log and `/readyz` say. What needs a real one is in `tests/`.

use std::net::TcpListener;

use anyhow::{Context, bail, ensure};
use tiercast_mesh::SourceUpdate;
use tiercast_signaling_server::source::{
    Source,
    amqp::{AmqpChannelConfig, AmqpConfig, AmqpSource, BindingConfig},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};

use crate::{client::PATIENCE, http_client, program::Program};

/// An address at which nobody listens.
fn closed_port() -> anyhow::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// Why a source at this address says that it is lost.
async fn reason(address: &str) -> anyhow::Result<String> {
    let channel = AmqpChannelConfig::new("builds", vec![BindingConfig::new("ci", ["#"])]);
    let mut config = AmqpConfig::new(format!("amqp://me:hunter2@{address}/%2f"), vec![channel]);
    config.connect_timeout_ms = 500;
    let (sink, mut updates) = mpsc::channel(1);
    let (_running, stop) = watch::channel(false);
    let mut source = JoinSet::new();
    source.spawn(Box::new(AmqpSource::new(config)?).run(sink, stop));
    let update = timeout(PATIENCE, updates.recv()).await.context("nothing was said")?;
    match update.context("the source has ended")?.1 {
        SourceUpdate::Lost { reason } => Ok(reason),
        other => bail!("not lost: {other:?}"),
    }
}

#[tokio::test]
async fn a_broker_that_cannot_be_reached_is_named_with_a_remedy_and_without_its_password()
-> anyhow::Result<()> {
    let frozen = TcpListener::bind("127.0.0.1:0")?;
    let cases = [
        (closed_port()?, "is RabbitMQ running there? check host and port in amqp.url"),
        ("nowhere.invalid:5672".to_owned(), "check host and port in amqp.url"),
        (frozen.local_addr()?.to_string(), "is it frozen"),
    ];
    for (address, remedy) in cases {
        let reason = reason(&address).await?;
        ensure!(reason.contains(&format!("amqp://me:***@{address}")), "{reason}");
        ensure!(reason.contains(remedy) && !reason.contains("hunter2"), "{reason}");
    }
    Ok(())
}

#[tokio::test]
async fn the_log_and_readyz_name_the_broker_and_the_remedy() -> anyhow::Result<()> {
    let address = closed_port()?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("tiercast.toml");
    let text = format!(
        "[amqp]\nurl = \"amqp://me:hunter2@{address}/%2f\"\n[[channels]]\nname = \"builds\"\nsource = \"amqp\"\n\
         bindings = [{{ exchange = \"ci\", patterns = [\"#\"] }}]\n"
    );
    std::fs::write(&path, text)?;
    let mut program = Program::start(&["--config", path.to_str().context("a path in UTF-8")?]).await?;
    let is_whole = |text: &str| {
        text.contains(&format!("amqp://me:***@{address}"))
            && text.contains("is RabbitMQ running there?")
            && !text.contains("hunter2")
    };
    let line = program.line_with("not connected to the broker").await?;
    ensure!(is_whole(&line), "{line}");
    // Until the source has said it to the hub.
    let lost = async {
        loop {
            let ready = http_client::get(program.addr, "/readyz", &[]).await?;
            ensure!(ready.status == 503, "{ready:?}");
            if ready.body.contains("is lost") {
                return Ok(ready.body);
            }
        }
    };
    let body = timeout(PATIENCE, lost).await??;
    ensure!(is_whole(&body), "{body}");
    Ok(())
}
