//! A server within one's own tests, and which events a piece of code emitted or received.
//!
//! There with the cargo feature `testing`. Nothing here sleeps or guesses: where a piece of code has ended, the channel's
//! position says what there is to read. Whatever fails panics, as tests do.
//!
//! ```
//! use serde_json::json;
//! use tiercast_signaling_server::{
//!     Message,
//!     testing::{TestServer, assert_events, capture},
//! };
//!
//! /// The code that is to be tested. It might as well publish over HTTP, to `server.url()` with `server.key()`.
//! async fn close_ticket(server: &TestServer, ticket: u64) -> bool {
//!     let message = Message {
//!         routing_key: format!("ticket.{ticket}.closed"),
//!         body: r#"{"by": "me"}"#.into(),
//!         ..Message::default()
//!     };
//!     server.publish("tickets", message).await;
//!     true
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let server = TestServer::start(["tickets"]).await;
//! let (is_closed, events) = capture(&server, "tickets", close_ticket(&server, 1234)).await;
//! assert!(is_closed);
//! assert_events(&events, [("ticket.1234.closed", json!({"by": "me"}))]);
//! server.stop().await;
//! # }
//! ```

use std::{future::Future, sync::Arc, time::Duration};

use tiercast_codec::{ChannelName, Event, Message, PatternSet, Position, Since};
use tiercast_mesh::hub::{Portion, Reading, Rights};

use crate::{ApiKey, Config, Handle, Reader, Server};

mod difference;
mod received;

pub use difference::assert_events;
pub use received::Received;

/// Longer than anything takes on a busy machine: what has not come by then never will.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server in this process, on a free port of 127.0.0.1, that keeps events in memory. Dropping it ends it, too.
#[derive(Debug)]
pub struct TestServer {
    server: Server,
    key: ApiKey,
}

impl TestServer {
    /// Starts a server with these channels.
    ///
    /// # Panics
    ///
    /// If one of them is no name of a channel, or the server does not start.
    pub async fn start<'a>(channels: impl IntoIterator<Item = &'a str>) -> Self {
        let embedded_channels = channels.into_iter().map(channel_name).collect();
        Self::start_with(Config { embedded_channels, ..Config::default() }).await
    }

    /// Starts a server that is set in another way, apart from where it listens. It gets one more API key.
    ///
    /// # Panics
    ///
    /// If the server does not start.
    pub async fn start_with(mut config: Config) -> Self {
        let key = ApiKey::random();
        config.listen = ([127, 0, 0, 1], 0).into();
        config.api_keys.push(key.clone());
        match Server::start(config).await {
            Ok(server) => Self { server, key },
            Err(error) => panic!("the server for tests does not start: {error}"),
        }
    }

    /// Where it is: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.addr())
    }

    /// A key to publish with.
    pub fn key(&self) -> &str {
        self.key.secret()
    }

    /// What else can be asked of it.
    pub fn handle(&self) -> &Handle {
        self.server.handle()
    }

    /// Publishes an event; those who read it may not have had it yet.
    ///
    /// # Panics
    ///
    /// If the server refuses it.
    pub async fn publish(&self, channel: &str, message: Message) -> Position {
        let publishing = async { self.server.publisher(channel)?.publish(message).await };
        publishing.await.unwrap_or_else(|error| panic!("nothing was published in `{channel}`: {error}"))
    }

    /// The position of the newest event of a channel.
    ///
    /// # Panics
    ///
    /// If there is no such channel.
    pub async fn head(&self, channel: &str) -> Position {
        let snapshot = self.handle().snapshot().await.expect("the server runs");
        let found = snapshot.channels.into_iter().find(|found| found.name.as_str() == channel);
        let head = found.and_then(|channel| channel.position);
        head.unwrap_or_else(|| panic!("the server for tests has no channel `{channel}`"))
    }

    /// The events of a channel after one position, up to another.
    ///
    /// # Panics
    ///
    /// If the server does not have all of them any more.
    pub async fn events(&self, channel: &str, after: Position, to: Position) -> Vec<Event> {
        let reading = Reading {
            channel: channel_name(channel),
            since: Since::Position(after),
            filter: Arc::new(PatternSet::new(Vec::new())),
            rights: Rights::default(),
        };
        let reader = self.handle().read(reading).await;
        let mut reader =
            reader.unwrap_or_else(|refusal| panic!("`{channel}` cannot be read: {}", refusal.reason));
        let (mut events, mut at) = (Vec::new(), after);
        while at < to {
            let portion = next(&mut reader).await;
            at = portion.position();
            events.extend(events_of(&portion));
        }
        events.retain(|event| event.offset <= to.offset);
        events
    }

    /// Ends it, with everything that is connected to it.
    pub async fn stop(self) {
        self.server.shutdown().await;
    }
}

/// Runs a piece of code, and gives its result and exactly the events that were published in a channel meanwhile, in order.
/// What the code leaves to others, and does not wait for, may come too late.
///
/// # Panics
///
/// If there is no such channel, or so many events that the server does not have all of them any more.
pub async fn capture<T>(
    server: &TestServer,
    channel: &str,
    code: impl Future<Output = T>,
) -> (T, Vec<Event>) {
    let before = server.head(channel).await;
    let result = code.await;
    let events = server.events(channel, before, server.head(channel).await).await;
    (result, events)
}

async fn next(reader: &mut Reader) -> Portion {
    let portion = tokio::time::timeout(PATIENCE, reader.next()).await;
    let portion = portion.expect("what a channel has can be read");
    portion.unwrap_or_else(|refusal| panic!("the channel ends: {}", refusal.reason))
}

fn events_of(portion: &Portion) -> Vec<Event> {
    match portion {
        Portion::Events { frame, .. } => {
            let events = frame.events().expect("the server made the frame");
            events.into_iter().filter(|event| portion.holds(event)).collect()
        }
        Portion::Gap(gap) => panic!(
            "the server for tests does not have the events after {} up to {} any more: let the code emit fewer, or raise \
             hub.log_frames and hub.log_bytes",
            gap.from, gap.to
        ),
    }
}

fn channel_name(name: &str) -> ChannelName {
    name.parse().unwrap_or_else(|error| panic!("{error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(routing_key: &str, body: &'static str) -> Message {
        Message { routing_key: routing_key.to_owned(), body: body.into(), ..Message::default() }
    }

    #[tokio::test]
    async fn exactly_the_events_of_a_piece_of_code_are_captured_in_order() {
        let server = TestServer::start(["tickets", "other"]).await;
        server.publish("tickets", message("before", "1")).await;
        let (result, events) = capture(&server, "tickets", async {
            for number in 0..200 {
                server.publish("tickets", message(&format!("ticket.{number}.updated"), "{}")).await;
                server.publish("other", message("elsewhere", "2")).await;
            }
            "done"
        })
        .await;
        server.publish("tickets", message("after", "3")).await;
        assert_eq!(result, "done");
        assert_events(&events, (0..200).map(|number| (format!("ticket.{number}.updated"), json!({}))));
        server.stop().await;
    }

    #[tokio::test]
    async fn code_that_emits_nothing_has_no_events() {
        let server = TestServer::start(["tickets"]).await;
        let ((), events) = capture(&server, "tickets", async {}).await;
        assert_events(&events, [] as [(&str, serde_json::Value); 0]);
        server.stop().await;
    }

    #[tokio::test]
    #[should_panic(expected = "no channel `tickest`")]
    async fn a_channel_that_is_not_there_is_named() {
        let server = TestServer::start(["tickets"]).await;
        capture(&server, "tickest", async {}).await;
    }

    #[tokio::test]
    #[should_panic(expected = "any more: let the code emit fewer, or raise hub.log_frames and hub.log_bytes")]
    async fn events_that_are_not_there_any_more_are_told() {
        let mut config = Config { embedded_channels: vec![channel_name("tickets")], ..Config::default() };
        config.hub.log.entries = 2;
        let server = TestServer::start_with(config).await;
        let large = || Message { body: vec![b'x'; 40_000].into(), ..Message::default() };
        capture(&server, "tickets", async {
            for _ in 0..20 {
                server.publish("tickets", large()).await;
            }
        })
        .await;
    }

    #[tokio::test]
    async fn what_was_received_is_waited_for() {
        let received = Received::default();
        let (adding, adder) = (received.clone(), tokio::sync::Notify::new());
        let (numbers, ()) = tokio::join!(received.until("the third number", |number| *number == 3), async {
            adding.add(1);
            adder.notify_one();
            adder.notified().await;
            [2, 3].into_iter().for_each(|number| adding.add(number));
        });
        assert_eq!(numbers, [1, 2, 3]);
        adding.add(4);
        assert_eq!(received.so_far(), [1, 2, 3, 4]);
    }
}
