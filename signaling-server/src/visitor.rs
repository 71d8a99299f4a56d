//! Who calls: from where, who it is, and what it may read. Decided once, when a request comes in.

use std::{net::IpAddr, sync::Arc};

use axum::{extract::FromRequestParts, http::request::Parts};
use tiercast_mesh::hub::Rights;
use tracing::Span;

use crate::{
    access::{Admitted, bearer},
    api_error::ApiError,
    app::App,
    shown::cut,
};

/// The query parameter for those who cannot send headers.
pub(crate) const KEY: &str = "key";

/// Where a client is; behind a proxy, as the proxy names it. The listener notes it in every request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Address(pub(crate) IpAddr);

/// One who wants to read.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    /// Where it is.
    pub(crate) address: Address,
    /// What it may read.
    pub(crate) rights: Rights,
}

impl FromRequestParts<Arc<App>> for Visitor {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let address = *parts.extensions.get().expect("the listener notes it in every request");
        let mut pairs = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let in_query = pairs.find(|(name, _)| name == KEY).map(|(_, key)| key);
        let key = in_query.as_deref().or(bearer(&parts.headers));
        let Admitted { rights, subject } = app.access.admit(app.clock.now(), key)?;
        // Every line about it begins with who it is, if its key says so.
        Span::current().record("who", subject.as_deref().map(cut));
        Ok(Self { address, rights })
    }
}
