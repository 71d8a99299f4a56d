//! What is said of a broker that refuses something, on a real one: once, without raw AMQP, and with what to do.

use std::{
    io::{self, Write},
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, Result};
use tiercast_signaling_server::source::amqp::Mode;
use tiercast_tests::{
    fed::{Fed, UPDATE_MAX},
    gate::address_of,
    scene::Scene,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::{Instant, sleep},
};

/// Takes everything that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut *self.0.lock().unwrap(), bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn regression_a_wrong_password_is_said_once_however_often_it_is_tried() -> Result<()> {
    let scene = Scene::set("once").await?;
    let log = Log::default();
    let written = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || written.clone()).with_ansi(false);
    let _logging = tracing::subscriber::set_default(subscriber.finish());
    let mut config = scene.config();
    config.url = format!("amqp://guest:hunter2@{}/%2f", address_of(&scene.broker)?).parse()?;
    let mut fed = Fed::start(config)?;
    fed.lost().await?;
    let text = || String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    let deadline = Instant::now() + UPDATE_MAX;
    while text().matches("retry_in_ms").count() < 4 {
        assert!(Instant::now() < deadline, "it is not tried again: {}", text());
        sleep(Duration::from_millis(20)).await;
    }
    // Who feeds the channels logs why each is lost.
    assert_eq!(text().matches("password").count(), 0, "{}", text());
    assert!(fed.updates.try_recv().is_err(), "it is said again");
    fed.stop().await
}

#[tokio::test]
async fn regression_ports_with_tls_and_without_that_are_mixed_up_are_named() -> Result<()> {
    let scene = Scene::set("tls").await?;
    let mut config = scene.config();
    config.url = scene.broker.url().replace("amqp://", "amqps://").parse()?;
    let mut fed = Fed::start(config.clone())?;
    let reason = fed.lost().await?;
    assert!(reason.contains("does not speak TLS: write amqp:// in amqp.url"), "{reason}");
    fed.stop().await?;

    // What RabbitMQ's port for TLS says to AMQP.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read_exact(&mut [0; 8]).await;
            let _ = stream.write_all(&[21, 3, 3, 0, 2, 2, 10]).await;
        }
    });
    config.url = format!("amqp://guest:guest@{address}/%2f").parse()?;
    let mut fed = Fed::start(config)?;
    let reason = fed.lost().await?;
    assert!(reason.contains("speaks TLS: write amqps:// in amqp.url"), "{reason}");
    fed.stop().await
}

#[tokio::test]
async fn regression_a_permission_that_is_missing_is_named_with_what_gives_it() -> Result<()> {
    let mut scene = Scene::set("permissions").await?;
    if !scene.broker.can_restart() {
        return Ok(());
    }
    scene.broker.control(&["add_user", "limited", "secret"]).await?;
    let bound = format!("exchange `{}`", scene.exchange);
    let (own_queue, own_exchange) = ("queue `tiercast.*`", "exchange `tiercast.*`");
    // Configure, write, read; and what is missing then, with a stream and with a queue.
    let cases = [
        (["^$", ".*", ".*"], "configure", [own_queue, own_exchange]),
        ([".*", "^$", ".*"], "write", [own_queue, own_queue]),
        ([".*", ".*", "^tiercast[.]"], "read", [&bound, &bound]),
    ];
    for (nth, mode) in [Mode::Stream, Mode::Queue].into_iter().enumerate() {
        scene.channel.mode = mode;
        for (permissions, missing, on) in cases {
            let on = on[nth];
            let set = [&["set_permissions", "-p", "/", "limited"][..], &permissions].concat();
            scene.broker.control(&set).await?;
            let mut config = scene.config();
            config.url = format!("amqp://limited:secret@{}/%2f", address_of(&scene.broker)?).parse()?;
            let mut fed = Fed::start(config)?;
            let reason = fed.lost().await?;
            println!("{mode:?} {permissions:?}: {reason}");
            let expected = format!("user `limited` lacks the permission `{missing}` on {on}");
            assert!(reason.contains(&expected), "{reason}");
            assert!(!reason.contains("ACCESS"), "{reason}");
            // What it says to do is done, word by word.
            let command = reason.split('`').find_map(|text| text.strip_prefix("rabbitmqctl "));
            let command = command.context("no command")?.replace('\'', "");
            scene.broker.control(&command.split(' ').collect::<Vec<_>>()).await?;
            fed.opened().await?;
            fed.stop().await?;
        }
    }
    Ok(())
}
