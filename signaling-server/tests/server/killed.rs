//! The program, killed at random moments while publishers publish: whatever was confirmed is there, once, where it was said to
//! be. `TIERCAST_KILLS` sets how often it is killed.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use tiercast_codec::{Event, Position, Since};
use tokio::{sync::watch, task::JoinSet, time::sleep};

use crate::{
    client::{Client, Received},
    http_client::request,
    program::Program,
};

const PUBLISHERS: usize = 4;

/// Every other publisher publishes so many at a time.
const BATCH: usize = 7;

/// Events that have been confirmed, or seen by a subscriber: their positions, and what they hold.
type Known = BTreeMap<Position, String>;

async fn start(folder: &Path) -> anyhow::Result<Program> {
    let set = format!("data_dir={}", folder.display());
    let args = ["--set", &set, "--set", "api_keys=a-secret-key", "--set", "store.segment_bytes=65536"];
    Program::start(&args).await
}

/// What publishers know of the server.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Down,
    At(SocketAddr),
    /// There will be no other.
    Over,
}

/// Publishes one event or batch after the other, each as often as it takes to be confirmed, until it is over.
async fn publish(publisher: usize, mut server: watch::Receiver<State>) -> anyhow::Result<Known> {
    let count = if publisher.is_multiple_of(2) { 1 } else { BATCH };
    let (mut known, mut number) = (Known::new(), 0);
    loop {
        let State::At(addr) = *server.wait_for(|state| *state != State::Down).await? else {
            return Ok(known);
        };
        let names: Vec<_> = (number..number + count).map(|number| format!("{publisher}:{number}")).collect();
        let Some(answers) = try_publish(addr, &names).await else {
            server.wait_for(|state| *state != State::At(addr)).await?;
            continue;
        };
        let duplicates = answers.iter().filter(|answer| answer["duplicate"] == true).count();
        ensure!(duplicates == 0 || duplicates == count, "a part of a batch was published: {answers:?}");
        for (answer, name) in answers.iter().zip(names) {
            let position: Position = answer["position"].as_str().context("a position")?.parse()?;
            ensure!(known.insert(position, name).is_none(), "{position} was given twice");
        }
        number += count;
    }
}

/// The answers for these events, if they were confirmed.
async fn try_publish(addr: SocketAddr, names: &[String]) -> Option<Vec<Value>> {
    let bearer = ("authorization", "Bearer a-secret-key");
    if let [name] = names {
        let headers = [bearer, ("tiercast-message-id", name)];
        let answer = request(addr, "POST", "/v1/publish/events", &headers, name.as_bytes()).await.ok()?;
        return Some(vec![answer.json().ok()?]);
    }
    let items = names.iter().map(|name| json!({ "message_id": name, "text": name }));
    let body = Value::Array(items.collect()).to_string();
    let answer = request(addr, "POST", "/v1/publish/events/batch", &[bearer], body.as_bytes()).await.ok()?;
    answer.json().ok()?["events"].as_array().cloned()
}

/// Notes what a subscriber gets until the server is killed.
async fn subscribe(addr: SocketAddr, since: Since) -> anyhow::Result<(Option<Position>, Known)> {
    let mut known = Known::new();
    let Ok(mut client) = Client::subscribed(addr, since).await else { return Ok((None, known)) };
    loop {
        match client.receive().await {
            Ok(Received::Events(events)) => {
                let epoch = client.position.context("a position")?.epoch;
                known.extend(events.iter().map(|event| (Position::new(epoch, event.offset), name(event))));
            }
            Ok(Received::Gap(gap)) => bail!("a subscriber came back to a gap: {gap:?}"),
            Ok(Received::Closed(..)) | Err(_) => return Ok((client.position, known)),
        }
    }
}

fn name(event: &Event) -> String {
    String::from_utf8_lossy(&event.message.body).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_was_confirmed_is_there_once_where_it_was_said_to_be() -> anyhow::Result<()> {
    let kills = std::env::var("TIERCAST_KILLS").map_or(Ok(10), |kills| kills.parse::<usize>())?;
    let folder = tempfile::tempdir()?;
    let (tell, server) = watch::channel(State::Down);
    let mut publishers = JoinSet::new();
    (0..PUBLISHERS).for_each(|publisher| drop(publishers.spawn(publish(publisher, server.clone()))));
    let (mut since, mut seen) = (Since::Earliest, Known::new());
    for _ in 0..kills {
        let program = start(folder.path()).await?;
        tell.send(State::At(program.addr))?;
        let subscriber = tokio::spawn(subscribe(program.addr, since));
        sleep(Duration::from_millis(rand::random_range(0..200))).await;
        program.kill().await?;
        tell.send(State::Down)?;
        let (position, known) = subscriber.await??;
        since = position.map_or(since, Since::Position);
        seen.extend(known);
    }
    let program = start(folder.path()).await?;
    tell.send(State::Over)?;
    let mut confirmed = Known::new();
    while let Some(known) = publishers.join_next().await {
        for (position, name) in known?? {
            ensure!(confirmed.insert(position, name).is_none(), "{position} was given to two publishers");
        }
    }
    check(&read_all(&program, &confirmed).await?, &confirmed, &seen)
}

/// Everything that the channel holds, up to the last that was confirmed at least.
async fn read_all(program: &Program, confirmed: &Known) -> anyhow::Result<Known> {
    let (last, _) = confirmed.last_key_value().context("nothing was confirmed")?;
    let mut client = Client::subscribed(program.addr, Since::Earliest).await?;
    let mut all = Known::new();
    while client.position.is_none_or(|position| position < *last) {
        let Received::Events(events) = client.receive().await? else { bail!("no events") };
        for event in events {
            let position = Position::new(last.epoch, event.offset);
            ensure!(all.insert(position, name(&event)).is_none(), "{position} came twice");
        }
    }
    Ok(all)
}

fn check(all: &Known, confirmed: &Known, seen: &Known) -> anyhow::Result<()> {
    println!("{} events, {} confirmed, {} seen while it was killed", all.len(), confirmed.len(), seen.len());
    ensure!(
        all.keys().map(|position| position.offset).eq(0..all.len() as i64),
        "offsets go on without a hole"
    );
    for (position, name) in confirmed.iter().chain(seen) {
        ensure!(
            all.get(position).is_none_or(|other| other == name),
            "{position} was {name}: {:?}",
            all.get(position)
        );
    }
    ensure!(confirmed.keys().all(|position| all.contains_key(position)), "what was confirmed is missing");
    // In order, each once, none missing: the numbers of each publisher count up from 0.
    let mut next = [0; PUBLISHERS];
    for name in all.values() {
        let (publisher, number) = name.split_once(':').context("a name")?;
        let next = &mut next[publisher.parse::<usize>()?];
        ensure!(number.parse::<usize>()? == *next, "{name} came instead of number {next}");
        *next += 1;
    }
    Ok(())
}
