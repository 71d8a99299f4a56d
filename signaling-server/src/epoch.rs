//! Epochs: numbers that name the lifetime of a channel's numbering, later ones larger.

use std::time::{SystemTime, UNIX_EPOCH};

use tiercast_codec::{Epoch, NUMBER_MAX};

/// Low bits of an epoch that are random, so that two servers that start one in the same millisecond differ.
const RANDOM_BITS: u32 = 12;

/// A new epoch: Unix milliseconds in the high bits, 12 random bits below; fits in 53 bits until 2039.
pub fn new_epoch() -> Epoch {
    epoch_at(unix_ms(), rand::random())
}

/// A new epoch that is greater than `previous` even if the clock was set back.
pub fn new_epoch_after(previous: Option<Epoch>) -> Epoch {
    let epoch = new_epoch();
    previous.map_or(epoch, |previous| epoch.max(previous.saturating_add(1)).min(NUMBER_MAX))
}

/// How long ago an epoch was made, in milliseconds by this machine's clock; 0 if it lies in the future.
pub fn epoch_age_ms(epoch: Epoch) -> u64 {
    unix_ms().saturating_sub(epoch >> RANDOM_BITS)
}

/// Whether an epoch was made before so many milliseconds from now.
pub fn epoch_is_before(epoch: Epoch, from_now_ms: u64) -> bool {
    epoch <= NUMBER_MAX && epoch >> RANDOM_BITS < unix_ms().saturating_add(from_now_ms)
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn epoch_at(unix_ms: u64, random: u64) -> Epoch {
    let latest = NUMBER_MAX >> RANDOM_BITS;
    (unix_ms.min(latest) << RANDOM_BITS) | (random & ((1 << RANDOM_BITS) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_milliseconds_and_twelve_random_bits() {
        assert_eq!(epoch_at(1_700_000_000_000, u64::MAX), (1_700_000_000_000 << 12) | 0xfff);
        assert_eq!(epoch_at(1_700_000_000_000, 1 << 12), 1_700_000_000_000 << 12);
    }

    #[test]
    fn an_epoch_never_leaves_53_bits() {
        assert!(new_epoch() <= NUMBER_MAX);
        assert!(epoch_at(u64::MAX, u64::MAX) <= NUMBER_MAX);
    }

    #[test]
    fn an_epoch_after_another_is_greater_whatever_the_clock_says() {
        let future = epoch_at(unix_ms() + 3_600_000, 7);
        assert_eq!(new_epoch_after(Some(future)), future + 1);
        assert!(new_epoch_after(Some(5)) > 5);
    }

    #[test]
    fn the_age_of_an_epoch_is_read_from_it() {
        assert!(epoch_age_ms(epoch_at(unix_ms() - 10_000, 0)) >= 10_000);
        assert_eq!(epoch_age_ms(epoch_at(unix_ms() + 10_000, 0)), 0);
    }
}
