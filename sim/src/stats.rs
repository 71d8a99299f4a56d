//! Figures of many durations.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Durations, each known to about a thousandth of itself.
#[derive(Debug, Clone)]
pub struct Sample(Histogram<u64>);

impl Default for Sample {
    fn default() -> Self {
        Self(Histogram::new(3).expect("three digits are allowed"))
    }
}

impl Sample {
    /// Adds one.
    pub fn add(&mut self, duration: Duration) {
        self.0.record(duration.as_micros() as u64).expect("the histogram grows");
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The duration that this share of all does not exceed; zero if there is none.
    pub fn quantile(&self, share: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(share))
    }

    /// The mean; zero if there is none.
    pub fn mean(&self) -> Duration {
        Duration::from_secs_f64(self.0.mean() / 1e6)
    }

    /// The longest.
    pub fn max(&self) -> Duration {
        Duration::from_micros(self.0.max())
    }

    /// The share of those that are no longer than this.
    pub fn share_within(&self, limit: Duration) -> f64 {
        self.0.percentile_below(limit.as_micros() as u64) / 100.0
    }
}

/// The middle one; zero if there is none.
pub fn median(values: impl Iterator<Item = u64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_sorted_durations() {
        let mut sample = Sample::default();
        assert_eq!((sample.quantile(0.5), sample.max(), sample.len()), (Duration::ZERO, Duration::ZERO, 0));
        for ms in (1..=1_000).rev() {
            sample.add(Duration::from_millis(ms));
        }
        let is_about = |is: Duration, ms: u64| is.as_secs_f64() * 1_000.0 / ms as f64 - 1.0;
        for (share, ms) in [(0.0, 1), (0.5, 500), (0.99, 990), (0.999, 999), (1.0, 1_000)] {
            assert!(
                is_about(sample.quantile(share), ms).abs() < 0.001,
                "{share}: {:?}",
                sample.quantile(share)
            );
        }
        assert!(is_about(sample.max(), 1_000).abs() < 0.001);
        assert!(is_about(sample.mean(), 500).abs() < 0.002, "{:?}", sample.mean());
        assert!((sample.share_within(Duration::from_millis(250)) - 0.25).abs() < 0.002);
        assert_eq!(sample.len(), 1_000);
    }

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median([5, 1, 9].into_iter()), 5.0);
        assert_eq!(median([].into_iter()), 0.0);
    }
}
