//! Connects to the broker through a [`Screen`].

use std::{
    future::ready,
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{self, Context, Poll},
    time::{Duration, Instant},
};

use async_rs::{
    Runtime, Tokio, TokioRuntime,
    traits::Reactor,
    util::{DummyIO, RuntimeParts},
};
use bytes::{Buf, BytesMut};
use futures_util::{
    Stream,
    io::{AsyncRead, AsyncWrite},
};
use lapin::{AsyncTcpStream, Connection, ConnectionProperties, tcp::AMQPUriTcpExt, uri::AMQPUri};

use super::{buffered::Buffered, screen::Screen};

/// Bytes that are read from the connection at once; unvalidated.
const READ_BYTES: usize = 65_536;

/// Makes a connection whose bodies are bounded and counted.
pub(super) async fn connect(
    uri: AMQPUri,
    properties: ConnectionProperties,
    body_bytes_max: usize,
    buffered: Arc<Buffered>,
) -> lapin::Result<Connection> {
    let tokio = Tokio::current();
    let runtime = Runtime::new(RuntimeParts::new(tokio.clone(), ScreenedSockets(tokio)));
    let through_screen = async move |uri: AMQPUri, _: Runtime<_>| {
        let socket = uri.connect_async(&TokioRuntime::tokio_current()).await?;
        let screen = Screen::new(body_bytes_max, buffered.clone());
        Ok(AsyncTcpStream::Plain(Screened::new(socket, screen)))
    };
    Connection::connector(uri, runtime, through_screen, properties).await
}

type Socket = AsyncTcpStream<<Tokio as Reactor>::TcpStream>;

/// A socket, with TLS or without, that is read through a screen.
pub(super) struct Screened {
    socket: Socket,
    screen: Screen,
    read: Box<[u8]>,
    /// Passed, and not yet taken by the library.
    passed: BytesMut,
}

impl Screened {
    fn new(socket: Socket, screen: Screen) -> Self {
        Self { socket, screen, read: vec![0; READ_BYTES].into(), passed: BytesMut::new() }
    }
}

impl AsyncRead for Screened {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let Self { socket, screen, read, passed } = self.get_mut();
        while passed.is_empty() {
            let count = task::ready!(Pin::new(&mut *socket).poll_read(cx, read))?;
            if count == 0 {
                return Poll::Ready(Ok(0));
            }
            let screened = screen.pass(&read[..count], passed);
            screened.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
        let count = passed.len().min(into.len());
        passed.copy_to_slice(&mut into[..count]);
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Screened {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write_vectored(cx, slices)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_close(cx)
    }
}

/// Tokio's timers with sockets of ours: the library wants to know their type from its runtime, although it asks
/// [`connect`] for them.
#[derive(Debug, Clone)]
struct ScreenedSockets(Tokio);

impl Reactor for ScreenedSockets {
    type TcpStream = Screened;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: io::Read + io::Write + Send + 'static>(
        &self,
        _: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<DummyIO, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, period: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(period)
    }

    fn tcp_connect_addr(&self, _: SocketAddr) -> impl Future<Output = io::Result<Screened>> + Send + 'static {
        ready(Err(io::ErrorKind::Unsupported.into()))
    }
}
