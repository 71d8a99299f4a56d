//! `docs/configuration.md` lists exactly the keys that there are, with their bounds and defaults.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use tiercast_signaling_server::{
    Config,
    config::{KEYS, Kind},
    source::amqp::{AmqpChannelConfig, AmqpConfig},
};

const PAGE: &str = include_str!("../../../docs/configuration.md");

/// The routes that are followed by a channel.
const ROUTES: [&str; 5] = ["publish", "topology", "sse", "poll", "history"];

/// The rows of the page's tables: key, type, bounds, default, meaning.
fn rows() -> BTreeMap<&'static str, Vec<&'static str>> {
    let cells = |line: &'static str| -> Vec<&'static str> {
        line.trim_matches('|').split('|').map(str::trim).collect()
    };
    let rows = PAGE.lines().filter(|line| line.starts_with("| `")).map(cells);
    rows.filter(|cells| cells.len() == 5).map(|cells| (cells[0].trim_matches('`'), cells)).collect()
}

#[test]
fn every_key_is_documented_and_no_other() -> anyhow::Result<()> {
    let rows = rows();
    let missing: Vec<_> =
        KEYS.iter().filter(|key| !rows.contains_key(key.path)).map(|key| key.path).collect();
    let surplus: Vec<_> = rows.keys().filter(|row| KEYS.iter().all(|key| key.path != **row)).collect();
    ensure!(missing.is_empty() && surplus.is_empty(), "missing {missing:?}, surplus {surplus:?}");
    Ok(())
}

#[test]
fn bounds_and_defaults_are_as_documented() -> anyhow::Result<()> {
    let rows = rows();
    let amqp = AmqpConfig::new("amqp://x".parse()?, Vec::new());
    let config = Config { amqp: Some(amqp), ..Config::default() };
    let channel = AmqpChannelConfig::new("any".parse()?, Vec::new());
    for key in KEYS {
        let row = rows.get(key.path).with_context(|| format!("{} is not documented", key.path))?;
        let (bounds, default) = match &key.kind {
            Kind::Number(number) => (&number.bounds, (number.read)(&config)),
            Kind::NumberEach(number) => (&number.bounds, (number.read)(&channel)),
            _ => continue,
        };
        let default = default.context("every number has a default")?;
        ensure!(row[3] == grouped(default), "{}: default {default}, not {}", key.path, row[3]);
        let expected = format!("{} to {}", grouped(*bounds.start()), grouped(*bounds.end()));
        ensure!(row[2] == expected, "{}: {expected}, not {}", key.path, row[2]);
    }
    Ok(())
}

#[test]
fn regression_pages_name_routes_as_they_are() -> anyhow::Result<()> {
    let pages = [
        PAGE,
        include_str!("../../../README.md"),
        include_str!("../../../docs/operations.md"),
        include_str!("../../../docs/protocol.md"),
    ];
    let is_of_path = |c: char| c.is_ascii_alphanumeric() || "/{}-_".contains(c);
    for page in pages {
        for mention in page.split("/v1/").skip(1) {
            let path = &mention[..mention.find(|c| !is_of_path(c)).unwrap_or(mention.len())];
            let is_route = match path.split_once('/') {
                None => ["ws", "channels", "keys", "sse", "poll", "history"].contains(&path),
                // That of taskcluster-events: /api/events/v1/connect/.
                Some(("connect", "")) => true,
                Some((route, channel)) => ROUTES.contains(&route) && !channel.is_empty(),
            };
            ensure!(is_route, "there is no route /v1/{path}");
        }
    }
    Ok(())
}

/// A number with a comma between groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let lead = digits.len() % 3;
    let groups = digits.as_bytes()[lead..].chunks(3).map(|group| String::from_utf8_lossy(group).into_owned());
    let first = (lead > 0).then(|| digits[..lead].to_owned());
    first.into_iter().chain(groups).collect::<Vec<_>>().join(",")
}
