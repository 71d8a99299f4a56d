//! What is said of a broker that cannot be reached: where it should be, why there is no connection, and what to do.

use std::{fmt, io, sync::Arc, time::Duration};

use lapin::ErrorKind;

use super::error::reply_code;

const ACCESS_REFUSED: u16 = 403;
/// RabbitMQ's answer to a virtual host that does not exist, or that the user may not use.
const NOT_ALLOWED: u16 = 530;

/// The broker, or what is in its place, let no connection be made.
pub(super) fn refused(broker: &str, error: &lapin::Error) -> Arc<str> {
    format!("cannot connect to the broker {broker}: {error}: {}", remedy(error)).into()
}

/// Nothing was said within `limit`.
pub(super) fn silent(broker: &str, limit: Duration) -> Arc<str> {
    let limit_ms = limit.as_millis();
    format!(
        "cannot connect to the broker {broker}: no answer within {limit_ms} ms: is it frozen, is a firewall before it, \
         or is it no RabbitMQ? check amqp.url"
    )
    .into()
}

/// A connection that was good has ended.
pub(super) fn broken(broker: &str, why: impl fmt::Display) -> Arc<str> {
    format!("lost the broker {broker}: {why}: is RabbitMQ still running there?").into()
}

fn remedy(error: &lapin::Error) -> &'static str {
    match (error.kind(), reply_code(error)) {
        (_, Some(ACCESS_REFUSED)) => "check user and password in amqp.url",
        (_, Some(NOT_ALLOWED)) => {
            "check the virtual host in amqp.url, and whether the user has permissions there"
        }
        (_, Some(_)) => "RabbitMQ's log tells more",
        (ErrorKind::IOError(error), _) if error.kind() == io::ErrorKind::ConnectionRefused => {
            "is RabbitMQ running there? check host and port in amqp.url"
        }
        (ErrorKind::IOError(_), _) => "check host and port in amqp.url, and the network",
        _ => "is it RabbitMQ that listens there? check amqp.url",
    }
}
