//! How fast events are made durable, and how fast a server with many of them starts.
//!
//! `cargo run --release -p tiercast-tests --example publishing -- --json`

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::Parser;
use futures_util::future::try_join_all;
use serde_json::json;
use tiercast_signaling_server::{Config, Message, Server};
use tiercast_tests::http_publisher::{API_KEY, HttpPublisher};
use tokio::time::timeout_at;

#[derive(Debug, Parser)]
#[command(about = "Measures publishing to a channel that keeps its events on disk, over HTTP")]
struct Options {
    /// Seconds for each way of publishing.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Bytes of an event's body.
    #[arg(long, default_value_t = 600)]
    bytes: usize,
    /// Events of a batch.
    #[arg(long, default_value_t = 100)]
    batch: usize,
    /// Events that are there when the server starts.
    #[arg(long, default_value_t = 1_000_000)]
    events: usize,
    /// Where to keep them, in a folder that is removed: on the disk that is to be measured.
    #[arg(long, default_value = ".")]
    folder: PathBuf,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// Requests of this body a second that are answered on so many connections.
async fn rate(connections: Vec<HttpPublisher>, body: &[u8], time: Duration) -> anyhow::Result<f64> {
    let (begun, end) = (Instant::now(), tokio::time::Instant::now() + time);
    let publish = |mut connection: HttpPublisher| async move {
        let mut answered = 0;
        while let Ok(answer) = timeout_at(end, connection.post(body)).await {
            answer?;
            answered += 1;
        }
        anyhow::Ok(answered)
    };
    let answered: u64 = try_join_all(connections.into_iter().map(publish)).await?.iter().sum();
    Ok(answered as f64 / begun.elapsed().as_secs_f64())
}

fn config(folder: &Path) -> anyhow::Result<Config> {
    let mut config = Config {
        listen: "127.0.0.1:0".parse()?,
        api_keys: vec![API_KEY.parse()?],
        data_dir: Some(folder.to_owned()),
        ..Config::default()
    };
    config.store.retention.max_bytes = 1 << 40;
    Ok(config)
}

/// What a file system takes to make 700 more bytes of a file durable.
fn sync_ms(folder: &Path) -> anyhow::Result<f64> {
    let mut file = std::fs::File::create(folder.join("probe"))?;
    let begun = Instant::now();
    for _ in 0..100 {
        std::io::Write::write_all(&mut file, &[7; 700])?;
        file.sync_data()?;
    }
    Ok(begun.elapsed().as_secs_f64() * 1_000.0 / 100.0)
}

async fn fill(server: &Server, options: &Options) -> anyhow::Result<()> {
    let publisher = server.publisher("events")?;
    for number in 0..options.events.div_ceil(1_000) {
        let count = options.events.saturating_sub(number * 1_000).min(1_000);
        let message = |nth: usize| Message {
            message_id: Some(format!("{number}-{nth}")),
            body: vec![b'x'; options.bytes].into(),
            ..Message::default()
        };
        publisher.publish_all((0..count).map(message).collect()).await?;
    }
    Ok(())
}

/// How long a server with the events of `folder` takes to start, in milliseconds.
async fn start_ms(folder: &Path, events: usize) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let server = Server::start(config(folder)?).await?;
    let elapsed = begun.elapsed();
    let position = server.handle().snapshot().await?.channels[0].position.context("a position")?;
    ensure!(position.offset == events as i64 - 1, "{position}");
    server.shutdown().await;
    Ok(elapsed.as_secs_f64() * 1_000.0)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let (time, body) = (Duration::from_secs(options.seconds), vec![b'x'; options.bytes]);
    let folder = tempfile::tempdir_in(&options.folder)?;
    let sync_ms = sync_ms(folder.path())?;

    let server = Server::start(config(&folder.path().join("rates"))?).await?;
    let (addr, path) = (server.addr(), "/v1/publish/events");
    let one = rate(vec![HttpPublisher::connect(addr, path).await?], &body, time).await?;
    let many = try_join_all((0..64).map(|_| HttpPublisher::connect(addr, path))).await?;
    let many = rate(many, &body, time).await?;
    let item = json!({ "text": String::from_utf8(body)? });
    let batch = serde_json::to_vec(&vec![item; options.batch])?;
    let batches = HttpPublisher::connect(addr, "/v1/publish/events/batch").await?;
    let batches = rate(vec![batches], &batch, time).await? * options.batch as f64;
    server.shutdown().await;

    let full = folder.path().join("full");
    let server = Server::start(config(&full)?).await?;
    let begun = Instant::now();
    fill(&server, &options).await?;
    let filled = options.events as f64 / begun.elapsed().as_secs_f64();
    server.shutdown().await;
    let start_ms = start_ms(&full, options.events).await?;

    if options.json {
        let figures = json!({
            "bytes": options.bytes, "sync_ms": sync_ms, "one_publisher": one, "publishers_64": many,
            "batch": options.batch, "batches": batches, "in_process_batches_of_1000": filled,
            "events": options.events, "start_ms": start_ms,
        });
        println!("{figures}");
        return Ok(());
    }
    println!(
        "events of {} bytes, durable when answered; a sync of this disk takes {sync_ms:.1} ms",
        options.bytes
    );
    println!("one publisher          {one:>9.0} events/s");
    println!("64 publishers          {many:>9.0} events/s");
    println!("batches of {:<10}  {batches:>9.0} events/s", options.batch);
    println!("in process, by 1,000   {filled:>9.0} events/s");
    println!("a start with {} events takes {start_ms:.0} ms", options.events);
    Ok(())
}
