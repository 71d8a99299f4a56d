//! What a hub gives peers so that a later session, or the next server, knows them and their links again. It keeps no list
//! of them: each token is a MAC, which only a hub with the same secret can make.

use ring::hmac;
use tiercast_codec::{ChannelName, LinkId, PeerId, Token};

use crate::Time;

/// The hub's tokens.
#[derive(Debug)]
pub(crate) struct Tickets {
    secret: hmac::Key,
}

/// A link, and who is at its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) link: LinkId,
    pub(crate) parent: PeerId,
    pub(crate) child: PeerId,
}

impl Tickets {
    pub(crate) fn new(secret: [u8; 32]) -> Self {
        Self { secret: hmac::Key::new(hmac::HMAC_SHA256, &secret) }
    }

    /// What both ends of a link are given, and nobody else.
    pub(crate) fn of_link(&self, channel: &ChannelName, ends: Ends) -> Token {
        let Ends { link, parent, child } = ends;
        self.token("tiercast/1 link", &[link.0, parent.0, child.0], channel.as_str())
    }

    /// What a peer is given to be the same again in a later session.
    pub(crate) fn of_peer(&self, peer: PeerId) -> Token {
        self.token("tiercast/1 peer", &[peer.0], "")
    }

    /// Whether a link's token is right.
    pub(crate) fn is_link(&self, channel: &ChannelName, ends: Ends, token: &Token) -> bool {
        self.is_same(&self.of_link(channel, ends), token)
    }

    /// Whether a peer's token is right.
    pub(crate) fn is_peer(&self, peer: PeerId, token: &Token) -> bool {
        self.is_same(&self.of_peer(peer), token)
    }

    /// Takes the same time wherever the two differ.
    fn is_same(&self, right: &Token, said: &Token) -> bool {
        let tag = hmac::sign(&self.secret, &right.0);
        hmac::verify(&self.secret, &said.0, tag.as_ref()).is_ok()
    }

    fn token(&self, context: &str, numbers: &[u64], name: &str) -> Token {
        let mut mac = hmac::Context::with_key(&self.secret);
        mac.update(context.as_bytes());
        numbers.iter().for_each(|number| mac.update(&number.to_be_bytes()));
        mac.update(name.as_bytes());
        let mut token = Token::default();
        let length = token.0.len();
        token.0.copy_from_slice(&mac.sign().as_ref()[..length]);
        token
    }
}

/// The number of a new peer or link: the time, or one more than the last.
pub(crate) fn next_number(now: Time, last: &mut u64) -> u64 {
    *last = now.0.max(*last + 1);
    *last
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_790_000_000_000_000);

    fn ends(link: u64, parent: u64, child: u64) -> Ends {
        Ends { link: LinkId(link), parent: PeerId(parent), child: PeerId(child) }
    }

    #[test]
    fn a_token_is_good_for_one_link_of_one_channel_and_hubs_with_the_same_secret() {
        let (tickets, channel) = (Tickets::new([1; 32]), "builds".parse().unwrap());
        let token = tickets.of_link(&channel, ends(NOW.0, 2, 3));
        assert!(Tickets::new([1; 32]).is_link(&channel, ends(NOW.0, 2, 3), &token));
        assert!(!Tickets::new([2; 32]).is_link(&channel, ends(NOW.0, 2, 3), &token));
        assert!(!tickets.is_link(&"other".parse().unwrap(), ends(NOW.0, 2, 3), &token));
        for wrong in [ends(NOW.0 - 1, 2, 3), ends(NOW.0, 3, 2), ends(NOW.0, 2, 4)] {
            assert!(!tickets.is_link(&channel, wrong, &token), "{wrong:?}");
        }
        assert!(!tickets.is_peer(PeerId(NOW.0), &token));
    }

    #[test]
    fn numbers_go_with_the_clock_and_never_back() {
        let mut last = 0;
        let numbers = [5, 5, 4, 9].map(|now| next_number(Time(now), &mut last));
        assert_eq!(numbers, [5, 6, 7, 9]);
    }
}
