//! Topic patterns mean to Tiercast what they mean to RabbitMQ: every case of the vectors is put to a real broker.

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
use tiercast_tests::broker::Broker;

const EXCHANGE: &str = "patterns";

#[tokio::test]
async fn a_pattern_matches_what_the_broker_says_it_matches() -> Result<()> {
    let broker = Broker::shared().await?;
    broker.declare_topic_exchange(EXCHANGE).await?;
    let connection = broker.connect().await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;

    let vectors: Value = serde_json::from_str(include_str!("../../codec/vectors/patterns.json"))?;
    let cases = vectors["match"].as_array().context("cases")?;
    let text = |value: &Value| value.as_str().map(str::to_owned).context("text");
    let mut queues = BTreeMap::new();
    for case in cases {
        let pattern = text(&case[0])?;
        let queue = format!("patterns.{}", queues.len());
        if let std::collections::btree_map::Entry::Vacant(entry) = queues.entry(pattern.clone()) {
            bind(&channel, &queue, &pattern).await?;
            entry.insert(queue);
        }
    }
    for key in cases.iter().map(|case| text(&case[1])).collect::<Result<BTreeSet<_>>>()? {
        publish(&channel, &key).await?;
    }
    let mut received = BTreeMap::new();
    for (pattern, queue) in queues {
        received.insert(pattern, drain(&channel, &queue).await?);
    }
    let mut differences = Vec::new();
    for case in cases {
        let (pattern, key, matches) = (text(&case[0])?, text(&case[1])?, case[2].as_bool().context("bool")?);
        if received[&pattern].contains(&key) != matches {
            differences.push(case);
        }
    }
    ensure!(differences.is_empty(), "the broker says the opposite: {differences:?}");
    Ok(())
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
