//! The broker's URL, which holds a password and therefore prints without it.

use std::{fmt, str::FromStr};

use lapin::uri::AMQPUri;

/// An AMQP URL, `amqp[s]://user:password@host:port/vhost`. `Debug` and `Display` leave the password out.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerUrl(AMQPUri);

/// Why a text is not a broker URL. Holds nothing of the text, which may contain a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerUrlError {
    /// It does not look like one.
    #[error(
        "expected amqp://USER:PASSWORD@HOST:PORT/VHOST or amqps://..., with special characters percent-encoded"
    )]
    Malformed,
    /// The library below would connect to localhost instead.
    #[error("an IPv6 address is not supported here: use a host name that resolves to it")]
    Ipv6,
    /// RabbitMQ has no such virtual host, although AMQP could have.
    #[error("the virtual host is empty: end with /%2f for the default one, or leave the last slash out")]
    EmptyVhost,
}

impl BrokerUrl {
    /// The name of the virtual host.
    pub fn vhost(&self) -> &str {
        &self.0.vhost
    }

    /// What the library below connects to.
    pub(super) fn uri(&self) -> &AMQPUri {
        &self.0
    }
}

impl FromStr for BrokerUrl {
    type Err = BrokerUrlError;

    /// Parses a URL. The errors of the library below would quote it, so they are not passed on.
    fn from_str(url: &str) -> Result<Self, BrokerUrlError> {
        let uri: AMQPUri = url.parse().map_err(|_| BrokerUrlError::Malformed)?;
        let authority = url.split_once("://").map_or("", |(_, rest)| rest);
        let authority = authority.split(['/', '?']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        if host.starts_with('[') {
            return Err(BrokerUrlError::Ipv6);
        }
        if uri.vhost.is_empty() {
            return Err(BrokerUrlError::EmptyVhost);
        }
        Ok(Self(uri))
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AMQPUri { scheme, authority, vhost, .. } = &self.0;
        let user = &authority.userinfo.username;
        write!(f, "{scheme}://{user}:***@{}:{} (virtual host `{vhost}`)", authority.host, authority.port)
    }
}

impl fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BrokerUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<BrokerUrl, BrokerUrlError> {
        url.parse()
    }

    #[test]
    fn the_password_is_never_printed() {
        for url in
            ["amqp://me:hunter2@broker:5673/events", "amqp:hunter2", "http://me:hunter2@broker", "hunter2"]
        {
            let printed = match parse(url) {
                Ok(url) => format!("{url} {url:?}"),
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(!printed.contains("hunter2"), "{printed}");
        }
    }

    #[test]
    fn a_url_prints_where_it_leads() {
        let printed = parse("amqps://me:hunter2@broker:5673/events").map(|url| url.to_string());
        assert_eq!(printed, Ok("amqps://me:***@broker:5673 (virtual host `events`)".to_owned()));
    }

    #[test]
    fn what_would_lead_elsewhere_is_refused() {
        assert_eq!(parse("amqp://[::1]:5672"), Err(BrokerUrlError::Ipv6));
        assert_eq!(parse("amqp://a:b@[::1]:5672/x"), Err(BrokerUrlError::Ipv6));
        assert_eq!(parse("amqp://broker/"), Err(BrokerUrlError::EmptyVhost));
        assert_eq!(parse("http://broker"), Err(BrokerUrlError::Malformed));
        assert_eq!(parse("amqp://broker").map(|url| url.vhost().to_owned()), Ok("/".to_owned()));
    }
}
