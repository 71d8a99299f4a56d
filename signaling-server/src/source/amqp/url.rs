//! The broker's URL, which holds a password and therefore prints without it.

use std::fmt;

use lapin::uri::AMQPUri;
use serde::Deserialize;

/// An AMQP URL, `amqp[s]://user:password@host:port/vhost`. `Debug` and `Display` leave the password out.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct BrokerUrl(String);

/// Why a text is not a broker URL. Holds nothing of the text, which may contain a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum UrlError {
    #[error(
        "expected amqp://USER:PASSWORD@HOST:PORT/VHOST or amqps://..., with special characters percent-encoded"
    )]
    Malformed,
    #[error("an IPv6 address is not supported here: use a host name that resolves to it")]
    Ipv6,
    #[error("the virtual host is empty: end with /%2f for the default one, or leave the last slash out")]
    EmptyVhost,
}

impl BrokerUrl {
    /// Parses the URL. The errors of the library below would quote it, so they are not passed on.
    pub(super) fn parse(&self) -> Result<AMQPUri, UrlError> {
        let uri: AMQPUri = self.0.parse().map_err(|_| UrlError::Malformed)?;
        let authority = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let authority = authority.split(['/', '?']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        if host.starts_with('[') {
            // The library would connect to localhost instead.
            return Err(UrlError::Ipv6);
        }
        if uri.vhost.is_empty() {
            return Err(UrlError::EmptyVhost);
        }
        Ok(uri)
    }
}

impl From<&str> for BrokerUrl {
    fn from(url: &str) -> Self {
        Self(url.to_owned())
    }
}

impl From<String> for BrokerUrl {
    fn from(url: String) -> Self {
        Self(url)
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parse() {
            Ok(uri) => {
                let user = &uri.authority.userinfo.username;
                write!(f, "{}://{user}:***@{}:{}", uri.scheme, uri.authority.host, uri.authority.port)?;
                write!(f, " (virtual host `{}`)", uri.vhost)
            }
            Err(_) => f.write_str("(not a broker URL)"),
        }
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

    #[test]
    fn the_password_is_never_printed() {
        for url in
            ["amqp://me:hunter2@broker:5673/events", "amqp:hunter2", "http://me:hunter2@broker", "hunter2"]
        {
            let url = BrokerUrl::from(url);
            let printed = format!("{url} {url:?} {:?}", url.parse().err());
            assert!(!printed.contains("hunter2"), "{printed}");
        }
    }

    #[test]
    fn a_url_prints_where_it_leads() {
        let url = BrokerUrl::from("amqps://me:hunter2@broker:5673/events");
        assert_eq!(url.to_string(), "amqps://me:***@broker:5673 (virtual host `events`)");
    }

    #[test]
    fn what_would_lead_elsewhere_is_refused() {
        assert_eq!(BrokerUrl::from("amqp://[::1]:5672").parse(), Err(UrlError::Ipv6));
        assert_eq!(BrokerUrl::from("amqp://a:b@[::1]:5672/x").parse(), Err(UrlError::Ipv6));
        assert_eq!(BrokerUrl::from("amqp://broker/").parse(), Err(UrlError::EmptyVhost));
        assert_eq!(BrokerUrl::from("http://broker").parse(), Err(UrlError::Malformed));
        assert_eq!(BrokerUrl::from("amqp://broker").parse().map(|uri| uri.vhost), Ok("/".to_owned()));
    }
}
