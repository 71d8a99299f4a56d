//! Topic patterns mean to Tiercast what they mean to RabbitMQ: every case of the vectors is put to a real broker, and every
//! short pattern with every short key.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use lapin::{
    BasicProperties, Channel,
    options::{
        BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions,
    },
    types::FieldTable,
};
use serde_json::Value;
use tiercast_codec::{Pattern, PatternSet};
use tiercast_tests::broker::Broker;

const EXCHANGE: &str = "patterns";

/// What patterns and keys are made of; a word may be empty.
const WORDS_OF_PATTERNS: [&str; 4] = ["a", "*", "#", ""];
const WORDS_OF_KEYS: [&str; 3] = ["a", "b", ""];

/// Most words of a pattern or a key that is made.
const WORDS_MAX: usize = 4;

/// So many patterns are together in a set.
const PATTERNS_OF_SET: usize = 5;

/// The keys that the broker says match a pattern.
type Matching = BTreeMap<String, BTreeSet<String>>;

#[tokio::test]
async fn a_pattern_matches_what_the_broker_says_it_matches() -> Result<()> {
    let vectors: Value = serde_json::from_str(include_str!("../../codec/vectors/patterns.json"))?;
    let cases = vectors["match"].as_array().context("cases")?.iter().map(case);
    let cases = cases.collect::<Result<Vec<_>>>()?;
    let mut patterns = texts(&WORDS_OF_PATTERNS);
    patterns.extend(cases.iter().map(|(pattern, _, _)| pattern.clone()));
    let mut keys = texts(&WORDS_OF_KEYS);
    keys.extend(cases.iter().map(|(_, key, _)| key.clone()));
    let matching = ask_the_broker(&patterns, &keys).await?;

    let is_wrong = |(pattern, key, matches): &&_| matching[pattern].contains(key) != *matches;
    let wrong: Vec<_> = cases.iter().filter(is_wrong).collect();
    ensure!(wrong.is_empty(), "the broker says the opposite: {wrong:?}");
    each_pattern_matches(&matching, &keys)?;
    sets_match(&matching, &keys)?;
    println!("{} patterns, {} keys", patterns.len(), keys.len());
    Ok(())
}

/// A pattern, a key, and whether it matches.
fn case(value: &Value) -> Result<(String, String, bool)> {
    Ok(serde_json::from_value(value.clone())?)
}

/// Every text of up to so many of these words.
fn texts(words: &[&str]) -> BTreeSet<String> {
    let mut longest: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let mut all: BTreeSet<_> = longest.iter().cloned().collect();
    for _ in 1..WORDS_MAX {
        longest =
            longest.iter().flat_map(|text| words.iter().map(move |word| format!("{text}.{word}"))).collect();
        all.extend(longest.iter().cloned());
    }
    all
}

fn each_pattern_matches(matching: &Matching, keys: &BTreeSet<String>) -> Result<()> {
    for (text, matched) in matching {
        let pattern: Pattern = text.parse()?;
        let ours: BTreeSet<_> = keys.iter().filter(|key| pattern.matches(key)).cloned().collect();
        let differences: Vec<_> = ours.symmetric_difference(matched).collect();
        ensure!(differences.is_empty(), "`{text}`: the broker says the opposite of {differences:?}");
    }
    Ok(())
}

/// Alone in a set, and beside others: what matches a set is what matches one of it.
fn sets_match(matching: &Matching, keys: &BTreeSet<String>) -> Result<()> {
    let all: Vec<_> = matching.iter().collect();
    for some in all.chunks(1).chain(all.chunks(PATTERNS_OF_SET)) {
        let patterns = some.iter().map(|(text, _)| text.parse()).collect::<Result<Vec<_>, _>>()?;
        let set = PatternSet::new(patterns);
        let matched: BTreeSet<_> = some.iter().flat_map(|(_, matched)| *matched).collect();
        let wrong: Vec<_> = keys.iter().filter(|key| set.matches(key) != matched.contains(key)).collect();
        ensure!(wrong.is_empty(), "{set:?}: the broker says the opposite of {wrong:?}");
    }
    Ok(())
}

async fn ask_the_broker(patterns: &BTreeSet<String>, keys: &BTreeSet<String>) -> Result<Matching> {
    let broker = Broker::shared().await?;
    broker.declare_topic_exchange(EXCHANGE).await?;
    let connection = broker.connect().await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let queues: Vec<_> = (0..patterns.len()).map(|nth| format!("patterns.{nth}")).collect();
    for (queue, pattern) in queues.iter().zip(patterns) {
        bind(&channel, queue, pattern).await?;
    }
    for key in keys {
        publish(&channel, key).await?;
    }
    let mut matching = BTreeMap::new();
    for (queue, pattern) in queues.iter().zip(patterns) {
        matching.insert(pattern.clone(), drain(&channel, queue).await?);
    }
    Ok(matching)
}

async fn bind(channel: &Channel, queue: &str, pattern: &str) -> Result<()> {
    let options = QueueDeclareOptions { exclusive: true, ..Default::default() };
    channel.queue_declare(queue.into(), options, FieldTable::default()).await?;
    let options = QueueBindOptions::default();
    channel.queue_bind(queue.into(), EXCHANGE.into(), pattern.into(), options, FieldTable::default()).await?;
    Ok(())
}

/// Publishes an event; it is in every queue that it belongs into when this returns.
async fn publish(channel: &Channel, key: &str) -> Result<()> {
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    channel.basic_publish(EXCHANGE.into(), key.into(), options, b"", properties).await?.await?;
    Ok(())
}

async fn drain(channel: &Channel, queue: &str) -> Result<BTreeSet<String>> {
    let mut keys = BTreeSet::new();
    while let Some(message) = channel.basic_get(queue.into(), BasicGetOptions { no_ack: true }).await? {
        keys.insert(message.delivery.routing_key.to_string());
    }
    Ok(keys)
}
