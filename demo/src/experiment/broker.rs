//! The experiment's side of a broker: an exchange of its own, a publisher that loses nothing, and no traces.

use std::{
    pin::Pin,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind,
    options::{
        BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, ExchangeDeleteOptions,
        QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable},
};
use tiercast_codec::{HeaderValue, Message};
use tiercast_platform::say;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::ExperimentOptions;
use crate::ci_events::ci_event;

/// The broker answers within this, or the experiment ends.
const PATIENCE: Duration = Duration::from_secs(10);
/// Publishes that may be unconfirmed at once.
const UNCONFIRMED_MAX: usize = 500;

/// What becomes of a publish.
type Confirm = Pin<Box<dyn Future<Output = lapin::Result<Confirmation>> + Send>>;

/// A broker with an exchange for one experiment.
pub(super) struct Broker {
    connection: Connection,
    pub(super) channel: String,
    pub(super) exchange: String,
}

impl Broker {
    /// Connects and declares the exchange, if the source is a broker.
    pub(super) async fn prepare(source: &str) -> anyhow::Result<Option<Self>> {
        if !source.starts_with("amqp") {
            return Ok(None);
        }
        let connecting = Connection::connect(source, ConnectionProperties::default());
        let connection = timeout(PATIENCE, connecting).await.context("the broker does not answer")?;
        let connection =
            connection.context("cannot connect to the broker: check --source and that it runs")?;
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let channel = format!("experiment-{millis}");
        let exchange = format!("tiercast.{channel}.events");
        let amqp = connection.create_channel().await?;
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        amqp.exchange_declare(exchange.as_str().into(), ExchangeKind::Topic, options, FieldTable::default())
            .await?;
        Ok(Some(Self { connection, channel, exchange }))
    }

    /// Publishes every event at its time, `mandatory` and confirmed, as many as there are as soon as that is known. What
    /// the broker returns is sent again: the stream may not be bound yet.
    pub(super) async fn publish(
        &mut self,
        options: &ExperimentOptions,
        events: watch::Receiver<Option<u64>>,
    ) -> anyhow::Result<()> {
        let amqp = self.connection.create_channel().await?;
        amqp.confirm_select(ConfirmSelectOptions::default()).await?;
        let start = Instant::now();
        let mut unconfirmed = std::collections::VecDeque::new();
        let is_published = |number: &u64| events.borrow().is_none_or(|events| *number < events);
        for number in (0..).take_while(is_published) {
            tokio::time::sleep_until(options.due(start, number)).await;
            let confirm = self.send(&amqp, &ci_event(number, options.size as usize)).await?;
            unconfirmed.push_back((number, confirm));
            // The first one is waited for, so that nothing overtakes it when it is returned.
            let allowed = if number == 0 { 0 } else { UNCONFIRMED_MAX };
            while unconfirmed.len() > allowed {
                self.confirmed(&amqp, unconfirmed.pop_front(), options).await?;
            }
        }
        while !unconfirmed.is_empty() {
            self.confirmed(&amqp, unconfirmed.pop_front(), options).await?;
        }
        Ok(())
    }

    async fn send(&self, amqp: &Channel, message: &Message) -> anyhow::Result<Confirm> {
        let mut headers = FieldTable::default();
        for (name, value) in &message.headers {
            if let HeaderValue::Int(value) = value {
                headers.insert(name.as_str().into(), AMQPValue::LongLongInt(*value));
            }
        }
        let properties = BasicProperties::default()
            .with_headers(headers)
            .with_delivery_mode(2)
            .with_content_type(message.content_type.clone().unwrap_or_default().into())
            .with_message_id(message.message_id.clone().unwrap_or_default().into());
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let (exchange, key) = (self.exchange.as_str().into(), message.routing_key.as_str().into());
        Ok(Box::pin(amqp.basic_publish(exchange, key, options, &message.body, properties).await?))
    }

    async fn confirmed(
        &self,
        amqp: &Channel,
        sent: Option<(u64, Confirm)>,
        options: &ExperimentOptions,
    ) -> anyhow::Result<()> {
        let Some((number, mut confirm)) = sent else { return Ok(()) };
        let end = Instant::now() + PATIENCE;
        loop {
            let confirmation = timeout(PATIENCE, confirm).await.context("the broker does not confirm")??;
            match confirmation {
                Confirmation::Ack(None) => return Ok(()),
                // Returned, or refused: send again.
                _ if Instant::now() < end => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    confirm = self.send(amqp, &ci_event(number, options.size as usize)).await?;
                }
                _ => anyhow::bail!("the broker returns everything: is the server connected to it?"),
            }
        }
    }

    /// Deletes the stream, the exchange of the server's marks, which is called like it, and the exchange.
    pub(super) async fn clean_up(self) {
        let queue = format!("tiercast.{}", self.channel);
        let cleaning = async {
            let amqp = self.connection.create_channel().await?;
            amqp.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await?;
            amqp.exchange_delete(queue.as_str().into(), ExchangeDeleteOptions::default()).await?;
            amqp.exchange_delete(self.exchange.as_str().into(), ExchangeDeleteOptions::default()).await?;
            self.connection.close(200, "done".into()).await
        };
        let problem = match timeout(PATIENCE, cleaning).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it does not answer".to_owned(),
        };
        say(format_args!("could not delete {queue} from the broker: {problem}"));
    }
}
