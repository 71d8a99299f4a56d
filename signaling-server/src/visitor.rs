//! Who calls: from where, who it is, and what it may read. Decided once, when a request comes in.

use std::{net::IpAddr, sync::Arc};

use axum::{extract::FromRequestParts, http::request::Parts};
use tiercast_mesh::hub::Rights;
use tracing::{Span, field::Empty, info_span};

use crate::{
    access::{Admitted, bearer},
    api_error::ApiError,
    app::App,
    counters::Transport,
    network::forwarded_for,
};

/// The query parameter for those who cannot send headers.
pub(crate) const KEY: &str = "key";

/// The address at the other end of a connection. The listener notes it in every request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectedFrom(pub(crate) IpAddr);

/// One who wants to read.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    /// The address; behind a proxy, the one that the proxy names.
    pub(crate) address: IpAddr,
    /// Who it is, if its key says so.
    pub(crate) subject: Option<String>,
    /// What it may read.
    pub(crate) rights: Rights,
}

impl Visitor {
    /// What every line of the log about it begins with. It holds no key. What a peer calls itself, and its session's number, are
    /// recorded once they are known.
    pub(crate) fn span(&self, transport: Transport) -> Span {
        let Self { address, subject, .. } = self;
        let (transport, who) = (transport.name(), subject.as_deref());
        info_span!("client", transport, %address, who, session = Empty, client = Empty)
    }
}

impl FromRequestParts<Arc<App>> for Visitor {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let ConnectedFrom(address) = *parts.extensions.get().expect("the listener notes it in every request");
        let named = if app.config.behind_proxy { forwarded_for(&parts.headers) } else { None };
        let mut pairs = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let in_query = pairs.find(|(name, _)| name == KEY).map(|(_, key)| key);
        let key = in_query.as_deref().or(bearer(&parts.headers));
        let Admitted { rights, subject } = app.access.admit(app.clock.now(), key)?;
        Ok(Self { address: named.unwrap_or(address), subject, rights })
    }
}
