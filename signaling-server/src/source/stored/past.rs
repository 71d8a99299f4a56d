//! Gives the hub pages of what channels have in their stores.

use std::collections::BTreeMap;

use tiercast_codec::{ChannelName, Offset, Position};
use tiercast_mesh::{Page, PageEntry, SourceUpdate, hub::Fetch};
use tokio::task::JoinSet;
use tracing::error;

use super::StoredChannel;
use crate::source::{
    Question, Questions, Shutdown, SourceSink,
    store::{PageLimits, Reader},
};

/// Answers the hub's questions until shutdown. Each page is read by a thread of its own: the hub asks for a few at a time.
pub(crate) async fn answer(
    channels: BTreeMap<ChannelName, StoredChannel>,
    sink: SourceSink,
    mut questions: Questions,
    mut stops: Shutdown,
) {
    let mut reading = JoinSet::new();
    loop {
        let question = tokio::select! {
            Some(question) = questions.recv() => question,
            Some(_) = reading.join_next() => continue,
            _ = stops.wait_for(|stopping| *stopping) => return,
            else => return,
        };
        // Where an embedded channel ends is known to the driver.
        let Question::Page(fetch) = question else { continue };
        let Some(channel) = channels.get(&fetch.channel) else { continue };
        let (reader, sink) = (channel.reader.clone(), sink.clone());
        reading.spawn_blocking(move || {
            let update = page(&reader, &fetch);
            // Without a hub nobody waits for it.
            let _ = sink.blocking_send((fetch.channel.to_string(), update));
        });
    }
}

/// The answer to one question.
fn page(reader: &Reader, fetch: &Fetch) -> SourceUpdate {
    let (asked, limits) = (fetch.after, PageLimits { events: fetch.events_max, bytes: fetch.bytes_max });
    let oldest = reader.extent().oldest;
    match reader.read(asked.offset, limits) {
        Ok(read) if reader.position().epoch == asked.epoch => {
            let (after, last) = (read.after.min(fetch.to), read.last().min(fetch.to));
            let events =
                read.events.into_iter().filter(|event| event.offset <= fetch.to).map(PageEntry::Event);
            let is_removed = asked.offset < oldest - 1;
            let damaged = Some(after).filter(|after| *after > asked.offset && !is_removed);
            let entries = damaged.map(PageEntry::LeftOut).into_iter().chain(events).collect();
            let after = if is_removed { after } else { asked.offset };
            SourceUpdate::Fetched(Page { asked, after, entries, last })
        }
        Ok(_) => SourceUpdate::NotFetched { after: asked },
        Err(error) => {
            error!(channel = %fetch.channel, %error, "old events cannot be read");
            SourceUpdate::NotFetched { after: asked }
        }
    }
}

/// How far back the channel can be read.
pub(super) fn retains(reader: &Reader) -> (Offset, SourceUpdate) {
    let oldest = reader.extent().oldest;
    (oldest, SourceUpdate::Retains(Position::new(reader.position().epoch, oldest - 1)))
}
