//! A broker that cannot be reached: what the log and `/readyz` say. What needs a real one is in `tests/`.

use std::net::TcpListener;

use anyhow::{Context, bail, ensure};
use tiercast_mesh::SourceUpdate;
use tiercast_signaling_server::source::{
    Source,
    amqp::{AmqpChannelConfig, AmqpConfig, AmqpSource, BindingConfig},
};
use tokio::{
    net::TcpSocket,
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};

use crate::{client::PATIENCE, http_client, program::Program};

/// An address at which nobody listens, and nobody else can as long as the socket is kept.
fn closed_port() -> anyhow::Result<(TcpSocket, String)> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let address = socket.local_addr()?.to_string();
    Ok((socket, address))
}

/// Why a source at this address says that it is lost.
async fn reason(address: &str, connect_timeout_ms: u64) -> anyhow::Result<String> {
    let channel = AmqpChannelConfig::new("builds".parse()?, vec![BindingConfig::new("ci", ["#"])?]);
    let mut config = AmqpConfig::new(format!("amqp://me:hunter2@{address}/%2f").parse()?, vec![channel]);
    config.connect_timeout_ms = connect_timeout_ms;
    let (sink, mut updates) = mpsc::channel(1);
    let (_hub, questions) = mpsc::channel(1);
    let (_running, stop) = watch::channel(false);
    let mut source = JoinSet::new();
    source.spawn(Box::new(AmqpSource::new(config)).run(sink, questions, stop));
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
    let (_socket, closed) = closed_port()?;
    let cases = [
        (closed, 60_000, "is RabbitMQ running there? check host and port in amqp.url"),
        ("nowhere.invalid:5672".to_owned(), 60_000, "check host and port in amqp.url"),
        (frozen.local_addr()?.to_string(), 500, "is it frozen"),
    ];
    for (address, connect_timeout_ms, remedy) in cases {
        let reason = reason(&address, connect_timeout_ms).await?;
        ensure!(reason.contains(&format!("amqp://me:***@{address}")), "{reason}");
        ensure!(reason.contains(remedy) && !reason.contains("hunter2"), "{reason}");
    }
    Ok(())
}

#[tokio::test]
async fn the_log_and_readyz_name_the_broker_and_the_remedy() -> anyhow::Result<()> {
    let (_socket, address) = closed_port()?;
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
    let line = program.line_with("source lost").await?;
    ensure!(is_whole(&line), "{line}");
    let ready = http_client::get(program.addr, "/readyz", &[]).await?;
    ensure!(ready.status == 503 && ready.body.contains("is lost") && is_whole(&ready.body), "{ready:?}");
    Ok(())
}
