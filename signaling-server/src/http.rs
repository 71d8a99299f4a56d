//! The HTTP side: routes, and what all of them share.

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, Request},
    http::{Method, StatusCode, Uri},
    middleware::from_fn,
    response::Response,
    routing::{get, post},
};

mod batch;
mod cors;
mod keys;
mod log;
mod publish;
mod status;
mod topology;
mod upgrade;

use topology::Pages;
pub(crate) use upgrade::{Purpose, Speaks, Upgrade, Upgrades};

use crate::{
    api_error::ApiError,
    app::App,
    transport::{poll, sse, taskcluster},
};

/// All routes, and `extra` ones beside them.
pub(crate) fn router(app: Arc<App>, extra: Router) -> Router {
    let limit = DefaultBodyLimit::max;
    let cors = cors::layer(app.config.cors_origins.clone());
    let (one, all) = (app.config.limits.publish_bytes, app.config.limits.publish_batch_bytes);
    Router::new()
        .route("/v1/ws", get(upgrade::upgrade))
        .route("/healthz", get(status::healthz))
        .route("/readyz", get(status::readyz))
        .route("/metrics", get(status::metrics))
        .route("/v1/publish/{channel}", post(publish::publish).layer(limit(one)))
        .route("/v1/publish/{channel}/batch", post(batch::publish).layer(limit(all)))
        .route("/v1/keys", post(keys::keys).layer(limit(keys::WISH_BYTES_MAX)))
        .route("/v1/channels", get(status::channels))
        .route("/v1/topology/{channel}", get(topology::topology).layer(Extension(Arc::<Pages>::default())))
        .route("/v1/sse", get(sse::sse))
        .route("/v1/sse/{channel}", get(sse::sse))
        .route("/v1/poll", get(poll::poll))
        .route("/v1/poll/{channel}", get(poll::poll))
        .route("/v1/history", get(poll::history))
        .route("/v1/history/{channel}", get(poll::history))
        .route("/api/events/v1/connect", get(taskcluster::connect))
        .route("/api/events/v1/connect/", get(taskcluster::connect))
        .with_state(app)
        .merge(extra)
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn(log::log))
        .layer(cors)
}

async fn unknown_route(request: Request) -> Result<Response, ApiError> {
    let error = ApiError::new(StatusCode::NOT_FOUND, format!("there is nothing at {}", request.uri().path()))
        .fix("WebSockets are at /v1/ws; GET /v1/channels lists the channels; docs/protocol.md lists the routes");
    upgrade::refuse(request, error)
}

async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not take {method}", uri.path()))
        .fix("publish with POST, read with GET")
}
