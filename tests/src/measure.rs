//! Measurements of a server that runs as a program of its own: what a crowd of plain readers and sessions costs it.

use std::time::Duration;

use anyhow::Result;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use crate::{crowd::Times, http_publisher::HttpPublisher};

pub mod comeback;
pub mod slow;
pub mod transports;

/// Takes a line about how far a measurement is.
pub type Progress = fn(String);

/// A megabyte, as it is printed.
const MIB: f64 = (1 << 20) as f64;

/// Lets this process, and those that it starts, have as many connections as the system allows.
pub fn allow_many_connections() -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// An event whose body is a text of so many bytes that does not compress well.
fn event(number: u64, bytes: usize) -> Value {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(
            b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[(state >> 58) as usize],
        )
    };
    let text: String = (0..bytes).map(|_| letter()).collect();
    json!({ "routing_key": "build.done", "message_id": number.to_string(), "text": text })
}

/// Publishes these events, so many a second, each by itself.
async fn publish(
    publisher: &mut HttpPublisher,
    numbers: std::ops::Range<u64>,
    (rate, bytes): (u64, usize),
    times: &Times,
) -> Result<()> {
    let (begun, first) = (Instant::now(), numbers.start);
    for number in numbers {
        sleep_until(begun + Duration::from_secs(1) * (number - first) as u32 / rate as u32).await;
        let event = event(number, bytes);
        times.publish(number);
        publisher.publish(&[event]).await?;
    }
    Ok(())
}
