//! One who passes requests on to a server, and answers back; but for some requests does something else.

use std::{
    collections::VecDeque,
    future::pending,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tiercast_signaling_server::testing::TestServer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinSet,
};

/// What is done with a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mischief {
    /// The server does what it is asked for, and nobody hears of it.
    LoseAnswer,
    /// The server does not hear of it; this is answered, without a body.
    Say(&'static str),
    /// The server does not hear of it, and nothing is answered.
    Silence,
    /// All goes well, but then the connection is closed.
    CloseAfter,
}

/// Stands before a server. Dropping it ends it.
pub struct Middleman {
    addr: SocketAddr,
    state: Arc<State>,
    _task: JoinSet<()>,
}

struct State {
    server: String,
    mischief: Mutex<VecDeque<Mischief>>,
    batches: Mutex<Vec<usize>>,
    closed: Notify,
}

impl Middleman {
    /// Does these things with the first requests, one each; all others are passed on.
    pub async fn start(server: &TestServer, mischief: impl IntoIterator<Item = Mischief>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let state = Arc::new(State {
            server: server.url().trim_start_matches("http://").to_owned(),
            mischief: Mutex::new(mischief.into_iter().collect()),
            batches: Mutex::default(),
            closed: Notify::new(),
        });
        let (mut task, serving) = (JoinSet::new(), state.clone());
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = serving.clone();
                connections.spawn(async move { state.serve(stream).await });
            }
        });
        Self { addr, state, _task: task }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// How many events each request had.
    pub fn batches(&self) -> Vec<usize> {
        self.state.batches.lock().unwrap().clone()
    }

    /// Whether no mischief is left.
    pub fn is_content(&self) -> bool {
        self.state.mischief.lock().unwrap().is_empty()
    }

    /// Waits until a connection was closed after an answer.
    pub async fn closed(&self) {
        self.state.closed.notified().await;
    }
}

impl State {
    async fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        loop {
            let request = read_message(&mut client).await?;
            self.batches.lock().unwrap().push(events_of(&request));
            let mischief = self.mischief.lock().unwrap().pop_front();
            match mischief {
                Some(Mischief::Silence) => pending().await,
                Some(Mischief::Say(status)) => {
                    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                    client.write_all(answer.as_bytes()).await?;
                    continue;
                }
                _ => {}
            }
            let mut server = TcpStream::connect(&self.server).await?;
            server.write_all(&request).await?;
            let answer = read_message(&mut server).await?;
            if mischief == Some(Mischief::LoseAnswer) {
                return Ok(());
            }
            client.write_all(&answer).await?;
            if mischief == Some(Mischief::CloseAfter) {
                client.shutdown().await?;
                self.closed.notify_one();
                return Ok(());
            }
        }
    }
}

/// A request or an answer, with its body.
async fn read_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut message = Vec::new();
    while !message.ends_with(b"\r\n\r\n") {
        message.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&message).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await?;
    Ok([message, body].concat())
}

fn events_of(request: &[u8]) -> usize {
    let at = request.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
    let body: Value = serde_json::from_slice(&request[at + 4..]).expect("JSON");
    body.as_array().expect("a batch").len()
}
