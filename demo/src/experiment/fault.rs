//! Faults as the command line names them: `30%@10s`, `1:tier1@5s`, `1@10s+5s`, `1@10s=100KB/s`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// So many of some peers, at some time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fault {
    pub(super) amount: Amount,
    /// Of whom; whoever the fault is usually for, if it was not said.
    pub(crate) of: Option<Kind>,
    /// After everybody has had the first event.
    pub(super) at: Duration,
    /// How long it lasts.
    pub(super) lasts: Option<Duration>,
    /// How many bytes a second they have left.
    pub(super) bytes_per_s: Option<u64>,
    /// As it was written.
    pub(super) text: String,
}

/// How many.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Amount {
    Count(usize),
    Percent(f64),
}

/// Of whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// Anybody.
    Peers,
    /// Those that have children.
    Relays,
    /// Those that have none.
    Leaves,
    /// Those that the server feeds for good.
    Tier1,
}

impl Amount {
    /// How many that is of so many; a share is at least one.
    pub(super) fn of(self, all: usize) -> usize {
        match self {
            Self::Count(count) => count.min(all),
            Self::Percent(percent) => {
                ((all as f64 * percent / 100.0).round() as usize).clamp(1.min(all), all)
            }
        }
    }
}

/// `WHO@WHEN`, where WHO is `3`, `30%`, `3:relays` or `3:tier1`; and, where it has them, `+DURATION` and `=RATE`.
fn fault(text: &str) -> Result<Fault, String> {
    let (rest, bytes_per_s) = match text.split_once('=') {
        Some((rest, rate)) => (rest, Some(self::bytes_per_s(rate)?)),
        None => (text, None),
    };
    let (who, when) = rest.split_once('@').ok_or("say whom and when, such as 30%@10s or 3:relays@5s")?;
    let (when, lasts) = match when.split_once('+') {
        Some((when, lasts)) => (when, Some(duration(lasts)?)),
        None => (when, None),
    };
    let (amount, of) = match who.split_once(':') {
        Some((amount, kind)) => (amount, Some(self::kind(kind)?)),
        None => (who, None),
    };
    let (amount, at, text) = (self::amount(amount)?, duration(when)?, text.to_owned());
    Ok(Fault { amount, of, at, lasts, bytes_per_s, text })
}

/// `WHO@WHEN`, of something that ends by itself.
pub(crate) fn instant(text: &str) -> Result<Fault, String> {
    let fault = fault(text)?;
    match (fault.lasts, fault.bytes_per_s) {
        (None, None) => Ok(fault),
        (Some(_), _) => Err("this has no duration: leave out what follows the +".to_owned()),
        (_, Some(_)) => Err("this has no rate: leave out what follows the =".to_owned()),
    }
}

/// `WHO@WHEN=RATE`.
pub(super) fn narrow(text: &str) -> Result<Fault, String> {
    let fault = fault(text)?;
    match (fault.lasts, fault.bytes_per_s) {
        (None, Some(_)) => Ok(fault),
        (Some(_), _) => Err("this has no duration: leave out what follows the +".to_owned()),
        (_, None) => Err(format!("say how much is left, such as {text}=100KB/s")),
    }
}

/// `WHO@WHEN+DURATION`.
pub(crate) fn lasting(text: &str) -> Result<Fault, String> {
    let fault = fault(text)?;
    match (fault.lasts, fault.bytes_per_s) {
        (Some(_), None) => Ok(fault),
        (_, Some(_)) => Err("this has no rate: leave out what follows the =".to_owned()),
        (None, _) => Err(format!("say for how long, such as {text}+5s")),
    }
}

/// `10s`, `2.5s` or `500ms`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time: write it as 10s, 2.5s or 500ms");
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s').ok_or_else(wrong)?, 1.0),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * unit).map_err(|_| wrong())
}

/// A time of at least a second.
pub(super) fn patience(text: &str) -> Result<Duration, String> {
    let patience = duration(text)?;
    if patience >= Duration::from_secs(1) { Ok(patience) } else { Err("it must be at least 1s".to_owned()) }
}

/// `2%`, as parts of a million, and less than all of them.
pub(super) fn per_million(text: &str) -> Result<u32, String> {
    let percent = percent(text).ok_or("write it as 2% or 0.5%, less than 100%")?;
    let parts = (percent * 10_000.0).round() as u32;
    if parts < 1_000_000 {
        Ok(parts)
    } else {
        Err("it must be less than 100%: nothing would come".to_owned())
    }
}

/// So many a second.
pub(super) fn per_second(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "say how many peers a second, such as 2 or 0.5")?;
    if rate > 0.0 && rate <= 1_000.0 {
        Ok(rate)
    } else {
        Err("it must be more than 0 and at most 1000".to_owned())
    }
}

/// `100KB/s` or `2MB/s`, in bytes.
fn bytes_per_s(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no rate: write it as 100KB/s or 2MB/s");
    let (number, unit) = match text.strip_suffix("KB/s") {
        Some(number) => (number, 1e3),
        None => (text.strip_suffix("MB/s").ok_or_else(wrong)?, 1e6),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    Some((number * unit) as u64).filter(|bytes| *bytes > 0).ok_or_else(wrong)
}

fn amount(text: &str) -> Result<Amount, String> {
    if text.ends_with('%') {
        return percent(text).filter(|percent| *percent > 0.0).map(Amount::Percent).ok_or_else(wrong_amount);
    }
    text.parse().ok().filter(|count| *count > 0).map(Amount::Count).ok_or_else(wrong_amount)
}

fn wrong_amount() -> String {
    "say how many, such as 3 or 30%, at least one and at most all".to_owned()
}

fn kind(text: &str) -> Result<Kind, String> {
    match text {
        "peers" => Ok(Kind::Peers),
        "relays" => Ok(Kind::Relays),
        "leaves" => Ok(Kind::Leaves),
        "tier1" => Ok(Kind::Tier1),
        _ => Err(format!("`{text}` are nobody: choose peers, relays, leaves or tier1")),
    }
}

fn percent(text: &str) -> Option<f64> {
    text.strip_suffix('%')?.parse().ok().filter(|percent| (0.0..=100.0).contains(percent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_understood_as_it_is_written() -> Result<(), String> {
        let parsed = fault("30%@10s")?;
        assert_eq!((parsed.amount, parsed.of), (Amount::Percent(30.0), None));
        assert_eq!((parsed.at, parsed.lasts), (Duration::from_secs(10), None));
        let parsed = lasting("1:tier1@500ms+2.5s")?;
        assert_eq!((parsed.amount, parsed.of), (Amount::Count(1), Some(Kind::Tier1)));
        assert_eq!(parsed.at, Duration::from_millis(500));
        assert_eq!(parsed.lasts, Some(Duration::from_millis(2_500)));
        let parsed = narrow("1:relays@5s=1.5MB/s")?;
        assert_eq!((parsed.at, parsed.bytes_per_s), (Duration::from_secs(5), Some(1_500_000)));
        Ok(())
    }

    #[test]
    fn what_is_no_fault_is_answered_with_one() {
        let cases = [
            ("30%", "30%@10s"),
            ("0@1s", "at least one"),
            ("x@1s", "at least one"),
            ("101%@1s", "at most all"),
            ("1@10", "10s"),
            ("1@-1s", "10s"),
            ("1:cats@1s", "relays"),
        ];
        for (text, words) in cases {
            let error = fault(text).expect_err(text);
            assert!(error.contains(words), "{text}: {error}");
        }
        assert!(lasting("1@5s").expect_err("no end").contains("1@5s+5s"));
        assert!(instant("1@5s+1s").is_err() && instant("1@5s=1KB/s").is_err());
        assert!(narrow("1@5s").expect_err("no rate").contains("1@5s=100KB/s"));
        assert!(narrow("1@5s=0KB/s").expect_err("nothing").contains("no rate"));
        assert!(per_million("2").is_err() && per_second("-1").is_err() && per_second("x").is_err());
        assert!(per_million("100%").expect_err("nothing left").contains("less than 100%"));
        assert!(patience("0s").is_err() && patience("999ms").expect_err("too short").contains("at least 1s"));
        assert_eq!(patience("1s"), Ok(Duration::from_secs(1)));
        assert_eq!((per_million("2%"), per_second("0.5")), (Ok(20_000), Ok(0.5)));
    }

    #[test]
    fn a_share_is_at_least_one_and_a_count_at_most_all() {
        let percent = Amount::Percent(30.0);
        assert_eq!([percent.of(100), percent.of(1), percent.of(0)], [30, 1, 0]);
        assert_eq!([Amount::Count(3).of(10), Amount::Count(3).of(2)], [3, 2]);
    }
}
