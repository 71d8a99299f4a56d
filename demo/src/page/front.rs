//! What browsers talk to: the demo's own pages, and behind the same address the server, which may come and go.

use std::net::SocketAddr;

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
    serve::ListenerExt,
};
use hyper::{client::conn::http1, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::refusal::Refusal;

const AWAY: Refusal =
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the server is away", "it comes back by itself");

/// Serves until this is dropped.
pub(super) async fn serve(listener: TcpListener, router: Router) -> std::io::Result<()> {
    let listener = listener.tap_io(|stream| {
        // A connection that is gone already ends by itself.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await
}

/// Passes a request on to the server, and its session with it.
pub(super) async fn pass_on(server: SocketAddr, mut request: Request) -> Response {
    let theirs = hyper::upgrade::on(&mut request);
    match ask(server, request).await {
        Ok(mut response) => {
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                tokio::spawn(carry(theirs, hyper::upgrade::on(&mut response)));
            }
            response.map(Body::new)
        }
        Err(error) => {
            tracing::debug!(%error, "the server is away");
            AWAY.into_response()
        }
    }
}

async fn ask(server: SocketAddr, request: Request) -> anyhow::Result<Response<hyper::body::Incoming>> {
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection.with_upgrades());
    Ok(sender.send_request(request).await?)
}

/// Carries bytes both ways until one side ends.
async fn carry(theirs: OnUpgrade, ours: OnUpgrade) {
    if let (Ok(theirs), Ok(ours)) = tokio::join!(theirs, ours) {
        let ends = &mut (TokioIo::new(theirs), TokioIo::new(ours));
        // However it ended: both see it.
        let _ = tokio::io::copy_bidirectional(&mut ends.0, &mut ends.1).await;
    }
}
