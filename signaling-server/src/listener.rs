//! Accepts connections, serves HTTP on them, and lets those that are upgraded become sessions.
//!
//! Each connection is one task from beginning to end; all of them belong to the accepting task and end with it.

use std::{error::Error, net::IpAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use bytes::Bytes;
use hyper::{body::Incoming, server::conn::http1, service::service_fn, upgrade::OnUpgrade};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tiercast_mesh::hub::{Refusal, Whereabouts};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};
use tracing::{Instrument, debug, error, warn};

use crate::{
    app::App,
    config::Limits,
    geo_database::GeoDatabase,
    http::{Purpose, Speaks, Upgrade, Upgrades},
    network::{forwarded_for, network_of},
    session,
    stall_guard::StallGuard,
    transport::json,
    visitor::{Address, Visitor},
    websocket,
};

/// Most bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Waits this long when no connection can be accepted, for example for want of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What a connection needs.
#[derive(Clone)]
pub(crate) struct Connections {
    pub(crate) router: Router,
    pub(crate) app: Arc<App>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) geo_database: Option<Arc<GeoDatabase>>,
    pub(crate) stopping: watch::Receiver<bool>,
}

impl Connections {
    /// Accepts until the server stops, then waits for what is open, at most `limits.shutdown`.
    pub(crate) async fn accept(self, listener: TcpListener) {
        let mut tasks = JoinSet::new();
        let mut stopping = self.stopping.clone();
        loop {
            tokio::select! {
                () = stopped(&mut stopping) => break,
                Some(ended) = tasks.join_next() => note(ended),
                accepted = listener.accept(), if tasks.len() < self.limits.connections_max => match accepted {
                    Ok((stream, address)) => {
                        self.app.handle.counters().connections().add(1);
                        tasks.spawn(self.clone().serve(stream, address.ip()));
                    }
                    Err(error) => {
                        warn!(%error, "a connection could not be accepted");
                        sleep(ACCEPT_RETRY).await;
                    }
                },
            }
        }
        drop(listener);
        let all = async {
            while let Some(ended) = tasks.join_next().await {
                note(ended);
            }
        };
        if timeout(self.limits.shutdown, all).await.is_err() {
            warn!(connections = tasks.len(), "connections cut off: they did not end in time");
        }
        tasks.shutdown().await;
    }

    async fn serve(self, stream: TcpStream, address: IpAddr) {
        self.set_up(&stream);
        let (upgrades, mut upgrade) = mpsc::channel(1);
        self.serve_http(stream, address, upgrades).await;
        // The connection's task goes on as the session's, if it was upgraded.
        let Ok(Upgrade { connection, purpose, span }) = upgrade.try_recv() else { return };
        match purpose {
            Purpose::Session(visitor, speaks) => {
                self.serve_session(connection, visitor, speaks).instrument(span).await;
            }
            Purpose::Refusal(refusal) => self.refuse(connection, refusal).instrument(span).await,
        }
    }

    /// What is written goes out at once, and little of what cannot go out is taken. Where the system refuses, a connection is served all the same, later and at a higher price.
    fn set_up(&self, stream: &TcpStream) {
        let tell = |what, error: std::io::Error| debug!(%error, "a connection is served without {what}");
        stream.set_nodelay(true).unwrap_or_else(|error| tell("TCP_NODELAY", error));
        #[cfg(target_os = "linux")]
        socket2::SockRef::from(stream)
            .set_tcp_notsent_lowat(self.limits.unsent_bytes)
            .unwrap_or_else(|error| tell("limits.unsent_bytes", error));
    }

    async fn serve_http(&self, stream: TcpStream, address: IpAddr, upgrades: Upgrades) {
        let router = TowerToHyperService::new(self.router.clone());
        let is_proxy = self.app.config.behind_proxy;
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            let named = if is_proxy { forwarded_for(request.headers()) } else { None };
            request.extensions_mut().insert(upgrades.clone());
            request.extensions_mut().insert(Address(named.unwrap_or(address)));
            hyper::service::Service::call(&router, request.map(Body::new))
        });
        let stream = StallGuard::new(stream, self.limits.write_stall);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.request)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = Box::pin(connection);
        let mut stopping = self.stopping.clone();
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = stopped(&mut stopping) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            if is_stalled(&error) {
                self.app.handle.counters().stalled().add(1);
            }
            debug!(%address, %error, "connection broke");
        }
    }

    async fn serve_session(self, connection: OnUpgrade, visitor: Visitor, speaks: Speaks) {
        let _present = self.app.handle.counters().traffic(speaks.transport()).sessions.enter();
        let Some((io, leftover)) = upgraded(connection).await else { return };
        match speaks {
            Speaks::Frames => {
                let from = self.whereabouts(visitor.address.0);
                let visitor = (from, visitor.rights);
                session::run(io, leftover, visitor, self.app.handle.clone(), &self.limits).await;
            }
            Speaks::Json => json::run(io, leftover, visitor, self.app).await,
        }
    }

    /// Tells a client by a close code that it gets no session.
    async fn refuse(self, connection: OnUpgrade, refusal: Refusal) {
        let Some((io, leftover)) = upgraded(connection).await else { return };
        let mut socket = websocket::accept(io, leftover).await;
        websocket::close(&mut socket, Some(refusal), self.limits.close).await;
    }

    fn whereabouts(&self, address: IpAddr) -> Whereabouts {
        let location = self.geo_database.as_ref().and_then(|places| places.locate(address));
        Whereabouts { location, network: network_of(address) }
    }
}

/// The connection below a WebSocket, and what came behind the handshake.
async fn upgraded(connection: OnUpgrade) -> Option<(StallGuard<TcpStream>, Bytes)> {
    let upgraded = connection.await.inspect_err(|error| debug!(%error, "upgrade failed")).ok()?;
    match upgraded.downcast::<TokioIo<StallGuard<TcpStream>>>() {
        Ok(parts) => Some((parts.io.into_inner(), parts.read_buf)),
        Err(_) => {
            error!("an upgraded connection is not the one that was accepted");
            None
        }
    }
}

/// Waits until the server stops; that it is gone is the same.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Whether a connection took no byte for too long.
fn is_stalled(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::TimedOut)
}

fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        error!(%error, "a connection's task panicked");
    }
}
