//! One HTTP connection to the server's batch endpoint, made anew whenever it has to be.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, StatusCode, Uri,
    client::conn::http1::{SendRequest, handshake},
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, RETRY_AFTER},
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tiercast_codec::{ChannelName, Code, Position};
use tokio::net::TcpStream;

use crate::EmitError;

/// Largest answer that is read. About 60 bytes of it belong to each event.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Why a batch is not published, or not known to be.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The server takes the batch neither now nor later, for what is in it.
    Refused(EmitError),
    /// It takes none, whatever is in it.
    AllRefused(EmitError),
    /// It may be published or not: to be sent again, not before `retry_after`.
    Unknown { reason: String, retry_after: Duration },
}

impl Trouble {
    pub(crate) fn unknown(reason: String) -> Self {
        Self::Unknown { reason, retry_after: Duration::ZERO }
    }
}

type Answer = (StatusCode, HeaderMap, Bytes);

/// The way to one channel of a server.
pub(crate) struct Connection {
    /// `HOST:PORT`
    address: String,
    path: String,
    authorization: HeaderValue,
    open: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    pub(crate) fn new(server: &str, channel: &ChannelName, key: &str) -> Result<Self, EmitError> {
        let wrong = || EmitError::Server(without_password(server).to_owned());
        let uri: Uri = server.parse().map_err(|_| wrong())?;
        if uri.scheme_str() == Some("https") {
            return Err(EmitError::Tls(without_password(server).to_owned()));
        }
        let is_plain = uri.scheme_str() == Some("http") && !server.contains('@') && uri.query().is_none();
        let host = uri.host().filter(|_| is_plain).ok_or_else(wrong)?;
        let mut authorization: HeaderValue = format!("Bearer {key}").parse().map_err(|_| EmitError::Key)?;
        authorization.set_sensitive(true);
        Ok(Self {
            address: format!("{host}:{}", uri.port_u16().unwrap_or(80)),
            path: format!("{}/v1/publish/{channel}/batch", uri.path().trim_end_matches('/')),
            authorization,
            open: None,
        })
    }

    /// Publishes a batch of so many events.
    pub(crate) async fn post(&mut self, body: String, events: usize) -> Result<Vec<Position>, Trouble> {
        let answer = self.ask(body.into()).await.map_err(Trouble::unknown)?;
        read(answer, events)
    }

    async fn ask(&mut self, body: Bytes) -> Result<Answer, String> {
        // What was open may have been closed by the server meanwhile: that is no trouble.
        if let Some(open) = self.open.take()
            && let Ok(answer) = self.ask_on(open, body.clone()).await
        {
            return Ok(answer);
        }
        let fresh = connect(&self.address).await?;
        self.ask_on(fresh, body).await
    }

    async fn ask_on(&mut self, mut open: SendRequest<Full<Bytes>>, body: Bytes) -> Result<Answer, String> {
        open.ready().await.map_err(|error| error.to_string())?;
        let request = Request::post(&self.path)
            .header(HOST, &self.address)
            .header(AUTHORIZATION, &self.authorization)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body));
        let request = request.map_err(|error| error.to_string())?;
        let answer = open.send_request(request).await.map_err(|error| error.to_string())?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| error.to_string())?;
        self.open = Some(open);
        Ok((head.status, head.headers, body.to_bytes()))
    }
}

/// The address for an error: without what may be a password.
fn without_password(server: &str) -> &str {
    server.rsplit('@').next().unwrap_or_default()
}

async fn connect(address: &str) -> Result<SendRequest<Full<Bytes>>, String> {
    let connected = TcpStream::connect(address).await;
    let stream = connected.map_err(|error| format!("{address} cannot be connected to: {error}"))?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let (open, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    // Ends with `open`. What goes wrong is told to whoever waits for an answer.
    tokio::spawn(connection);
    Ok(open)
}

fn read((status, headers, body): Answer, events: usize) -> Result<Vec<Position>, Trouble> {
    if status == StatusCode::OK {
        return positions(&body, events).map_err(Trouble::unknown);
    }
    let refusal = Refusal::read(&body);
    if status == StatusCode::REQUEST_TIMEOUT
        || status == StatusCode::TOO_MANY_REQUESTS
        || status.is_server_error()
    {
        let reason = format!("the server answered with {status}: {}", refusal.error);
        return Err(Trouble::Unknown { reason, retry_after: retry_after(&headers) });
    }
    let Refusal { error: reason, fix, code } = refusal;
    let error = EmitError::Refused { status: status.as_u16(), code, reason, fix };
    match status {
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => Err(Trouble::Refused(error)),
        _ => Err(Trouble::AllRefused(error)),
    }
}

#[derive(Deserialize)]
struct Published {
    events: Vec<PublishedEvent>,
}

#[derive(Deserialize)]
struct PublishedEvent {
    position: String,
}

fn positions(body: &[u8], events: usize) -> Result<Vec<Position>, String> {
    let published: Published =
        serde_json::from_slice(body).map_err(|error| format!("the answer is not understood: {error}"))?;
    if published.events.len() != events {
        return Err(format!("the answer is about {} events instead of {events}", published.events.len()));
    }
    let position =
        |event: PublishedEvent| event.position.parse::<Position>().map_err(|error| error.to_string());
    published.events.into_iter().map(position).collect()
}

/// What the server says about a refusal.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    error: String,
    fix: String,
    code: Option<Code>,
}

impl Refusal {
    /// What a proxy says is not JSON.
    fn read(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_else(|_| Self {
            error: String::from_utf8_lossy(body).trim().chars().take(200).collect(),
            fix: "ask whoever runs what stands before the server".to_owned(),
            code: None,
        })
    }
}

fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(0))
}
