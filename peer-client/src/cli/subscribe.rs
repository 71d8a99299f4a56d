//! `peer-client subscribe`: events as JSON lines on stdout, status on stderr.

use std::{pin::pin, process::ExitCode};

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};
use tiercast_peer_client::{Client, Epoch, Event, Notification, Pattern, Position, SubscribeOptions};
use tiercast_platform::{print_line, say, stdout_unread, told_to_stop};
use tokio::sync::broadcast::error::RecvError;

use super::{Taking, status::Status};

const OUTPUT: &str = "\
Output: one JSON object a line.
  An event has position, offset, routing_key, exchange, content_type, message_id, timestamp, headers, and its body as
  `json` if it is JSON, else as `text`, else in hexadecimal as `hex`.
  {\"gap\": {\"from\", \"to\", \"reason\"}} stands for events that are gone for good.
Status goes to stderr.";

#[derive(Args)]
#[command(after_help = OUTPUT)]
pub(super) struct Subscribe {
    #[command(flatten)]
    pub(super) taking: Taking,
    /// Print only events whose routing key matches this AMQP topic pattern; may be given more than once.
    #[arg(long = "match", value_name = "PATTERN")]
    patterns: Vec<Pattern>,
    /// Take part in this channel as well, for others: its events are not printed; may be given more than once.
    #[arg(long, value_name = "CHANNEL")]
    also: Vec<String>,
    /// End after this many events.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Print no status.
    #[arg(long, short)]
    quiet: bool,
}

impl Subscribe {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let (client, mut news) =
            Client::connect_with_news(self.taking.servers.clone(), self.taking.options());
        let options = SubscribeOptions { since: self.taking.since, patterns: self.patterns };
        let mut subscription = client.subscribe(&self.taking.channel, options).await?;
        for channel in &self.also {
            let mut other = client.subscribe(channel, SubscribeOptions::default()).await?;
            tokio::spawn(async move { while other.next().await.is_some() {} });
        }
        let (mut printed, mut status) = (0, Status::default());
        let (mut unread, mut stop) = (pin!(stdout_unread()), pin!(told_to_stop()?));
        while self.count.is_none_or(|count| printed < count) {
            tokio::select! {
                notification = subscription.next() => match notification {
                    Some(Notification::Refused { code: Some(code), reason }) => {
                        anyhow::bail!("the server refuses `{}` ({code}): {reason}", self.taking.channel);
                    }
                    Some(Notification::Refused { code: None, reason }) => anyhow::bail!(reason),
                    Some(Notification::Subscribed { position, recovered }) => {
                        if !self.quiet {
                            let gap = if recovered { "" } else { "; not everything since then is there" };
                            let place = place(position);
                            say(format_args!("subscribed to {} {place}{gap}", self.taking.channel));
                        }
                    }
                    Some(Notification::Recovered { count }) => {
                        if !self.quiet {
                            say(format_args!("caught up: {count} events came after the reconnect"));
                        }
                    }
                    Some(Notification::Event { epoch, event, .. }) => {
                        if !print(&event_json(epoch, &event))? {
                            break;
                        }
                        printed += 1;
                    }
                    Some(Notification::Gap { from, to, reason }) => {
                        let (from, to) = (from.to_string(), to.to_string());
                        if !print(&json!({ "gap": { "from": from, "to": to, "reason": reason } }))? {
                            break;
                        }
                    }
                    Some(_) => {}
                    None => anyhow::bail!("the peer has ended"),
                },
                news = news.recv() => match news {
                    Ok(news) if !self.quiet => {
                        if let Some(line) = status.line(&news) {
                            say(line);
                        }
                    }
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => anyhow::bail!("the peer has ended"),
                },
                () = &mut unread => break,
                () = &mut stop => break,
            }
        }
        client.close().await;
        Ok(ExitCode::SUCCESS)
    }
}

/// Where a subscription starts, in words.
fn place(position: Position) -> String {
    if position.offset < 0 { "from the beginning".to_owned() } else { format!("at {position}") }
}

/// False if nobody reads it any more.
fn print(line: &Value) -> anyhow::Result<bool> {
    print_line(line).context("cannot write to stdout")
}

/// An event for machines. A body that is JSON is printed as JSON (spaces may differ), text as text,
/// any other in hexadecimal.
fn event_json(epoch: Epoch, event: &Event) -> Value {
    let message = &event.message;
    let mut line = json!({
        "position": Position::new(epoch, event.offset).to_string(),
        "offset": event.offset,
        "routing_key": message.routing_key,
        "exchange": message.exchange,
        "content_type": message.content_type,
        "message_id": message.message_id,
        "timestamp": message.timestamp,
        "headers": message.headers,
    });
    let (key, body) = match std::str::from_utf8(&message.body) {
        Ok(text) => match serde_json::from_str(text) {
            Ok(value) => ("json", value),
            Err(_) => ("text", json!(text)),
        },
        Err(_) => ("hex", json!(message.body.iter().map(|byte| format!("{byte:02x}")).collect::<String>())),
    };
    line[key] = body;
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_before_the_first_event_is_the_beginning() {
        assert_eq!(place(Position::new(7, -1)), "from the beginning");
        assert_eq!(place(Position::new(7, 0)), "at 7-0");
    }
}
