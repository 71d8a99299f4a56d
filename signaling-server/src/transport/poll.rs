//! `GET /v1/poll/{channel}` and `GET /v1/history/{channel}`: events a page at a time. A page names the position behind it,
//! with which the next one is asked for; asked for twice, it begins at the same place twice.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    extract::{Path, RawQuery, State},
    http::header::{self, HeaderName},
};
use serde_json::json;
use tiercast_codec::{ChannelName, Gap, NUMBER_MAX, Position, Since};
use tiercast_mesh::hub::Portion;
use tokio::time::{Instant, sleep_until};

use super::{query::Query, subscription::Subscription, visit::Visit};
use crate::{
    api_error::ApiError,
    app::App,
    config::Limits,
    counters::Transport,
    sheets::{Form, Sheets},
    visitor::Visitor,
};

type Answer = ([(HeaderName, &'static str); 2], Bytes);

/// Waits until there is something, or for as long as the request says.
pub(crate) async fn poll(
    State(app): State<Arc<App>>,
    path: Option<Path<String>>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
) -> Result<Answer, ApiError> {
    let limits = &app.config.limits;
    let mut query = Query::parse(query.as_deref());
    let wait = query.number("wait", 0..=limits.poll_wait.as_secs())?;
    let wait = wait.map_or(limits.poll_wait, Duration::from_secs);
    let sequence = query.number("sequence", 0..=NUMBER_MAX)?;
    let page = read(&app, (Transport::Poll, visitor), path, query, Since::Now, wait).await?;
    Ok(page.answer(sequence.map(|sequence| ("sequence", json!(sequence)))))
}

/// Answers with what there is.
pub(crate) async fn history(
    State(app): State<Arc<App>>,
    path: Option<Path<String>>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
) -> Result<Answer, ApiError> {
    let query = Query::parse(query.as_deref());
    let page =
        read(&app, (Transport::History, visitor), path, query, Since::Earliest, Duration::ZERO).await?;
    let more = page.is_full || page.next < page.head;
    Ok(page.answer(Some(("more", json!(more)))))
}

/// Reads a page, as its query says.
async fn read(
    app: &App,
    (transport, visitor): (Transport, Visitor),
    path: Option<Path<String>>,
    mut query: Query,
    default: Since,
    wait: Duration,
) -> Result<Page, ApiError> {
    let limits = &app.config.limits;
    let since = query.since()?.unwrap_or(default);
    let events_max = query.number("limit", 1..=limits.page_events as u64)?;
    let events_max = events_max.map_or(limits.page_events, |limit| limit as usize);
    let patterns = query.patterns(limits.patterns_max)?;
    let wanted = super::wanted(path, &mut query)?;
    query.end()?;
    let mut visit = Visit::begin(&app.handle, transport, visitor.span(transport), &wanted, since);
    let mut subscription = Subscription::open(&app.handle, &visitor, wanted, since, patterns).await?;
    let mut page = Page::new(&subscription, events_max, limits);
    let until = Instant::now() + wait;
    while !page.is_done() {
        tokio::select! {
            portion = subscription.next() => page.take(&app.sheets, &portion?),
            () = sleep_until(until), if page.has_all() => break,
        }
    }
    visit.sent(page.events.len(), page.bytes);
    page.gap.iter().for_each(|_| visit.gap());
    Ok(page)
}

/// What one answer holds.
struct Page {
    channel: ChannelName,
    /// Where the channel was when this began: so far it is read without waiting.
    head: Position,
    next: Position,
    gap: Option<Gap>,
    events: Vec<Bytes>,
    bytes: usize,
    is_full: bool,
    events_max: usize,
    bytes_max: usize,
}

impl Page {
    fn new(subscription: &Subscription, events_max: usize, limits: &Limits) -> Self {
        let opening = subscription.opening();
        Self {
            channel: subscription.channel().clone(),
            head: opening.head,
            next: opening.position,
            gap: None,
            events: Vec::new(),
            bytes: 0,
            is_full: false,
            events_max,
            bytes_max: limits.page_bytes,
        }
    }

    /// Whether it has what was there when it began.
    fn has_all(&self) -> bool {
        self.next >= self.head
    }

    fn is_done(&self) -> bool {
        self.is_full || (self.has_all() && !(self.events.is_empty() && self.gap.is_none()))
    }

    fn take(&mut self, sheets: &Sheets, portion: &Portion) {
        match portion {
            // What comes before a gap is an answer of its own.
            Portion::Gap(_) if !self.events.is_empty() || self.gap.is_some() => self.is_full = true,
            Portion::Gap(gap) => {
                self.next = gap.to;
                self.gap = Some(gap.clone());
            }
            Portion::Events { frame, .. } => {
                let sheet = sheets.of(&self.channel, frame);
                for nth in sheet.wanted(portion) {
                    if self.is_full {
                        return;
                    }
                    self.next = sheet.position(nth);
                    self.add(sheet.event(Form::Json, nth));
                }
                self.next = portion.position();
            }
        }
    }

    fn add(&mut self, event: Bytes) {
        self.bytes += event.len();
        self.events.push(event);
        self.is_full = self.events.len() >= self.events_max || self.bytes >= self.bytes_max;
    }

    fn answer(self, extra: Option<(&str, serde_json::Value)>) -> Answer {
        let mut out = Vec::with_capacity(self.bytes + self.events.len() + 256);
        out.extend_from_slice(
            format!("{{\"channel\":\"{}\",\"next\":\"{}\"", self.channel, self.next).as_bytes(),
        );
        if let Some((name, value)) = extra {
            out.extend_from_slice(format!(",\"{name}\":{value}").as_bytes());
        }
        if let Some(gap) = &self.gap {
            out.extend_from_slice(format!(",\"gap\":{}", super::gap(gap)).as_bytes());
        }
        out.extend_from_slice(b",\"events\":[");
        for (nth, event) in self.events.iter().enumerate() {
            if nth > 0 {
                out.push(b',');
            }
            out.extend_from_slice(event);
        }
        out.extend_from_slice(b"]}");
        let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
        (headers, out.into())
    }
}
