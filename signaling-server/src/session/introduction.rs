//! What a peer says of itself and is answered, for the operator's log: its name, and what it reads. The hub takes what it says for
//! what it is.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tiercast_codec::{ChannelName, FRAME_KIND, HEAD_KIND, Since, Subscribe, ToHub, ToPeer, WireMessage};
use tracing::{Span, field::display, info};

use crate::shown::{Field, cut, fields};

/// Most channels that are remembered of a peer: as many as it may read by default (`hub.subscriptions_max`).
const CHANNELS_MAX: usize = 16;

/// Hears the messages of one peer, from both ends of its session.
#[derive(Debug, Default)]
pub(super) struct Introduction(Mutex<Heard>);

#[derive(Debug, Default)]
struct Heard {
    has_begun: bool,
    reads: Vec<Read>,
}

/// What it reads, from where on it began to, and the number of the request for it.
#[derive(Debug)]
struct Read {
    channel: ChannelName,
    since: Since,
    request: u64,
}

impl Introduction {
    /// The peer says something. The first message is read for its name; of the others, which are many, only those that may be
    /// about a subscription.
    pub(super) fn hear(&self, bytes: &[u8]) {
        let has_begun = std::mem::replace(&mut self.lock().has_begun, true);
        if has_begun && !mentions(bytes, b"subscribe") {
            return;
        }
        match ToHub::decode(bytes) {
            Ok(ToHub::Hello(hello)) => {
                Span::current().record("client", cut(&hello.client));
            }
            Ok(ToHub::Subscribe(subscribe)) => self.lock().subscribe(subscribe),
            Ok(ToHub::Unsubscribe(unsubscribe)) => {
                let channel = unsubscribe.channel;
                let read = self.lock().forget(|read| read.channel == channel);
                let since = read.map(|read| display(read.since));
                info!(%channel, since, "peer unsubscribes");
            }
            // What cannot be read the hub answers.
            _ => {}
        }
    }

    /// The hub says something. Most of that are events; what is of interest is that it refuses a request.
    pub(super) fn answer(&self, bytes: &[u8]) {
        if matches!(bytes.first(), None | Some(&FRAME_KIND | &HEAD_KIND)) || !mentions(bytes, b"error") {
            return;
        }
        if let Ok(ToPeer::Error(error)) = ToPeer::decode(bytes)
            && let Some(id) = error.id
        {
            let read = self.lock().forget(|read| read.request == id);
            let (channel, since) = fields(read.iter().map(|read| (&read.channel, read.since)));
            info!(channel, since, code = error.code.0, reason = cut(&error.reason), "request refused");
        }
    }

    /// What it reads, and from where on it began to: `channel` and `since` of a line about its session.
    pub(super) fn fields(&self) -> (Field, Field) {
        fields(self.lock().reads.iter().map(|read| (&read.channel, read.since)))
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heard {
    fn subscribe(&mut self, Subscribe { id, channel, since, relay, .. }: Subscribe) {
        info!(%channel, %since, relays = relay.is_some(), "peer subscribes");
        // A second subscription to a channel is refused, and the first one stays.
        let is_first = self.reads.iter().all(|read| read.channel != channel);
        if is_first && self.reads.len() < CHANNELS_MAX {
            self.reads.push(Read { channel, since, request: id });
        }
    }

    /// The last subscription of which this is so is none any more.
    fn forget(&mut self, is_it: impl Fn(&Read) -> bool) -> Option<Read> {
        let at = self.reads.iter().rposition(is_it)?;
        Some(self.reads.remove(at))
    }
}

/// Whether a word stands anywhere in a message.
fn mentions(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|part| part == word)
}
