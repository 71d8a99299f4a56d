//! A stream's numbering where the stream's own epoch (`epoch_marker.rs`) does not tell: after it has lost its end, or
//! was made again with the same arguments.
//!
//! A stream's arguments cannot be changed, so what its offsets mean since is written down beside it: an exchange of the
//! stream's name has the epoch in the name of its alternate exchange, which the broker compares at each declaration and
//! tells in its refusal. So all servers of a stream agree here, too. An exchange is known to every node of a
//! cluster, and this one is needed anyway: marks get into the stream through it (`mark.rs`).

use lapin::{
    ExchangeKind,
    options::{ExchangeDeclareOptions, ExchangeDeleteOptions},
    types::{AMQPValue, FieldTable},
};
use tiercast_codec::{Epoch, NUMBER_MAX};

use super::{
    broker::Broker,
    epoch_marker::current_value,
    error::{AmqpError, PRECONDITION_FAILED, reply_code},
};

const ARGUMENT: &str = "alternate-exchange";

/// What the name of the alternate exchange begins with: a user who may only touch what is ours may name it. There is no
/// such exchange.
const PREFIX: &str = "tiercast.";

/// The numbering that has taken the place of the stream's own, if any has. Makes the exchange if it is not there.
pub(super) async fn look_up(broker: &Broker, exchange: &str) -> Result<Option<Epoch>, AmqpError> {
    declare(broker, "declaring the numbering", exchange, None).await
}

/// Begins a new numbering in the place of `old`, unless another server has been faster.
pub(super) async fn begin(
    broker: &Broker,
    exchange: &str,
    old: Epoch,
    new: Epoch,
) -> Result<Epoch, AmqpError> {
    if new <= old {
        return Err(AmqpError::Endless(exchange.to_owned()));
    }
    loop {
        if let Some(current) = look_up(broker, exchange).await?.filter(|current| *current > old) {
            return Ok(current);
        }
        let channel = broker.open_channel().await?;
        let deletion = channel.exchange_delete(exchange.into(), ExchangeDeleteOptions::default());
        broker.rpc("replacing the numbering", deletion).await?;
        // Whoever looks for it now makes one without a number; then it is replaced once more.
        declare(broker, "writing the numbering down", exchange, Some(new)).await?;
    }
}

/// Declares the exchange; says which numbering it has then.
async fn declare(
    broker: &Broker,
    what: &'static str,
    exchange: &str,
    numbering: Option<Epoch>,
) -> Result<Option<Epoch>, AmqpError> {
    // The refusal ends the AMQP channel, so each declaration has one of its own.
    let channel = broker.open_channel().await?;
    let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let declaration =
        channel.exchange_declare(exchange.into(), ExchangeKind::Fanout, options, arguments(numbering));
    match broker.rpc(what, declaration).await {
        Ok(()) => Ok(numbering),
        Err(AmqpError::Broker { source, .. }) if reply_code(&source) == Some(PRECONDITION_FAILED) => {
            let text = source.to_string();
            let foreign = AmqpError::ForeignExchange { exchange: exchange.to_owned(), text: text.clone() };
            stored_numbering(&text).ok_or(foreign)
        }
        Err(error) => Err(error),
    }
}

fn arguments(numbering: Option<Epoch>) -> FieldTable {
    let mut arguments = FieldTable::default();
    if let Some(epoch) = numbering {
        let name = AMQPValue::LongString(format!("{PREFIX}{epoch}").into());
        arguments.insert(ARGUMENT.into(), name);
    }
    arguments
}

/// Reads the numbering out of the broker's refusal; `Some(None)` if it has none.
fn stored_numbering(text: &str) -> Option<Option<Epoch>> {
    let Some(value) = current_value(text, ARGUMENT) else {
        return text.contains(&format!("inequivalent arg '{ARGUMENT}'")).then_some(None);
    };
    let epoch = value.strip_prefix(PREFIX)?.parse().ok()?;
    (epoch <= NUMBER_MAX).then_some(Some(epoch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbering_is_read_from_the_refusal() {
        let text = |argument: &str, current: &str| {
            format!(
                "PRECONDITION_FAILED - inequivalent arg '{argument}' for exchange 'tiercast.a' in vhost '/': received \
                 none but current is {current}"
            )
        };
        let stored = |argument: &str, current: &str| stored_numbering(&text(argument, current));
        assert_eq!(stored(ARGUMENT, "the value 'tiercast.77' of type 'longstr'"), Some(Some(77)));
        assert_eq!(stored(ARGUMENT, "'tiercast.77'"), Some(Some(77)), "RabbitMQ 3.10");
        assert_eq!(stored(ARGUMENT, "none"), Some(None));
        assert_eq!(stored(ARGUMENT, "'elsewhere'"), None);
        let beyond = format!("'tiercast.{}'", NUMBER_MAX + 1);
        assert_eq!(stored(ARGUMENT, &beyond), None);
        assert_eq!(stored("type", "'direct'"), None);
    }
}
