//! Which life of a stream this is: the stream as it was made, and what its offsets mean since.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tiercast_codec::Epoch;
use tokio::time::sleep;

use super::{
    broker::Broker,
    config::AmqpChannelConfig,
    epoch_marker::{Declared, declare},
    error::AmqpError,
    numbering,
};
use crate::epoch::{epoch_age_ms, new_epoch_after};

/// A stream that another server may be creating just now is left alone for this long. Who binds or consumes at once
/// makes the broker kill publishers' connections (`docs/measurements.md`: 36 of 40 races; after 500 ms, 0 of 50).
const SETTLE: Duration = Duration::from_millis(500);

/// Streams younger than this may be being created just now: far more than a creation takes, for clocks that differ.
const YOUNG_MS: u64 = 30_000;

/// A stream between two losses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lifetime {
    /// The epoch that the stream was made with: another one is another stream.
    pub(super) stream: Epoch,
    /// What positions in it are named by: the stream's epoch, or that of the numbering which has taken its place.
    pub(super) epoch: Epoch,
}

/// What was found, or done, before a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) lifetime: Lifetime,
    /// The stream was made, so that there is nothing in it.
    pub(super) is_new: bool,
    /// A new numbering was begun, of which other servers do not know.
    pub(super) is_renumbered: bool,
}

/// Finds out which life a stream is in, and makes it if it does not exist. `before` is what we have known it to be.
pub(super) async fn settle(
    broker: &Broker,
    config: &AmqpChannelConfig,
    before: Option<Lifetime>,
) -> Result<Settled, AmqpError> {
    let (found, is_new) = look(broker, config, before).await?;
    if !is_new
        && before.map(|before| before.stream) != Some(found.stream)
        && epoch_age_ms(found.stream) < YOUNG_MS
    {
        sleep(SETTLE).await;
    }
    // If not, somebody has thrown away what was written down.
    let is_known = before.is_none_or(|before| before.epoch <= found.epoch);
    let lifetime = match before {
        Some(before) if !is_known => renumber(broker, config, found, Some(before.epoch)).await?,
        _ => found,
    };
    Ok(Settled { lifetime, is_new, is_renumbered: !is_known })
}

/// Begins a new numbering in the place of the present one, later than `previous`; or finds the one that another server has
/// begun.
pub(super) async fn renumber(
    broker: &Broker,
    config: &AmqpChannelConfig,
    present: Lifetime,
    previous: Option<Epoch>,
) -> Result<Lifetime, AmqpError> {
    let old = previous.unwrap_or(present.epoch).max(present.epoch);
    let epoch = numbering::begin(broker, &config.queue_name(), old, new_epoch_after(Some(old))).await?;
    Ok(Lifetime { epoch, ..present })
}

/// Whether it is still the same life.
pub(super) async fn is_still(
    broker: &Broker,
    config: &AmqpChannelConfig,
    known: Lifetime,
) -> Result<bool, AmqpError> {
    let (found, is_new) = look(broker, config, Some(known)).await?;
    Ok(found == known && !is_new)
}

async fn look(
    broker: &Broker,
    config: &AmqpChannelConfig,
    before: Option<Lifetime>,
) -> Result<(Lifetime, bool), AmqpError> {
    let queue = config.queue_name();
    // First of all, so that a stream which is made now gets a later epoch.
    let numbering = numbering::look_up(broker, &queue).await?;
    let previous = numbering.max(before.map(|before| before.epoch));
    let (stream, is_new) = match declare(broker, &queue, &config.retention, previous).await? {
        Declared::Created(epoch) => (epoch, true),
        Declared::Existing(epoch) => (epoch, false),
    };
    Ok((Lifetime { stream, epoch: numbering.map_or(stream, |numbering| numbering.max(stream)) }, is_new))
}
