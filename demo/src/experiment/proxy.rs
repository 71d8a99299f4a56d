//! A proxy in front of the server, as many servers have one, whose connections can all be cut at once.

use std::net::SocketAddr;

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// A running proxy; it ends when dropped.
pub(super) struct Proxy {
    pub(super) addr: SocketAddr,
    cuts: watch::Sender<u64>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// A proxy in front of `server`.
    pub(super) async fn start(server: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let cuts = watch::channel(0).0;
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, server, cuts.clone()));
        Ok(Self { addr, cuts, _tasks: tasks })
    }

    /// Cuts all connections. New ones are taken as before.
    pub(super) fn blink(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, cuts: watch::Sender<u64>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A client that is gone before it was taken.
                let Ok((client, _)) = accepted else { continue };
                connections.spawn(carry(client, server, cuts.subscribe()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Carries bytes both ways until one side ends, or all are cut.
async fn carry(mut client: TcpStream, server: SocketAddr, mut cuts: watch::Receiver<u64>) {
    // A server that is away: the client sees its connection end.
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let delays = [client.set_nodelay(true), server.set_nodelay(true)];
    tracing::trace!(?delays, "small messages are not held back");
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        _ = cuts.changed() => {}
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_blink_cuts_those_who_are_there_and_nobody_later() -> std::io::Result<()> {
        let server = TcpListener::bind("127.0.0.1:0").await?;
        let proxy = Proxy::start(server.local_addr()?).await?;
        let mut before = TcpStream::connect(proxy.addr).await?;
        before.write_all(b"a").await?;
        let mut at_server = server.accept().await?.0;
        assert_eq!(at_server.read_u8().await?, b'a');
        proxy.blink();
        assert_eq!(before.read(&mut [0]).await.unwrap_or(0), 0, "cut");
        assert_eq!(at_server.read(&mut [0]).await.unwrap_or(0), 0, "at both ends");
        let mut after = TcpStream::connect(proxy.addr).await?;
        after.write_all(b"b").await?;
        assert_eq!(server.accept().await?.0.read_u8().await?, b'b');
        Ok(())
    }
}
