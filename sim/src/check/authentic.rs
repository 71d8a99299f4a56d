//! Nobody accepts, and passes on, a frame that the server did not seal.
//!
//! What a peer passes on it has accepted: every frame that comes out of a log must be one, byte for byte, that the hub has
//! sent to somebody before, and so must every chunk of a large one. What liars make of it on the way is noticed if a peer
//! then passes that on.

use bytes::Bytes;
use rustc_hash::{FxHashMap, FxHashSet};
use tiercast_codec::{Item, chunks, limits::LINK_MESSAGE_BYTES_MAX};

use super::{Check, Verdict};
use crate::net::Sent;

/// So many messages are known again by where they lie in memory.
const KNOWN: usize = 1_024;

/// Compares what peers send with what the hub sent.
#[derive(Debug, Default)]
pub struct Authentic {
    sealed: FxHashSet<Bytes>,
    /// Messages that were found good. Peers hand on one copy, so they are known again without a look into them.
    good: FxHashMap<(usize, usize), Bytes>,
}

impl Check for Authentic {
    fn name(&self) -> &'static str {
        "authentic"
    }

    fn sent(&mut self, sent: &Sent) -> Verdict {
        let place = (sent.bytes.as_ptr() as usize, sent.bytes.len());
        if self.good.contains_key(&place) {
            return Ok(());
        }
        match sent.by {
            None => frames(&sent.bytes).for_each(|frame| self.seal(frame)),
            Some(node) if !frames(&sent.bytes).all(|frame| self.sealed.contains(&frame)) => {
                return Err(format!("node {node} passes on a frame that the server did not send"));
            }
            Some(_) => {}
        }
        if self.good.len() >= KNOWN {
            self.good.clear();
        }
        // As long as it is kept nothing else can lie in its place.
        self.good.insert(place, sent.bytes.clone());
        Ok(())
    }
}

impl Authentic {
    /// The hub has sent this frame. Peers cut it up if it is too large for a message.
    fn seal(&mut self, frame: Bytes) {
        if frame.len() > LINK_MESSAGE_BYTES_MAX {
            self.sealed.extend(chunks(&frame));
        }
        self.sealed.insert(frame);
    }
}

/// The frames of a message, or the chunk that it is.
fn frames(bytes: &Bytes) -> impl Iterator<Item = Bytes> + use<> {
    let message = bytes.clone();
    let items = Item::all(bytes.clone()).unwrap_or_default();
    items.into_iter().filter_map(move |item| match item {
        Item::Frame(frame) => Some(frame.bytes().clone()),
        Item::Chunk { .. } => Some(message.clone()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tiercast_codec::{PublicKey, Signature, Since, Verifier};
    use tiercast_mesh::Peer;

    use super::*;
    use crate::{CALM, FakeVerifier, Net, net::Tamper, noise, relay, roots};

    /// Whom every signature pleases.
    struct Credulous;

    impl Verifier for Credulous {
        fn verify(&self, _: &PublicKey, _: &[u8], _: &Signature) -> bool {
            true
        }
    }

    fn flips_a_bit_of_frames() -> Tamper {
        Box::new(|from, _, bytes| {
            let mut bytes = bytes.to_vec();
            if from == 1 && bytes.len() > 100 {
                *bytes.last_mut()? ^= 1;
            }
            Some(bytes.into())
        })
    }

    /// A chain of three, of whom the second gets frames with a wrong bit.
    fn verdict(second: Box<dyn Verifier>, event: Vec<u8>) -> Verdict {
        let mut net = Net::new(1, roots(1), CALM);
        net.sent = Some(Vec::new());
        net.tamper = Some(flips_a_bit_of_frames());
        let mut verifiers: [Box<dyn Verifier>; 3] = [Box::new(FakeVerifier), second, Box::new(Credulous)];
        for (node, verifier) in
            (1..).zip(verifiers.iter_mut().map(|v| std::mem::replace(v, Box::new(Credulous))))
        {
            net.join_with(node, Peer::new(relay(1), verifier), Since::Now);
            net.run_for(Duration::from_secs(1));
        }
        net.publish([event]);
        net.run_for(Duration::from_secs(1));
        let mut authentic = Authentic::default();
        net.sent.iter().flatten().try_for_each(|sent| authentic.sent(sent))
    }

    #[test]
    fn a_peer_that_accepts_what_is_not_signed_is_noticed() {
        for bytes in [100, 60_000] {
            assert_eq!(verdict(Box::new(FakeVerifier), noise(1, bytes)), Ok(()));
            let wrong = verdict(Box::new(Credulous), noise(1, bytes)).unwrap_err();
            assert!(wrong.contains("node 2 "), "{wrong}");
        }
    }
}
