//! What is said of a broker that cannot be reached: where it should be, why there is no connection, and what to do.

use std::{fmt, io, sync::Arc, time::Duration};

use lapin::ErrorKind;

use super::{
    error::{ACCESS_REFUSED, reply_code},
    screen::NotAmqp,
};

/// RabbitMQ's answer to a virtual host that does not exist, or that the user may not use.
const NOT_ALLOWED: u16 = 530;

/// The broker, or what is in its place, let no connection be made.
pub(super) fn refused(broker: &str, error: &lapin::Error) -> Arc<str> {
    format!("cannot connect to the broker {broker}: {}", why(error)).into()
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

/// Why, and what to do. What the broker said is left out where it says no more than we do.
fn why(error: &lapin::Error) -> String {
    match (error.kind(), reply_code(error)) {
        (_, Some(ACCESS_REFUSED)) => "it refuses the user or the password: check both in amqp.url".to_owned(),
        (_, Some(NOT_ALLOWED)) => {
            "it refuses the virtual host: check the virtual host in amqp.url, and whether the \
                                   user has permissions there"
                .to_owned()
        }
        (_, Some(_)) => format!("{error}: RabbitMQ's log tells more"),
        (ErrorKind::IOError(error), _) => why_io(error),
        _ => format!("{error}: is it RabbitMQ that listens there? check amqp.url"),
    }
}

fn why_io(error: &io::Error) -> String {
    let inner = error.get_ref();
    if let Some(not_amqp) = inner.and_then(|inner| inner.downcast_ref()) {
        return match not_amqp {
            NotAmqp::Tls => {
                "what listens there speaks TLS: write amqps:// in amqp.url, or give the port without TLS, \
                             usually 5672"
            }
            NotAmqp::Other => "what listens there is no RabbitMQ: check host and port in amqp.url",
        }
        .to_owned();
    }
    match inner.and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::InvalidMessage(_)) => {
            "what listens there does not speak TLS: write amqp:// in amqp.url, or \
                                                   give the port with TLS, usually 5671"
                .to_owned()
        }
        Some(rustls::Error::InvalidCertificate(problem)) => {
            format!("its certificate cannot be trusted ({problem}): check it, and the host in amqp.url")
        }
        _ if error.kind() == io::ErrorKind::ConnectionRefused => {
            format!("{error}: is RabbitMQ running there? check host and port in amqp.url")
        }
        _ => format!("{error}: check host and port in amqp.url, and the network"),
    }
}
