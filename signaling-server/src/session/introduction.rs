//! What a peer says of itself, for the operator's log: its name, and what it reads. The hub takes what it says for what it is.

use tiercast_codec::{ToHub, WireMessage};
use tracing::{Level, Span, debug, enabled};

/// Bytes of a name that are logged: it is a stranger's.
const NAME_BYTES_MAX: usize = 64;

/// Hears the messages of one peer.
#[derive(Debug, Default)]
pub(super) struct Introduction {
    has_begun: bool,
}

impl Introduction {
    /// The first message is read for the name. The others only where somebody wants to know.
    pub(super) fn hear(&mut self, bytes: &[u8]) {
        if std::mem::replace(&mut self.has_begun, true) && !enabled!(Level::DEBUG) {
            return;
        }
        match ToHub::decode(bytes) {
            Ok(ToHub::Hello(hello)) => {
                Span::current().record("client", cut(&hello.client));
            }
            Ok(ToHub::Subscribe(subscribe)) => {
                let (channel, since, relays) =
                    (&subscribe.channel, subscribe.since, subscribe.relay.is_some());
                debug!(%channel, %since, relays, "peer subscribes");
            }
            Ok(ToHub::Unsubscribe(unsubscribe)) => {
                debug!(channel = %unsubscribe.channel, "peer unsubscribes");
            }
            // What cannot be read the hub answers.
            _ => {}
        }
    }
}

/// The beginning of a name.
fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_BYTES_MAX)]
}
