//! `GET /v1/poll/{channel}` and `GET /v1/history/{channel}`: events a page at a time. A page names the position behind it,
//! with which the next one is asked for; asked for twice, it begins at the same place twice. What it holds is shared with all
//! who are given the same events, until it is written.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{RawQuery, State},
    http::{
        HeaderValue,
        header::{self, HeaderName},
    },
};
use futures_util::stream;
use serde_json::json;
use tiercast_codec::{ChannelName, Code, Gap, NUMBER_MAX, Position, Since};
use tiercast_mesh::hub::{Portion, Refusal};
use tokio::time::{Instant, sleep_until};

use super::{query::Query, subscription::Subscription, visit::Visit};
use crate::{
    api_error::ApiError,
    app::App,
    config::Limits,
    counters::Transport,
    in_path::InPath,
    sheets::{Form, Sheets},
    visitor::Visitor,
};

type Answer = ([(HeaderName, HeaderValue); 3], Body);

/// Waits until there is something, or for as long as the request says.
pub(crate) async fn poll(
    State(app): State<Arc<App>>,
    path: Option<InPath>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
) -> Result<Answer, ApiError> {
    let limits = &app.config.limits;
    let mut query = Query::parse(query.as_deref());
    let wait = query.number("wait", 0..=limits.poll_wait.as_secs())?;
    let wait = wait.map_or(limits.poll_wait, Duration::from_secs);
    let sequence = query.number("sequence", 0..=NUMBER_MAX)?;
    let page = read(&app, (Transport::Poll, visitor), path, query, Since::Now, wait).await;
    let page = page.map_err(|error| error.retry_after(app.retry_after()))?;
    Ok(page.answer(sequence.map(|sequence| ("sequence", json!(sequence)))))
}

/// Answers with what there is.
pub(crate) async fn history(
    State(app): State<Arc<App>>,
    path: Option<InPath>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
) -> Result<Answer, ApiError> {
    let query = Query::parse(query.as_deref());
    let page = read(&app, (Transport::History, visitor), path, query, Since::Earliest, Duration::ZERO).await;
    let page = page.map_err(|error| error.retry_after(app.retry_after()))?;
    let more = page.next < page.head;
    Ok(page.answer(Some(("more", json!(more)))))
}

/// Reads a page, as its query says.
async fn read(
    app: &App,
    (transport, visitor): (Transport, Visitor),
    path: Option<InPath>,
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
    let (mut subscription, mut visit) =
        Visit::open(&app.handle, transport, &visitor, (wanted, since), patterns).await?;
    let mut page = Page::new(&subscription, events_max, limits);
    let until = Instant::now() + wait;
    // What lies in the past may be long, or not to be had now.
    let at_the_latest = until + limits.request;
    while !page.is_done() {
        tokio::select! {
            portion = subscription.next() => page.take(&app.sheets, &portion?),
            () = sleep_until(until), if page.has_all() => break,
            () = sleep_until(at_the_latest) => {
                page.check_progress()?;
                break;
            }
        }
    }
    visit.sent(page.count, page.bytes);
    page.gap.iter().for_each(|_| visit.gap());
    Ok(page)
}

/// What one answer holds.
struct Page {
    channel: ChannelName,
    /// Where the channel was when this began: so far it is read without waiting.
    head: Position,
    begin: Position,
    next: Position,
    gap: Option<Gap>,
    /// Events, each behind a comma.
    events: Vec<Bytes>,
    count: usize,
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
            begin: opening.position,
            next: opening.position,
            gap: None,
            events: Vec::new(),
            count: 0,
            bytes: 0,
            is_full: false,
            events_max,
            bytes_max: limits.page_bytes,
        }
    }

    /// An answer that is late says how far it has come, so that the next one comes farther.
    fn check_progress(&self) -> Result<(), Refusal> {
        if self.next > self.begin {
            return Ok(());
        }
        Err(Refusal::new(Code::NOT_READY, "what comes after this position cannot be read now"))
    }

    /// Whether it has what was there when it began. Of one who is ahead of the channel nobody knows that before something came:
    /// what comes next may be a gap, as its source has lost its end.
    fn has_all(&self) -> bool {
        let is_ahead = self.begin > self.head && self.next == self.begin;
        self.next >= self.head && !is_ahead
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
                let wanted: Vec<_> = sheet.wanted(portion).collect();
                let fit = wanted.iter().take_while(|nth| self.has_room_for(&sheet.event(Form::List, **nth)));
                let fit = fit.count();
                self.events.extend(sheet.pieces(Form::List, &wanted[..fit]));
                self.next = match fit.checked_sub(1).map(|last| wanted[last]) {
                    Some(last) if fit < wanted.len() => sheet.position(last),
                    None if !wanted.is_empty() => self.next,
                    _ => portion.position(),
                };
            }
        }
    }

    /// Counts an event, if it finds room.
    fn has_room_for(&mut self, event: &Bytes) -> bool {
        if self.is_full {
            return false;
        }
        self.bytes += event.len();
        self.count += 1;
        self.is_full = self.count >= self.events_max || self.bytes >= self.bytes_max;
        true
    }

    fn answer(self, extra: Option<(&str, serde_json::Value)>) -> Answer {
        let mut head = format!("{{\"channel\":\"{}\",\"next\":\"{}\"", self.channel, self.next);
        if let Some((name, value)) = extra {
            head.push_str(&format!(",\"{name}\":{value}"));
        }
        if let Some(gap) = &self.gap {
            head.push_str(&format!(",\"gap\":{}", super::gap(gap)));
        }
        head.push_str(",\"events\":[");
        let mut parts = vec![Bytes::from(head)];
        parts.extend(self.events);
        if let Some(first) = parts.get_mut(1) {
            *first = first.slice(1..);
        }
        parts.push(Bytes::from_static(b"]}"));
        let length: usize = parts.iter().map(Bytes::len).sum();
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (header::CONTENT_LENGTH, length.into()),
        ];
        (headers, Body::from_stream(stream::iter(parts.into_iter().map(Ok::<_, Infallible>))))
    }
}
