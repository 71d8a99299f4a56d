//! `cors_origins`: whose pages may use the server from a browser, by HTTP or by WebSocket.

use std::str::FromStr;

use toml::{Table, Value};

use super::{Config, error::ConfigErrors};

const KEY: &str = "cors_origins";

/// What stands for all of them.
const ANY: &str = "*";

/// Whose pages may use the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsOrigins {
    /// Those of every site may read. They cannot publish: whoever wants that of a page has to say which.
    Any,
    /// Those of these sites may do what programs may. Others may nothing, but for those that come from the server's own
    /// address.
    Listed(Vec<Origin>),
}

/// A site as browsers name it: scheme, host, and a port if it is not the scheme's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

/// A text that no browser sends as an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// Beside others, every site would make them superfluous; and the two mean different things.
    #[error("`*` stands alone: write [\"*\"] for every site (all may read), or list the sites")]
    NotAlone,
    /// What browsers send for pages without a site.
    #[error("`null` is any page without a site of its own: write [\"*\"] if all may read, or list sites")]
    Null,
    /// There are no patterns.
    #[error("there are no patterns: list each site, such as \"https://app.example.org\"")]
    Pattern,
    /// Browsers leave out the port of the scheme.
    #[error("browsers leave out this port: write it without")]
    UsualPort,
    /// Anything else.
    #[error(
        "no browser sends this as an origin: write scheme, host and port in lower case, without a path or a slash at \
         the end, such as \"https://app.example.org\""
    )]
    Malformed,
}

impl CorsOrigins {
    /// Whether pages of this origin are meant.
    pub(crate) fn allow(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(origins) => origins.iter().any(|listed| listed.0 == origin),
        }
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        if text == "null" {
            return Err(OriginError::Null);
        }
        if text.contains('*') {
            return Err(OriginError::Pattern);
        }
        let (scheme, host) = text.split_once("://").ok_or(OriginError::Malformed)?;
        let is_usual = |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase();
        let is_whole = !scheme.is_empty() && !host.is_empty() && text.bytes().all(is_usual);
        if !is_whole || host.contains(['/', '?', '#', '@', '\\', ',', '"']) {
            return Err(OriginError::Malformed);
        }
        match (scheme, host.rsplit_once(':')) {
            ("http", Some((_, "80"))) | ("https", Some((_, "443"))) => Err(OriginError::UsualPort),
            _ => Ok(Self(text.to_owned())),
        }
    }
}

/// Reads the key, if it is there. Of another type `values::check` has told.
pub(super) fn read(table: &Table, config: &mut Config, found: &mut ConfigErrors) {
    let Some(items) = table.get(KEY).and_then(Value::as_array) else { return };
    let texts: Vec<_> = items.iter().filter_map(Value::as_str).collect();
    if texts == [ANY] {
        config.cors_origins = CorsOrigins::Any;
        return;
    }
    let parse = |text: &str| if text == ANY { Err(OriginError::NotAlone) } else { text.parse() };
    let origins = texts.iter().enumerate();
    let origins = origins.filter_map(|(nth, text)| found.keep_right(format!("{KEY}[{nth}]"), parse(text)));
    config.cors_origins = CorsOrigins::Listed(origins.collect());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        for text in [
            "https://app.example.org",
            "http://localhost:8080",
            "http://[::1]:8080",
            "tauri://localhost",
            "https://a:80",
        ] {
            assert_eq!(text.parse::<Origin>(), Ok(Origin(text.to_owned())));
        }
        for (text, error) in [
            ("https://app.example.org/", OriginError::Malformed),
            ("https://App.example.org", OriginError::Malformed),
            ("https://user@app.example.org", OriginError::Malformed),
            ("https://höhe.example", OriginError::Malformed),
            ("app.example.org", OriginError::Malformed),
            ("https://", OriginError::Malformed),
            ("", OriginError::Malformed),
            ("https://*.example.org", OriginError::Pattern),
            ("https://app.example.org:443", OriginError::UsualPort),
            ("http://[::1]:80", OriginError::UsualPort),
            ("null", OriginError::Null),
        ] {
            assert_eq!(text.parse::<Origin>(), Err(error), "{text}");
        }
    }
}
