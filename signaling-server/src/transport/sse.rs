//! `GET /v1/sse/{channel}`: a channel as `text/event-stream`. The id of each event is the position behind it, so that a
//! browser's `EventSource` that connects again goes on where it was.

use std::{collections::VecDeque, convert::Infallible, fmt::Display, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::{RawQuery, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tiercast_codec::{Position, Since};
use tiercast_mesh::hub::{Portion, Refusal};
use tokio::time::{Instant, timeout_at};

use super::{
    query::{Query, bad},
    subscription::Subscription,
    visit::Visit,
};
use crate::{
    api_error::ApiError, app::App, counters::Transport, in_path::InPath, sheets::Form, visitor::Visitor,
};

/// Where a browser that connects again says how far it was.
pub(crate) const LAST_EVENT_ID: &str = "last-event-id";

pub(crate) async fn sse(
    State(app): State<Arc<App>>,
    path: Option<InPath>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let mut query = Query::parse(query.as_deref());
    let last = last_event_id(&headers, |id| id.parse().ok())?.map(Since::Position);
    let since = last.or(query.since()?).unwrap_or_default();
    let patterns = query.patterns(app.config.limits.patterns_max)?;
    let wanted = super::wanted(path, &mut query)?;
    query.end()?;
    let mut out = VecDeque::from([retry(&app)]);
    let opening = Visit::open(&app.handle, Transport::Sse, &visitor, (wanted, since), patterns);
    let reading = match opening.await {
        Ok(reading) => Some(reading),
        // A browser that is answered with an error does not come back by itself.
        Err(refusal) if refusal.code.may_reconnect() => {
            out.push_back(ended(&refusal));
            None
        }
        Err(refusal) => return Err(refusal.into()),
    };
    let said = reading.as_ref().map(|(subscription, _)| subscription.opening().position);
    out.extend(reading.as_ref().map(|(subscription, _)| ready(subscription)));
    let stream = Stream { reading, app, out, reached: said, said, said_at: Instant::now() };
    Ok(answer(stream::unfold(stream, |mut stream| async { Some((stream.next().await?, stream)) })))
}

/// An answer of events that come one after the other.
pub(super) fn answer(events: impl futures_util::Stream<Item = Bytes> + Send + 'static) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    // Proxies that would hold back what they have not had all of are asked not to.
    let unbuffered = [("x-accel-buffering", "no")];
    (headers, unbuffered, Body::from_stream(events.map(Ok::<_, Infallible>))).into_response()
}

/// When to connect again, said first and once more at the end. Belongs to the block that follows: some clients take one without data for an event.
pub(super) fn retry(app: &App) -> Bytes {
    format!("retry: {}\n", app.retry_after().as_millis()).into()
}

/// Where a client that connects again was, by what an id says; if it has none, that is refused.
pub(super) fn last_event_id<T>(
    headers: &HeaderMap,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, ApiError> {
    let Some(id) = headers.get(LAST_EVENT_ID).filter(|id| !id.is_empty()) else { return Ok(None) };
    let fix = "send the id of an event that came for the same request, whole, or none";
    let wrong = || bad("Last-Event-ID is no id of these events".to_owned(), fix);
    id.to_str().ok().and_then(read).ok_or_else(wrong).map(Some)
}

/// What one client is still to be sent.
struct Stream {
    /// None once it has ended.
    reading: Option<(Subscription, Visit)>,
    app: Arc<App>,
    out: VecDeque<Bytes>,
    /// How far the reader is.
    reached: Option<Position>,
    /// How far the client knows that it is.
    said: Option<Position>,
    /// When it was last sent something.
    said_at: Instant,
}

impl Stream {
    /// The next bytes; none when it has ended.
    async fn next(&mut self) -> Option<Bytes> {
        while self.out.is_empty() {
            let due = self.said_at + self.app.config.limits.reader_heartbeat;
            let (subscription, visit) = self.reading.as_mut()?;
            match timeout_at(due, subscription.next()).await {
                Ok(Ok(portion)) => self.take(&portion),
                Ok(Err(refusal)) => {
                    visit.end(&refusal);
                    self.reading = None;
                    self.out.extend([retry(&self.app), ended(&refusal)]);
                }
                Err(_) => {
                    let sign = self.sign_of_life();
                    self.out.push_back(sign);
                }
            }
        }
        self.said_at = Instant::now();
        self.out.pop_front()
    }

    fn take(&mut self, portion: &Portion) {
        let Some((subscription, visit)) = &mut self.reading else { return };
        self.reached = Some(portion.position());
        match portion {
            Portion::Events { frame, .. } => {
                let sheet = self.app.sheets.of(subscription.channel(), frame);
                let wanted: Vec<_> = sheet.wanted(portion).collect();
                self.said = wanted.last().map(|nth| sheet.position(*nth)).or(self.said);
                let before = self.out.len();
                self.out.extend(sheet.pieces(Form::Sse, &wanted));
                visit.sent(wanted.len(), self.out.range(before..).map(Bytes::len).sum());
            }
            Portion::Gap(gap) => {
                self.said = self.reached;
                visit.gap();
                self.out.push_back(event("gap", Some(&gap.to), &super::gap(gap)));
            }
        }
    }

    /// A comment; or, where the client's position has moved over what it did not ask for, that position.
    fn sign_of_life(&mut self) -> Bytes {
        let moved = self.reached.filter(|_| self.said != self.reached);
        let (Some(position), Some((subscription, _))) = (moved, &self.reading) else {
            // A line, not a block: some clients would take that for an event.
            return Bytes::from_static(b":\n");
        };
        self.said = self.reached;
        let data = json!({ "channel": subscription.channel(), "position": position.to_string() });
        event("at", Some(&position), &data)
    }
}

/// The first event: where the client begins.
fn ready(subscription: &Subscription) -> Bytes {
    let opening = subscription.opening();
    let data = json!({
        "channel": subscription.channel(), "position": opening.position.to_string(), "head": opening.head.to_string(), "recovered": opening.recovered,
    });
    event("ready", Some(&opening.position), &data)
}

/// The last event: why there will be no more on this connection.
fn ended(refusal: &Refusal) -> Bytes {
    event("end", None, &json!({ "code": refusal.code, "reason": refusal.reason }))
}

pub(super) fn event(name: &str, id: Option<&dyn Display>, data: &Value) -> Bytes {
    let id = id.map_or_else(String::new, |id| format!("id: {id}\n"));
    format!("event: {name}\n{id}data: {data}\n\n").into()
}
