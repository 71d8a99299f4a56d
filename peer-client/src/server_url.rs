//! The server's address: what people leave out is added, and what cannot be one is told with an example.

use std::{fmt, num::NonZeroU16, str::FromStr};

use tokio_tungstenite::tungstenite::http::{Uri, uri::Authority};

/// Where servers listen for peers.
const PATH: &str = "/v1/ws";

/// The query parameter in which a subscription key stands.
const KEY: &str = "key=";

/// The address of a signaling server, `ws://HOST:PORT/v1/ws`, with `?key=KEY` where it wants a subscription key. `http://`, a
/// missing path and, before a host with its port, a missing scheme are mended when it is parsed. Shown, it has `***` in the
/// place of the key.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl(String);

/// The addresses of servers of which a peer uses one at a time; at least one. As a text they stand between commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrls(Vec<ServerUrl>);

/// Why a text is no address of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerUrlError {
    /// Nothing can be connected to by it.
    #[error("{0}: write an address such as ws://127.0.0.1:8780/v1/ws")]
    Malformed(String),
    /// It asks for TLS.
    #[error(
        "{0}:// is TLS, and this build speaks ws:// only: use the server's ws://HOST:PORT/v1/ws, or put a TLS proxy in \
         front and use ws:// to it"
    )]
    Tls(String),
}

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(text: &str) -> Result<Self, ServerUrlError> {
        let malformed = |problem: String| Err(ServerUrlError::Malformed(problem));
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, text),
        };
        match scheme {
            Some("ws" | "http") | None => {}
            Some(tls @ ("wss" | "https")) => return Err(ServerUrlError::Tls(tls.to_owned())),
            Some(other) => {
                return malformed(format!("`{other}://` is not how a signaling server is reached"));
            }
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.is_empty() {
            return malformed("the host is missing".to_owned());
        }
        if authority.contains('@') {
            return malformed("the server asks for no user or password: leave out all up to `@`".to_owned());
        }
        if let Err(error) = authority.parse::<Authority>() {
            return malformed(format!("`{authority}` is no HOST:PORT ({error})"));
        }
        // The colons within brackets are those of an IPv6 address.
        let port = authority.rsplit(']').next().and_then(|behind| behind.split_once(':'));
        match port {
            Some((_, port)) if port.parse::<NonZeroU16>().is_err() => {
                return malformed(format!("`{port}` is no port, which is a number from 1 to 65535"));
            }
            // Nobody means port 80 by a single word.
            None if scheme.is_none() => return malformed(format!("`{authority}` has no port")),
            _ => {}
        }
        if path.contains('#') {
            return malformed(
                "an address of a server has no `#`: leave it out, and all behind it".to_owned(),
            );
        }
        let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
        let path = if path.is_empty() || path == "/" { PATH } else { path };
        if let Err(error) = path.parse::<Uri>() {
            return malformed(format!("`{path}` is no path ({error})"));
        }
        if let Err(error) = format!("{PATH}{query}").parse::<Uri>() {
            return malformed(format!("`{}` cannot stand behind the path ({error})", without_key(query)));
        }
        Ok(Self(format!("ws://{authority}{path}{query}")))
    }
}

impl FromStr for ServerUrls {
    type Err = ServerUrlError;

    fn from_str(text: &str) -> Result<Self, ServerUrlError> {
        text.split(',').map(|url| url.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl TryFrom<Vec<ServerUrl>> for ServerUrls {
    type Error = ServerUrlError;

    fn try_from(urls: Vec<ServerUrl>) -> Result<Self, ServerUrlError> {
        if urls.is_empty() {
            Err(ServerUrlError::Malformed("no server is named".to_owned()))
        } else {
            Ok(Self(urls))
        }
    }
}

impl From<ServerUrl> for ServerUrls {
    fn from(url: ServerUrl) -> Self {
        Self(vec![url])
    }
}

impl IntoIterator for ServerUrls {
    type Item = ServerUrl;
    type IntoIter = std::vec::IntoIter<ServerUrl>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl ServerUrl {
    /// The address as a text, with its key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_key(&self.0))
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerUrl({self})")
    }
}

/// An address or a part of it, to be shown.
fn without_key(text: &str) -> String {
    let Some((before, query)) = text.split_once('?') else { return text.to_owned() };
    let shown = |part| if str::starts_with(part, KEY) { "key=***" } else { part };
    format!("{before}?{}", query.split('&').map(shown).collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_leave_out_is_added() {
        let given = ["ws://h:1/v1/ws", "http://h:1/v1/ws", "http://h:1", "http://h:1/", "h:1"];
        for text in given {
            assert_eq!(text.parse(), Ok(ServerUrl("ws://h:1/v1/ws".to_owned())), "{text}");
        }
        let other = |text: &str| text.parse::<ServerUrl>().map(|url| url.to_string());
        assert_eq!(other("h:1/other?x=1").as_deref(), Ok("ws://h:1/other?x=1"));
        assert_eq!(other("http://h").as_deref(), Ok("ws://h/v1/ws"));
        let connected_to = |text: &str| text.parse::<ServerUrl>().map(|url| url.as_str().to_owned());
        for text in ["h:1?key=abc.d-e_f", "http://h:1/?key=abc.d-e_f", "ws://h:1/v1/ws?key=abc.d-e_f"] {
            assert_eq!(connected_to(text).as_deref(), Ok("ws://h:1/v1/ws?key=abc.d-e_f"), "{text}");
        }
        assert_eq!(other("[::1]:8780").as_deref(), Ok("ws://[::1]:8780/v1/ws"));
    }

    #[test]
    fn what_is_wrong_with_an_address_is_named_with_an_example() {
        for (text, problem) in [
            ("", "the host is missing"),
            ("ws://", "the host is missing"),
            ("ftp://h/x", "`ftp://`"),
            ("ht!tp://h", "`ht!tp://`"),
            ("h:99999", "`99999` is no port"),
            ("h:0", "`0` is no port"),
            ("[::1]:x", "is no"),
            ("http://a b", "`a b` is no HOST:PORT"),
            ("ws://[::1:80/x", "`[::1:80` is no HOST:PORT"),
            ("h:1/a b", "`/a b` is no path"),
            ("me:hunter2@h:1", "no user or password"),
        ] {
            let error = text.parse::<ServerUrl>().expect_err(text).to_string();
            assert!(
                error.contains(problem) && error.contains("ws://127.0.0.1:8780/v1/ws"),
                "{text}: {error}"
            );
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn an_address_is_shown_without_its_key() {
        let url: ServerUrl = "h:1/v1/ws?a=b&key=hunter2&c=key".parse().unwrap();
        assert_eq!(url.to_string(), "ws://h:1/v1/ws?a=b&key=***&c=key");
        assert_eq!(format!("{url:?}"), "ServerUrl(ws://h:1/v1/ws?a=b&key=***&c=key)");
        for text in ["h:1?key=hunter2 x", "h:1/v1/ws?key=hunter2\"", "h:1?key=hunter2#x"] {
            let error = text.parse::<ServerUrl>().expect_err(text).to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn several_addresses_stand_between_commas() {
        let urls: ServerUrls = "h:1, ws://h:2".parse().unwrap();
        let texts: Vec<_> = urls.into_iter().map(|url| url.to_string()).collect();
        assert_eq!(texts, ["ws://h:1/v1/ws", "ws://h:2/v1/ws"]);
        for text in ["", "h:1,", ",h:1", "h:1,nonsense"] {
            assert!(text.parse::<ServerUrls>().is_err(), "{text}");
        }
        assert!(ServerUrls::try_from(Vec::new()).unwrap_err().to_string().contains("no server is named"));
    }

    #[test]
    fn regression_a_word_is_no_address() {
        for text in ["nonsense", "foo/v1/ws", "::::", "[::1]"] {
            let error = text.parse::<ServerUrl>().expect_err(text).to_string();
            assert!(error.contains("write an address such as ws://127.0.0.1:8780/v1/ws"), "{text}: {error}");
        }
    }

    #[test]
    fn an_address_with_tls_says_what_this_build_speaks() {
        for text in ["wss://h/v1/ws", "https://h"] {
            let error = text.parse::<ServerUrl>().expect_err(text).to_string();
            assert!(error.contains("speaks ws:// only") && error.contains("TLS proxy"), "{error}");
        }
    }
}
