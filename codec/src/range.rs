//! The ranges of integers in control and link messages. What is outside is refused when it is read; the rest have the
//! range of their type.

use std::{fmt::Display, ops::RangeInclusive};

use serde::{Deserialize, Deserializer, de};

use crate::{
    BEFORE_FIRST, LivingLink, NUMBER_MAX, Offset,
    limits::{DURATION_MS_MAX, LIVING_LINKS_MAX},
};

/// Ids and times: 0 to 2^53 - 1.
pub(crate) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    within(0..=NUMBER_MAX, u64::deserialize(deserializer)?)
}

/// The same, optional.
pub(crate) fn number_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Option::deserialize(deserializer)?.map(|value| within(0..=NUMBER_MAX, value)).transpose()
}

/// Offsets: -1 to 2^53 - 1.
pub(crate) fn offset<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Offset, D::Error> {
    within(BEFORE_FIRST..=NUMBER_MAX as Offset, Offset::deserialize(deserializer)?)
}

/// How often something is done, in milliseconds: 1 to an hour.
pub(crate) fn interval_ms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(1..=DURATION_MS_MAX, u32::deserialize(deserializer)?)
}

/// How long to wait, in milliseconds, optional: 0 to an hour.
pub(crate) fn wait_ms_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    Option::deserialize(deserializer)?.map(|value| within(0..=DURATION_MS_MAX, value)).transpose()
}

/// The living links of a subscription, optional: [`LIVING_LINKS_MAX`] at most.
pub(crate) fn links_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<LivingLink>, D::Error> {
    let links = Option::<Vec<LivingLink>>::deserialize(deserializer)?.unwrap_or_default();
    within(0..=LIVING_LINKS_MAX, links.len()).map(|_| links)
}

fn within<T: PartialOrd + Display, E: de::Error>(range: RangeInclusive<T>, value: T) -> Result<T, E> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(E::custom(format_args!("{value} is out of range: {} to {}", range.start(), range.end())))
}
