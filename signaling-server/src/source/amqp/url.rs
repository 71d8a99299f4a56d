//! The broker's URL, which holds a password and therefore prints without it.

use std::{fmt, num::NonZeroU16, str::FromStr};

use lapin::uri::AMQPUri;

/// An AMQP URL, `amqp[s]://user:password@host:port/vhost`. `Debug` and `Display` leave the password out.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerUrl(AMQPUri);

/// What a broker URL looks like.
const EXPECTED: &str = "write amqp://USER:PASSWORD@HOST:PORT/VHOST or amqps://..., with special characters \
                        percent-encoded (`@` is %40, `/` is %2F)";

/// What may stand behind `?`. Heartbeat and timeout have keys of their own.
const QUERY_KEYS: [&str; 3] = ["auth_mechanism", "channel_max", "frame_max"];

/// Why a text is not a broker URL. Holds nothing of the text, which may contain a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerUrlError {
    /// It does not begin with `amqp://` or `amqps://`, or something else about it makes no sense.
    #[error("it is no broker's URL: {EXPECTED}")]
    Malformed,
    /// There are two of `@`, or nothing before it.
    #[error("user and password cannot be told apart from the rest: {EXPECTED}")]
    User,
    /// The library below would take another one, `guest`.
    #[error("there is a user without a password: write USER:PASSWORD@, or leave both out for guest:guest")]
    NoPassword,
    /// There is none, or it holds what a name cannot.
    #[error("there is no host, or it is no name: {EXPECTED}")]
    Host,
    /// The library below would connect to localhost instead.
    #[error("an IPv6 address is not supported here: use a host name that resolves to it")]
    Ipv6,
    /// Not a number from 1 to 65535.
    #[error("the port is no number from 1 to 65535: {EXPECTED}; without a port it is 5672, for amqps 5671")]
    Port,
    /// RabbitMQ has no such virtual host, although AMQP could have.
    #[error("the virtual host is empty: end with /%2f for the default one, or leave the last slash out")]
    EmptyVhost,
    /// A `%` without two hexadecimal digits.
    #[error("a `%` is not followed by two hexadecimal digits: write %25 for `%` itself")]
    Escape,
    /// Something behind `?` or `#` that nobody would look at.
    #[error(
        "only auth_mechanism, channel_max and frame_max can stand behind `?`, and nothing behind `#`: set \
         amqp.heartbeat_s and amqp.connect_timeout_ms instead; within a name or password write %3F and %23"
    )]
    Extra,
    /// Another user or virtual host than the first one of a list has.
    #[error(
        "its user or virtual host is not that of the first one: a list names the nodes of one cluster, with the same \
         USER:PASSWORD and VHOST for each"
    )]
    OtherCluster,
}

impl BrokerUrl {
    /// The name of the virtual host.
    pub fn vhost(&self) -> &str {
        &self.0.vhost
    }

    /// Whether it can be another node of the cluster of `first`: they have the same users and virtual hosts.
    pub(super) fn check_beside(&self, first: &Self) -> Result<(), BrokerUrlError> {
        let access = |url: &Self| (url.0.vhost.clone(), url.0.authority.userinfo.clone());
        if access(self) == access(first) { Ok(()) } else { Err(BrokerUrlError::OtherCluster) }
    }

    /// What the library below connects to.
    pub(super) fn uri(&self) -> &AMQPUri {
        &self.0
    }
}

impl FromStr for BrokerUrl {
    type Err = BrokerUrlError;

    /// Parses a URL. The library below takes much for a URL that leads elsewhere than it seems to (`amqp:/host` is the
    /// virtual host `host` on localhost), and its errors quote it.
    fn from_str(url: &str) -> Result<Self, BrokerUrlError> {
        let (scheme, rest) = url.split_once("://").ok_or(BrokerUrlError::Malformed)?;
        if !["amqp", "amqps"].contains(&scheme) || url.contains(|c: char| c.is_whitespace() || c.is_control())
        {
            return Err(BrokerUrlError::Malformed);
        }
        let (authority, behind) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        check_authority(authority)?;
        check_escapes(rest)?;
        check_extras(behind)?;
        let uri: AMQPUri = url.parse().map_err(|_| BrokerUrlError::Malformed)?;
        if uri.vhost.is_empty() {
            return Err(BrokerUrlError::EmptyVhost);
        }
        Ok(Self(uri))
    }
}

fn check_authority(authority: &str) -> Result<(), BrokerUrlError> {
    let (user, address) = match authority.rsplit_once('@') {
        Some((user, address)) => (Some(user), address),
        None => (None, authority),
    };
    if user.is_some_and(|user| user.is_empty() || user.starts_with(':') || user.contains('@')) {
        return Err(BrokerUrlError::User);
    }
    if user.is_some_and(|user| !user.contains(':')) {
        return Err(BrokerUrlError::NoPassword);
    }
    if address.starts_with('[') {
        return Err(BrokerUrlError::Ipv6);
    }
    let (host, port) = match address.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (address, None),
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if host.is_empty() || !host.chars().all(allowed) {
        return Err(BrokerUrlError::Host);
    }
    match port {
        Some(port) if port.parse::<NonZeroU16>().is_err() => Err(BrokerUrlError::Port),
        _ => Ok(()),
    }
}

fn check_escapes(text: &str) -> Result<(), BrokerUrlError> {
    let is_escape = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if text.split('%').skip(1).all(is_escape) { Ok(()) } else { Err(BrokerUrlError::Escape) }
}

fn check_extras(behind: &str) -> Result<(), BrokerUrlError> {
    let query = behind.split_once('?').map_or("", |(_, query)| query);
    let keys = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split('=').next());
    let known = |key: Option<&str>| key.is_some_and(|key| QUERY_KEYS.contains(&key));
    if behind.contains('#') || !keys.into_iter().all(known) {
        return Err(BrokerUrlError::Extra);
    }
    Ok(())
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
    fn regression_half_a_url_is_refused_with_what_is_wrong() {
        use BrokerUrlError::{EmptyVhost, Escape, Extra, Host, Ipv6, Malformed, NoPassword, Port, User};
        for (url, why) in [
            ("amqp:/x", Malformed),
            ("amqp:x", Malformed),
            ("", Malformed),
            ("broker", Malformed),
            ("http://broker", Malformed),
            (" amqp://broker", Malformed),
            ("amqp://bro\nker", Malformed),
            ("amqp://broker/%ff", Malformed),
            ("amqp://", Host),
            ("amqp:///x", Host),
            ("amqp://:5672/x", Host),
            ("amqp://me:hunter2@", Host),
            ("amqp://bro%20ker", Host),
            ("amqp://[::1]:5672", Ipv6),
            ("amqp://a:b@[::1]:5672/x", Ipv6),
            ("amqp://broker:0", Port),
            ("amqp://broker:99999", Port),
            ("amqp://broker:", Port),
            ("amqp://broker:ab/x", Port),
            ("amqp://me:hunter/2@broker:5672/x", Port),
            ("amqp://me@here:hunter2@broker", User),
            ("amqp://@broker", User),
            ("amqp://:hunter2@broker", User),
            ("amqp://me@broker", NoPassword),
            ("amqp://me:100%@broker", Escape),
            ("amqp://me:hunter%zz@broker", Escape),
            ("amqp://broker/%2", Escape),
            ("amqp://broker/", EmptyVhost),
            ("amqp://broker?heartbeat=7", Extra),
            ("amqp://broker/x?nonsense", Extra),
            ("amqp://broker/x#y", Extra),
        ] {
            assert_eq!(parse(url), Err(why), "{url}");
        }
    }

    #[test]
    fn the_nodes_of_a_cluster_have_one_user_and_one_virtual_host() {
        let beside = |other: &str| parse(other)?.check_beside(&parse("amqp://me:x@one/ci")?);
        assert_eq!(beside("amqps://me:x@two:5/ci"), Ok(()));
        for other in ["amqp://me:x@two/cd", "amqp://you:x@two/ci", "amqp://me:y@two/ci", "amqp://two/ci"] {
            assert_eq!(beside(other), Err(BrokerUrlError::OtherCluster), "{other}");
        }
    }

    #[test]
    fn a_whole_url_leads_where_it_says() {
        for (url, printed) in [
            ("amqp://broker", "amqp://guest:***@broker:5672 (virtual host `/`)"),
            ("amqp://me:p%40%2F%25@10.0.0.1:1/%2f", "amqp://me:***@10.0.0.1:1 (virtual host `/`)"),
            (
                "amqps://me:x@a-b.c_d/x?frame_max=4096&channel_max=9",
                "amqps://me:***@a-b.c_d:5671 (virtual host `x`)",
            ),
        ] {
            assert_eq!(parse(url).map(|url| url.to_string()), Ok(printed.to_owned()), "{url}");
        }
    }
}
