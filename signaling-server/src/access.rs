//! Who may do what: asked in one place, by every transport.

mod subscription_key;

use axum::http::{HeaderMap, StatusCode, header};
use tiercast_codec::{Code, Pattern, PatternSet, SigningKey};
use tiercast_mesh::{Time, hub::Rights};

pub(crate) use subscription_key::Grant;
use subscription_key::SubscriptionKeys;

use crate::{
    api_error::ApiError,
    config::{ApiKeys, Config},
};

/// Knows the keys, and what they are good for.
pub(crate) struct Access {
    api_keys: ApiKeys,
    subscription_keys: SubscriptionKeys,
    keys_required: bool,
}

/// What somebody may read, and who it is, as far as that is known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Admitted {
    pub(crate) rights: Rights,
    pub(crate) subject: Option<String>,
}

impl Access {
    pub(crate) fn new(config: &Config, signing_key: &SigningKey) -> Self {
        Self {
            api_keys: ApiKeys::new(&config.api_keys),
            subscription_keys: SubscriptionKeys::new(signing_key),
            keys_required: config.keys_required,
        }
    }

    /// Checks the API key that a request shows. Refuses with 403 if none is configured, with 401 if it is not one.
    pub(crate) fn check_api_key(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        if self.api_keys.is_empty() {
            return Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "this server has no API key, so nobody may do this",
            )
            .fix("set api_keys in the configuration, or TIERCAST_API_KEYS"));
        }
        let Some(key) = bearer(headers) else {
            return Err(ApiError::new(StatusCode::UNAUTHORIZED, "an API key is needed")
                .fix("send the header `Authorization: Bearer KEY`"));
        };
        if self.api_keys.contain(key) {
            Ok(())
        } else {
            Err(ApiError::new(StatusCode::UNAUTHORIZED, "this is not an API key of this server")
                .fix("send one of api_keys in the header `Authorization: Bearer KEY`"))
        }
    }

    /// What one may read who shows this key, or none.
    pub(crate) fn admit(&self, now: Time, key: Option<&str>) -> Result<Admitted, ApiError> {
        let refuse =
            |code, error: &str, fix| Err(ApiError::new(StatusCode::UNAUTHORIZED, error).code(code).fix(fix));
        let Some(key) = key else {
            if self.keys_required {
                let fix = "send it in the header `Authorization: Bearer KEY`, or as ?key=";
                return refuse(Code::NOT_ALLOWED, "a subscription key is needed", fix);
            }
            return Ok(Admitted::default());
        };
        if self.api_keys.contain(key) {
            return Ok(Admitted::default());
        }
        match self.subscription_keys.read(key) {
            Some(grant) if grant.until() > now => Ok(grant.into()),
            Some(_) => refuse(Code::EXPIRED, "the key has expired", "get a new one from who gave it to you"),
            None => {
                refuse(Code::NOT_ALLOWED, "this is not a key of this server", "get one from POST /v1/keys")
            }
        }
    }

    /// A key for a grant.
    pub(crate) fn issue(&self, grant: &Grant) -> String {
        self.subscription_keys.write(grant)
    }
}

impl From<Grant> for Admitted {
    fn from(grant: Grant) -> Self {
        let patterns: Vec<Pattern> = grant.patterns.iter().filter_map(|text| text.parse().ok()).collect();
        let filter = (!patterns.is_empty()).then(|| PatternSet::new(patterns).into());
        let until = Some(grant.until());
        Self { rights: Rights { channel: Some(grant.channel), filter, until }, subject: grant.subject }
    }
}

/// The key that a request shows in its header.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let shown = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = shown.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_what_its_holder_may_read() {
        let (channel, patterns, subject) =
            ("builds".parse().unwrap(), vec!["a.#".into()], Some("page".into()));
        let grant = Grant { channel, patterns, subject, until_s: 1_790_000_000 };
        let Admitted { rights, subject } = grant.clone().into();
        assert_eq!(rights.channel, Some("builds".parse().unwrap()));
        assert!(rights.filter.is_some_and(|filter| filter.matches("a.b") && !filter.matches("b")));
        assert_eq!((rights.until, subject.as_deref()), (Some(Time(1_790_000_000_000_000)), Some("page")));
        let everything = Admitted::from(Grant { patterns: Vec::new(), ..grant });
        assert_eq!(everything.rights.filter, None);
    }
}
