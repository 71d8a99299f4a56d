//! A program that goes on where it was when it is started again: `keep_position ws://127.0.0.1:8780 builds builds.position`.
//!
//! The position is written after the work on an event is done. So after a crash some events come again, and none is
//! missing: work that must not be done twice is to be known by its position, or kept in one transaction with it.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use tiercast_peer_client::{Client, ClientOptions, Notification, Position, Since, SubscribeOptions};

/// So often the file is written, if there is something new.
const PACE: Duration = Duration::from_millis(250);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(servers), Some(channel), Some(file)) = (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err(
            "give servers, a channel and a file, such as ws://127.0.0.1:8780 builds builds.position".into()
        );
    };
    let file = PathBuf::from(file);
    let since = read(&file)?.map_or(Since::Earliest, Since::Position);
    let client = Client::connect(servers.parse()?, ClientOptions::default());
    let options = SubscribeOptions { since, ..SubscribeOptions::default() };
    let mut subscription = client.subscribe(&channel, options).await?;
    let (mut kept, mut tick) = (None, tokio::time::interval(PACE));
    loop {
        tokio::select! {
            notification = subscription.next() => match notification {
                Some(Notification::Event { event, .. }) => println!("{}", event.message.routing_key),
                Some(Notification::Gap { from, to, .. }) => println!("lost: what lies between {from} and {to}"),
                Some(Notification::Refused { reason, .. }) => return Err(reason.into()),
                Some(_) => {}
                None => break,
            },
            _ = tick.tick() => kept = keep(&file, kept, subscription.position())?,
            stopped = tokio::signal::ctrl_c() => {
                stopped?;
                break;
            }
        }
    }
    keep(&file, kept, subscription.position())?;
    client.close().await;
    Ok(())
}

fn read(file: &Path) -> Result<Option<Position>, Box<dyn std::error::Error>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text.trim().parse()?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whatever happens meanwhile, the file holds a whole position: this one or the one before.
fn keep(file: &Path, kept: Option<Position>, position: Option<Position>) -> io::Result<Option<Position>> {
    let Some(position) = position.filter(|_| position != kept) else { return Ok(kept) };
    let next = file.with_extension("next");
    let mut writing = File::create(&next)?;
    writeln!(writing, "{position}")?;
    writing.sync_all()?;
    fs::rename(next, file)?;
    Ok(Some(position))
}
