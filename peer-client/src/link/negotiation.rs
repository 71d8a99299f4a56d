//! Offer, answer, candidates: who may say what when, and what is kept until its turn.

use std::time::Duration;

use tiercast_codec::{
    Signal,
    limits::{SIGNAL_CANDIDATE_BYTES_MAX, SIGNAL_CANDIDATES_MAX, SIGNAL_DESCRIPTION_BYTES_MAX},
};
use webrtc::peer_connection::{RTCIceCandidateInit, RTCSdpType, RTCSessionDescription};

use super::connection::Connection;
use super::{LinkCloseReason, Role};

/// There is only the data section.
const MID: &str = "0";

/// How long a description waits for our own candidates, so that they travel inside it and the hub
/// forwards one message instead of several. Host addresses take less than a millisecond; what STUN
/// and TURN find may follow later.
const GATHER_WAIT: Duration = Duration::from_millis(20);

/// The signals that go to the other end.
pub(super) type Signals = Vec<Signal>;

#[derive(Debug)]
pub(super) struct Negotiation {
    role: Role,
    /// The other end's description has been applied.
    described: bool,
    /// Candidates that came before it.
    early: Vec<String>,
    /// Candidates taken from the other end, whether kept or applied; more are ignored, because each is
    /// paired with each of ours.
    candidates: u32,
    /// Candidates of our own that were said; the hub would end the link for more.
    said: u32,
    /// Signals that were dropped because they made no sense, without closing the link.
    ignored: u32,
}

impl Negotiation {
    pub(super) fn new(role: Role) -> Self {
        Self { role, described: false, early: Vec::new(), candidates: 0, said: 0, ignored: 0 }
    }

    /// What this end says first.
    pub(super) async fn begin(&mut self, connection: &mut Connection) -> Result<Signals, LinkCloseReason> {
        match self.role {
            Role::Offerer => {
                let offer = connection.pc.create_offer(None).await.map_err(transport)?;
                self.describe(connection, offer).await
            }
            Role::Answerer => Ok(Vec::new()),
        }
    }

    /// Takes what the other end said, and says what there is to reply.
    pub(super) async fn on_signal(
        &mut self,
        connection: &mut Connection,
        signal: Signal,
    ) -> Result<Signals, LinkCloseReason> {
        match (signal, self.role, self.described) {
            (Signal::Candidate { candidate, .. }, ..) => {
                self.on_candidate(connection, candidate).await;
                Ok(Vec::new())
            }
            (Signal::Offer { sdp }, Role::Answerer, false) => {
                self.on_description(connection, parse(RTCSdpType::Offer, sdp)?).await?;
                let answer = connection.pc.create_answer(None).await.map_err(bad_signal)?;
                self.describe(connection, answer).await
            }
            (Signal::Answer { sdp }, Role::Offerer, false) => {
                self.on_description(connection, parse(RTCSdpType::Answer, sdp)?).await?;
                Ok(Vec::new())
            }
            (Signal::Offer { .. }, Role::Offerer, _) => Err(bad_signal("an offer to the offerer")),
            (Signal::Answer { .. }, Role::Answerer, _) => Err(bad_signal("an answer to the answerer")),
            (_, _, true) => Err(bad_signal("a second description")),
        }
    }

    /// A candidate of our own, for the other end: nothing if the hub would not forward it.
    pub(super) fn own_candidate(&mut self, candidate: String) -> Option<Signal> {
        let is_small = candidate.len() + MID.len() <= SIGNAL_CANDIDATE_BYTES_MAX;
        if !is_small || self.said == SIGNAL_CANDIDATES_MAX {
            tracing::debug!(said = self.said, candidate, "kept a candidate of our own");
            return None;
        }
        self.said += 1;
        Some(Signal::Candidate { candidate, mid: MID.into() })
    }

    /// Makes `description` ours and says it, together with the candidates that were found meanwhile.
    async fn describe(
        &mut self,
        connection: &mut Connection,
        description: RTCSessionDescription,
    ) -> Result<Signals, LinkCloseReason> {
        let kind = description.sdp_type;
        connection.pc.set_local_description(description).await.map_err(transport)?;
        // Late candidates, or none at all: both are fine, so neither outcome matters.
        let _ = tokio::time::timeout(GATHER_WAIT, connection.status.wait_for(|status| status.gathered)).await;
        let Some(RTCSessionDescription { sdp, .. }) = connection.pc.local_description().await else {
            return Err(transport("no description"));
        };
        if sdp.len() > SIGNAL_DESCRIPTION_BYTES_MAX {
            return Err(transport(format!("a description of {} bytes, too long to be forwarded", sdp.len())));
        }
        let mut candidates = Vec::new();
        while let Ok(candidate) = connection.candidates.try_recv() {
            if !sdp.contains(&candidate) {
                candidates.extend(self.own_candidate(candidate));
            }
        }
        let description =
            if kind == RTCSdpType::Offer { Signal::Offer { sdp } } else { Signal::Answer { sdp } };
        Ok(std::iter::once(description).chain(candidates).collect())
    }

    /// Counts signals that were dropped before they came here.
    pub(super) fn ignore(&mut self, count: u32, why: &str) {
        if count > 0 {
            self.ignored = self.ignored.saturating_add(count);
            tracing::warn!(ignored = self.ignored, why, "ignored a signal");
        }
    }

    async fn on_description(
        &mut self,
        connection: &Connection,
        description: RTCSessionDescription,
    ) -> Result<(), LinkCloseReason> {
        connection.pc.set_remote_description(description).await.map_err(bad_signal)?;
        self.described = true;
        for candidate in std::mem::take(&mut self.early) {
            self.apply(connection, candidate).await;
        }
        Ok(())
    }

    async fn on_candidate(&mut self, connection: &Connection, candidate: String) {
        // An empty candidate says that there are no more; nobody waits for that.
        if candidate.is_empty() {
            return;
        }
        if candidate.len() > SIGNAL_CANDIDATE_BYTES_MAX {
            return self.ignore(1, "candidate too long");
        }
        if self.candidates == SIGNAL_CANDIDATES_MAX {
            return self.ignore(1, "too many candidates");
        }
        self.candidates += 1;
        if self.described {
            self.apply(connection, candidate).await;
        } else {
            self.early.push(candidate);
        }
    }

    async fn apply(&mut self, connection: &Connection, candidate: String) {
        let init = RTCIceCandidateInit {
            candidate,
            sdp_mid: Some(MID.into()),
            sdp_mline_index: Some(0),
            ..Default::default()
        };
        if connection.pc.add_ice_candidate(init).await.is_err() {
            self.ignore(1, "candidate not understood");
        }
    }
}

/// A description for data and nothing else. Media would reserve decoders for a stranger.
fn parse(kind: RTCSdpType, sdp: String) -> Result<RTCSessionDescription, LinkCloseReason> {
    if sdp.len() > SIGNAL_DESCRIPTION_BYTES_MAX {
        return Err(bad_signal("description too long"));
    }
    let mut sections = sdp.lines().filter(|line| line.starts_with("m="));
    if !(sections.next().is_some_and(|line| line.starts_with("m=application ")) && sections.next().is_none())
    {
        return Err(bad_signal("not a description of one data section"));
    }
    let parsed = if kind == RTCSdpType::Offer {
        RTCSessionDescription::offer(sdp)
    } else {
        RTCSessionDescription::answer(sdp)
    };
    parsed.map_err(bad_signal)
}

fn bad_signal(what: impl ToString) -> LinkCloseReason {
    LinkCloseReason::BadSignal(what.to_string())
}

fn transport(what: impl ToString) -> LinkCloseReason {
    LinkCloseReason::Transport(what.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_of_one_data_section() {
        let head = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";
        let data = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n";
        let audio = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n";
        assert!(parse(RTCSdpType::Offer, format!("{head}{data}")).is_ok());
        for bad in
            ["garbage".into(), head.to_owned(), format!("{head}{audio}"), format!("{head}{data}{audio}")]
        {
            assert!(matches!(parse(RTCSdpType::Offer, bad), Err(LinkCloseReason::BadSignal(_))));
        }
        let long = format!("{head}{data}{}", "a=x\r\n".repeat(SIGNAL_DESCRIPTION_BYTES_MAX));
        assert!(matches!(parse(RTCSdpType::Answer, long), Err(LinkCloseReason::BadSignal(_))));
    }

    #[test]
    fn we_say_no_more_candidates_than_the_hub_forwards() {
        let mut negotiation = Negotiation::new(Role::Offerer);
        let mut say = |bytes: usize| negotiation.own_candidate("c".repeat(bytes)).is_some();
        assert!(!say(SIGNAL_CANDIDATE_BYTES_MAX), "with its section it is too large");
        let said = (0..100).filter(|_| say(SIGNAL_CANDIDATE_BYTES_MAX - 1)).count();
        assert_eq!(said, SIGNAL_CANDIDATES_MAX as usize);
    }
}
