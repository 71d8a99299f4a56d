//! What pages of other origins may do, as a browser would find out.

use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use tiercast_signaling_server::{Config, CorsOrigins, Server};
use tokio::time::timeout;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message as WsMessage, client::IntoClientRequest},
};

use crate::{
    API_KEY,
    client::PATIENCE,
    config,
    http_client::{self, Response},
    start,
};

const LISTED: &str = "https://app.example.org";
const OTHER: &str = "https://other.example";

/// What a browser asks for before it sends such a request.
const PREFLIGHT: &str = "OPTIONS";

async fn listing(origins: &[&str]) -> anyhow::Result<Server> {
    let origins = origins.iter().map(|origin| origin.parse()).collect::<Result<_, _>>()?;
    start(Config { cors_origins: CorsOrigins::Listed(origins), ..config() }).await
}

async fn preflight(
    server: &Server,
    origin: &str,
    method: &str,
    path: &str,
    headers: &str,
) -> anyhow::Result<Response> {
    let asked = [
        ("origin", origin),
        ("access-control-request-method", method),
        ("access-control-request-headers", headers),
    ];
    http_client::request(server.addr(), PREFLIGHT, path, &asked, b"").await
}

/// Whether a browser would let a page of this origin have the answer, or send what it asked about.
fn allows(answer: &Response, origin: &str) -> bool {
    answer.head.lines().any(|line| line == format!("access-control-allow-origin: {origin}"))
}

/// The headers that a page may send.
fn headers(answer: &Response) -> Option<&str> {
    answer.head.lines().find_map(|line| line.strip_prefix("access-control-allow-headers: "))
}

/// Opens a session as a page of this origin, or as a program. False if it is refused.
async fn socket(addr: SocketAddr, origin: Option<&str>) -> anyhow::Result<bool> {
    let mut request = format!("ws://{addr}/v1/ws").into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", "tiercast.v1.json".parse()?);
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse()?);
    }
    let (mut socket, _) = connect_async(request).await?;
    socket.send(WsMessage::text(r#"{"type": "hello", "id": 1, "protocol": 1}"#)).await?;
    match timeout(PATIENCE, socket.next()).await?.context("the end")?? {
        WsMessage::Close(Some(frame)) => {
            let says_why = frame.reason.contains("cors_origins") && u16::from(frame.code) == 3509;
            ensure!(says_why, "{frame:?}");
            Ok(false)
        }
        WsMessage::Text(text) => Ok(text.contains("welcome")),
        other => bail!("{other:?}"),
    }
}

#[tokio::test]
async fn pages_of_every_site_may_read_unless_the_configuration_says_otherwise() -> anyhow::Result<()> {
    let server = start(config()).await?;
    for path in ["/v1/channels", "/v1/history/events", "/v1/poll/events?wait=0", "/v1/topology/events"] {
        let answer = http_client::get(server.addr(), path, &[("origin", OTHER)]).await?;
        ensure!(allows(&answer, OTHER), "{path}: also what is refused can be read: {answer:?}");
        // A browser's own `EventSource` may send the last event's id anyway, libraries in its place may not.
        let asked = preflight(&server, OTHER, "GET", path, "authorization,last-event-id").await?;
        ensure!(asked.status == 200 && allows(&asked, OTHER), "{asked:?}");
        ensure!(headers(&asked) == Some("authorization,last-event-id"), "{asked:?}");
    }
    ensure!(socket(server.addr(), Some(OTHER)).await?);
    Ok(())
}

#[tokio::test]
async fn regression_pages_of_just_any_site_may_not_publish_even_with_the_key() -> anyhow::Result<()> {
    let server = start(config()).await?;
    for path in ["/v1/publish/events", "/v1/publish/events/batch", "/v1/keys"] {
        // Browsers take POST for allowed wherever the origin and the headers are.
        let asked = preflight(&server, OTHER, "POST", path, "authorization").await?;
        ensure!(!asked.head.contains("access-control-allow-origin"), "{asked:?}");
        let answer = http_client::request(server.addr(), "POST", path, &[("origin", OTHER)], b"").await?;
        ensure!(answer.status == 401 && !answer.head.contains("access-control-allow-origin"), "{answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn pages_of_a_site_that_is_listed_may_do_what_programs_may() -> anyhow::Result<()> {
    let server = listing(&["http://localhost:5173", LISTED]).await?;
    let names = "authorization,content-type,tiercast-header-try";
    let asked = preflight(&server, LISTED, "POST", "/v1/publish/events", names).await?;
    ensure!(allows(&asked, LISTED) && headers(&asked) == Some(names), "{asked:?}");
    let key = format!("Bearer {API_KEY}");
    let sent = [("origin", LISTED), ("authorization", &*key), ("content-type", "application/json")];
    let answer = http_client::request(server.addr(), "POST", "/v1/publish/events", &sent, b"{}").await?;
    ensure!(answer.status == 200 && allows(&answer, LISTED), "{answer:?}");
    ensure!(answer.head.contains("access-control-expose-headers: retry-after"), "{answer:?}");
    ensure!(socket(server.addr(), Some(LISTED)).await?);
    Ok(())
}

#[tokio::test]
async fn pages_of_sites_that_are_not_listed_may_neither_read_nor_connect() -> anyhow::Result<()> {
    for server in [listing(&[LISTED]).await?, listing(&[]).await?] {
        for method in ["GET", "POST"] {
            let asked = preflight(&server, OTHER, method, "/v1/channels", "authorization").await?;
            ensure!(!asked.head.contains("access-control-allow-origin"), "{asked:?}");
        }
        let answer = http_client::get(server.addr(), "/v1/history/events", &[("origin", OTHER)]).await?;
        ensure!(!answer.head.contains("access-control-allow-origin"), "{answer:?}");
        for origin in [OTHER, "null", "https://app.example.org.evil.example"] {
            ensure!(!socket(server.addr(), Some(origin)).await?, "{origin}");
        }
        let own = format!("http://{}", server.addr());
        ensure!(socket(server.addr(), Some(&own)).await?, "the server's own pages");
        ensure!(socket(server.addr(), None).await?, "programs");
    }
    Ok(())
}
