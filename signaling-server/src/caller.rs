//! Who calls: the address that a request comes from.

use std::{convert::Infallible, net::IpAddr, sync::Arc};

use axum::{extract::FromRequestParts, http::request::Parts};

use crate::{app::App, network::forwarded_for};

/// The address at the other end of a connection. The listener notes it in every request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectedFrom(pub(crate) IpAddr);

/// The address of the client; behind a proxy, the one that the proxy names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller(pub(crate) IpAddr);

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        let ConnectedFrom(address) = *parts.extensions.get().expect("the listener notes it in every request");
        let named = if app.config.behind_proxy { forwarded_for(&parts.headers) } else { None };
        Ok(Self(named.unwrap_or(address)))
    }
}
