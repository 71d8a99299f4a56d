//! Passes the hub's questions on to the channels that they are about.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tiercast_codec::{ChannelName, Position};
use tiercast_mesh::{SourceUpdate, hub::Fetch};
use tokio::sync::mpsc;

use crate::source::{Question, SourceSink};

/// The most pages of one channel's past that can be asked for at a time; the hub asks for fewer.
const FETCHES_MAX: usize = 64;

/// Where the questions about each channel are taken.
#[derive(Debug, Default)]
pub(super) struct Inquiries(Mutex<BTreeMap<ChannelName, Asks>>);

/// Brings the hub's questions to a channel.
#[derive(Debug, Clone)]
struct Asks {
    /// One at a time waits for its answer.
    claims: mpsc::Sender<Position>,
    fetches: mpsc::Sender<Fetch>,
}

/// Their other end.
pub(super) struct Asked {
    pub(super) claims: mpsc::Receiver<Position>,
    pub(super) fetches: mpsc::Receiver<Fetch>,
}

impl Inquiries {
    /// Takes questions about a channel from now on.
    pub(super) fn open(&self, channel: &ChannelName) -> Asked {
        let ((claim, claims), (fetch, fetches)) = (mpsc::channel(1), mpsc::channel(FETCHES_MAX));
        self.lock().insert(channel.clone(), Asks { claims: claim, fetches: fetch });
        Asked { claims, fetches }
    }

    /// Nobody answers questions about a channel any more.
    pub(super) fn close(&self, channel: &ChannelName) {
        self.lock().remove(channel);
    }

    /// Passes a question on.
    pub(super) async fn pass_on(&self, question: Question, sink: &SourceSink) {
        let asks = self.lock().get(question.channel()).cloned();
        if let Some(asks) = asks {
            asks.pass_on(question, sink).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ChannelName, Asks>> {
        // Whole at any time, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asks {
    async fn pass_on(&self, question: Question, sink: &SourceSink) {
        match question {
            Question::End { claimed, .. } => {
                // Refused only where the hub asks again before it was answered.
                let _ = self.claims.try_send(claimed);
            }
            Question::Page(fetch) => {
                if let Err(refused) = self.fetches.try_send(fetch) {
                    let Fetch { channel, after, .. } = refused.into_inner();
                    // Refused only where the hub has ended.
                    let _ = sink.send((channel.to_string(), SourceUpdate::NotFetched { after })).await;
                }
            }
        }
    }
}
