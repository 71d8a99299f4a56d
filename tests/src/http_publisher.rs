//! Publishing over HTTP on one connection, so that nothing but the server's work is measured.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Who may publish.
pub const API_KEY: &str = "measured-and-thrown-away";

/// A connection on which one request follows the other.
#[derive(Debug)]
pub struct HttpPublisher {
    stream: TcpStream,
    head: String,
}

impl HttpPublisher {
    /// Each request goes to this path.
    pub async fn connect(addr: SocketAddr, path: &str) -> Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let head = format!("POST {path} HTTP/1.1\r\nhost: {addr}\r\nauthorization: Bearer {API_KEY}\r\n");
        Ok(Self { stream, head })
    }

    /// Publishes events (see the protocol's batches) and waits for the answer.
    pub async fn publish(&mut self, events: &[Value]) -> Result<()> {
        self.post(&serde_json::to_vec(events)?).await
    }

    /// Sends this body and waits for the answer.
    pub async fn post(&mut self, body: &[u8]) -> Result<()> {
        let head = format!("{}content-length: {}\r\n\r\n", self.head, body.len());
        self.stream.write_all(&[head.as_bytes(), body].concat()).await?;
        let mut answer = Vec::new();
        while !is_whole(&answer) {
            ensure!(self.stream.read_buf(&mut answer).await? > 0, "closed");
        }
        ensure!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        Ok(())
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.split("\r\n").find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    length == Some(body.len())
}
