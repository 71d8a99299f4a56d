//! What a plain client can speak. Each transport turns what a [`Reader`](crate::Reader) brings into bytes, and no more:
//! positions, filters and gaps are the hub's.

use axum::http::StatusCode;
use serde_json::{Value, json};
use tiercast_codec::{Code, Gap};
use tiercast_mesh::hub::Refusal;

pub(crate) mod json;
pub(crate) mod poll;
mod query;
pub(crate) mod sse;
mod subscription;
pub(crate) mod taskcluster;
mod turns;
mod visit;

pub(crate) use query::{EXCHANGE, SINCE, patterns};

use crate::{api_error::ApiError, in_path::InPath, source::embedded::PublishError};
use query::{Query, bad};
use subscription::Wanted;

/// What a request wants: the channel that its path names or, without one, the exchange of its query.
fn wanted(path: Option<InPath>, query: &mut Query) -> Result<Wanted, ApiError> {
    match path {
        Some(InPath(name)) => {
            let unknown = |_| PublishError::UnknownChannel(name.clone()).into();
            name.parse().map(Wanted::Channel).map_err(unknown)
        }
        None => query.one(EXCHANGE)?.map(Wanted::Exchange).ok_or_else(|| {
            bad("nothing is named".to_owned(), "name a channel in the path, or an exchange by ?exchange=")
        }),
    }
}

/// A gap as JSON.
fn gap(gap: &Gap) -> Value {
    let Gap { channel, from, to, reason } = gap;
    json!({ "channel": channel, "from": from.to_string(), "to": to.to_string(), "reason": reason })
}

impl From<Refusal> for ApiError {
    fn from(Refusal { code, reason }: Refusal) -> Self {
        let (status, fix) = match code {
            Code::EXPIRED => (StatusCode::UNAUTHORIZED, "get a new one from who gave it to you"),
            Code::UNKNOWN_CHANNEL => (StatusCode::NOT_FOUND, "GET /v1/channels lists the channels"),
            Code::UNKNOWN_EXCHANGE => (StatusCode::NOT_FOUND, "declare it at the broker"),
            Code::NOT_ALLOWED => (StatusCode::FORBIDDEN, "ask who runs this server"),
            code if code.may_reconnect() => {
                (StatusCode::SERVICE_UNAVAILABLE, "try again, no earlier than Retry-After says")
            }
            _ => (StatusCode::BAD_REQUEST, "correct the request"),
        };
        Self::new(status, reason).code(code).fix(fix)
    }
}
