//! Chance from hashes and from the one generator: everything that is drawn can be drawn again.

use std::time::Duration;

/// Mixes numbers to one that looks random (the finalizer of SplitMix64, once for each).
pub(crate) fn hash(parts: &[u64]) -> u64 {
    parts.iter().fold(0x9e37_79b9_7f4a_7c15, |state, part| {
        let mut mixed = (state ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

/// A number from 0 to 1, without 1.
pub(crate) fn uniform(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// A number of the standard normal distribution (Box and Muller).
pub(crate) fn normal(bits: u64) -> f64 {
    let radius = (-2.0 * (1.0 - uniform(bits)).ln()).sqrt();
    radius * (std::f64::consts::TAU * uniform(hash(&[bits]))).cos()
}

/// A duration of the exponential distribution.
pub(crate) fn exponential(bits: u64, mean: Duration) -> Duration {
    mean.mul_f64(-(1.0 - uniform(bits)).ln())
}

/// A duration of the Weibull distribution with shape 1/2, of which most are short and some very long.
pub(crate) fn weibull_half(bits: u64, mean: Duration) -> Duration {
    // With shape k the mean is scale * gamma(1 + 1/k), which is 2 * scale here.
    let x = -(1.0 - uniform(bits)).ln();
    mean.mul_f64(x * x / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(draw: impl Fn(u64) -> f64) -> f64 {
        const DRAWS: u64 = 200_000;
        (0..DRAWS).map(|number| draw(hash(&[number]))).sum::<f64>() / DRAWS as f64
    }

    #[test]
    fn distributions_have_the_means_and_deviations_that_they_should() {
        assert!((mean(uniform) - 0.5).abs() < 0.005);
        assert!(mean(normal).abs() < 0.01);
        assert!((mean(|bits| normal(bits).powi(2)) - 1.0).abs() < 0.01);
        let seconds = Duration::from_secs(10);
        assert!((mean(|bits| exponential(bits, seconds).as_secs_f64()) - 10.0).abs() < 0.1);
        assert!((mean(|bits| weibull_half(bits, seconds).as_secs_f64()) - 10.0).abs() < 0.3);
    }
}
