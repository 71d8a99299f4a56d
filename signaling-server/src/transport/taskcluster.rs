//! `GET /api/events/v1/connect/`: what clients of taskcluster-events speak, with their names for things. Each binding's
//! exchange is a dynamic channel.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use axum::{
    body::Bytes,
    extract::{RawQuery, State},
    http::HeaderMap,
    response::Response,
};
use futures_util::stream;
use serde::Deserialize;
use serde_json::json;
use tiercast_codec::{Pattern, Since};
use tiercast_mesh::hub::{Portion, Refusal};
use tokio::time::{Instant, timeout_at};

mod places;

use super::{
    query::{Query, bad, patterns},
    sse::{answer, event, last_event_id, retry},
    subscription::{Subscription, Wanted},
    turns::next_of,
    visit::Visit,
};
use crate::{
    api_error::ApiError,
    app::App,
    counters::Transport,
    sheets::{Form, Sheet},
    visitor::Visitor,
};
use places::Places;

/// What the query says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bindings {
    bindings: Vec<Binding>,
}

/// As the libraries for taskcluster make them, so it may have more fields than these.
#[derive(Debug, Deserialize)]
struct Binding {
    exchange: String,
    #[serde(alias = "routingKey")]
    #[serde(rename = "routingKeyPattern")]
    pattern: String,
}

/// The patterns of each exchange that is named.
type Exchanges = BTreeMap<String, Vec<Pattern>>;

pub(crate) async fn connect(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let retry = retry(&app);
    let (exchanges, places) = match begin(&app, &visitor, query.as_deref(), &headers).await {
        Ok(begun) => begun,
        Err(error) => return refuse(retry, error),
    };
    let ready = event("ready", Some(&places), &json!({ "bindings": exchanges.len() }));
    let out = VecDeque::from([retry, ready]);
    let stream = Stream { exchanges, places, app, out, said_at: Instant::now(), last_read: 0 };
    answer(stream::unfold(stream, |mut stream| async { Some((stream.next().await?, stream)) }))
}

/// A browser that is answered with an error of HTTP does not come back by itself, and is not told why.
fn refuse(retry: Bytes, error: ApiError) -> Response {
    let refused = error.refused();
    let mut response = answer(stream::iter([retry, ended(&error.into())]));
    // For the log.
    response.extensions_mut().insert(refused);
    response
}

/// Begins to read what a request asks for.
async fn begin(
    app: &App,
    visitor: &Visitor,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<(Vec<(Subscription, Visit)>, Places), ApiError> {
    let (wanted, last) = asked(app, query, headers)?;
    let names: Vec<_> = wanted.keys().cloned().collect();
    let exchanges = open(app, visitor, wanted, last.as_ref()).await?;
    let places = Places::new(&names, exchanges.iter().map(|(one, _)| one.opening().position));
    Ok((exchanges, places))
}

/// What a request asks for, and where the client was.
fn asked(
    app: &App,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<(Exchanges, Option<Places>), ApiError> {
    let mut query = Query::parse(query);
    let bindings = query.one("bindings")?;
    query.end()?;
    let (patterns_max, exchanges_max) = (app.config.limits.patterns_max, app.config.hub.subscriptions_max);
    let wanted = wanted(bindings.as_deref().unwrap_or_default(), patterns_max, exchanges_max)?;
    let last = last_event_id(headers, |id| Places::read(wanted.keys(), id))?;
    Ok((wanted, last))
}

async fn open(
    app: &App,
    visitor: &Visitor,
    wanted: Exchanges,
    last: Option<&Places>,
) -> Result<Vec<(Subscription, Visit)>, Refusal> {
    let mut exchanges = Vec::new();
    for (nth, (exchange, patterns)) in wanted.into_iter().enumerate() {
        let since = last.map_or(Since::Now, |last| Since::Position(last.positions()[nth]));
        let reads = (Wanted::Exchange(exchange), since);
        exchanges.push(Visit::open(&app.handle, Transport::Taskcluster, visitor, reads, patterns).await?);
    }
    Ok(exchanges)
}

/// The last event. Those who hear of an `error` are not expected to come back: who may is told by a comment only, and
/// sees that the connection ends.
fn ended(Refusal { code, reason }: &Refusal) -> Bytes {
    let data = json!({ "code": code, "message": reason });
    if code.may_reconnect() { format!(": {data}\n").into() } else { event("error", None, &data) }
}

fn wanted(bindings: &str, patterns_max: usize, exchanges_max: usize) -> Result<Exchanges, ApiError> {
    let example = "send ?bindings={\"bindings\":[{\"exchange\":\"NAME\",\"routingKeyPattern\":\"#\"}]}";
    let parsed: Bindings =
        serde_json::from_str(bindings).map_err(|error| bad(format!("bindings: {error}"), example))?;
    if parsed.bindings.is_empty() {
        return Err(bad("bindings: there is none".to_owned(), example));
    }
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Binding { exchange, pattern } in parsed.bindings {
        texts.entry(exchange).or_default().push(pattern);
    }
    if texts.len() > exchanges_max {
        let many = format!("{} exchanges are more than {exchanges_max} (hub.subscriptions_max)", texts.len());
        return Err(bad(many, "send several requests"));
    }
    let of_each = |(exchange, texts): (String, Vec<String>)| {
        Ok((exchange, patterns(&texts, patterns_max).map_err(|reason| bad(reason, "correct it"))?))
    };
    texts.into_iter().map(of_each).collect()
}

/// What one client is still to be sent.
struct Stream {
    exchanges: Vec<(Subscription, Visit)>,
    /// Where the client is when it has had `out`.
    places: Places,
    app: Arc<App>,
    out: VecDeque<Bytes>,
    /// When the client was last sent something.
    said_at: Instant,
    /// Which exchange was read last: the next turn is another one's.
    last_read: usize,
}

impl Stream {
    /// The next bytes; none when it has ended.
    async fn next(&mut self) -> Option<Bytes> {
        while self.out.is_empty() {
            if self.exchanges.is_empty() {
                return None;
            }
            let due = self.said_at + self.app.config.limits.reader_heartbeat;
            match timeout_at(due, any(&mut self.exchanges, self.last_read)).await {
                Ok((portion, nth)) => {
                    self.last_read = nth;
                    self.take(nth, portion);
                }
                Err(_) => self.out.push_back(event("ping", Some(&self.places), &json!({}))),
            }
        }
        self.said_at = Instant::now();
        self.out.pop_front()
    }

    fn take(&mut self, nth: usize, portion: Result<Portion, Refusal>) {
        let (subscription, visit) = &mut self.exchanges[nth];
        match portion {
            Ok(portion) => {
                if let Portion::Events { frame, .. } = &portion {
                    let sheet = self.app.sheets.of(subscription.channel(), frame);
                    let wanted: Vec<_> = sheet.wanted(&portion).collect();
                    let pieces = pieces(&sheet, &wanted, &mut self.places, nth);
                    visit.sent(wanted.len(), pieces.iter().map(Bytes::len).sum());
                    self.out.extend(pieces);
                }
                self.places.set(nth, portion.position());
                if let Portion::Gap(gap) = &portion {
                    visit.gap();
                    self.out.push_back(event("gap", Some(&self.places), &super::gap(gap)));
                }
            }
            Err(refusal) => {
                self.out.extend([retry(&self.app), ended(&refusal)]);
                self.exchanges.iter_mut().for_each(|(_, visit)| visit.end(&refusal));
                self.exchanges.clear();
            }
        }
    }
}

/// These events of the nth exchange. Where there are others, the ids say where the client is in those, too.
fn pieces(sheet: &Sheet, wanted: &[usize], places: &mut Places, nth: usize) -> Vec<Bytes> {
    if places.positions().len() == 1 {
        return sheet.pieces(Form::Taskcluster, wanted);
    }
    let piece = |event: &usize| {
        places.set(nth, sheet.position(*event));
        with_id(places, &sheet.event(Form::Taskcluster, *event))
    };
    wanted.iter().map(piece).collect()
}

/// An event with another id, which is its first line.
fn with_id(id: &Places, event: &[u8]) -> Bytes {
    let rest = event.iter().position(|byte| *byte == b'\n').map_or(event, |end| &event[end..]);
    [format!("id: {id}").as_bytes(), rest].concat().into()
}

/// What comes next of any exchange, and of which.
async fn any(exchanges: &mut [(Subscription, Visit)], last: usize) -> (Result<Portion, Refusal>, usize) {
    next_of(exchanges.iter_mut().map(|(one, _)| Box::pin(one.next())), last + 1).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bindings_are_told_apart_by_their_exchange() {
        let text = r##"{"bindings":[{"exchange":"a","routingKeyPattern":"x.#"},{"exchange":"b","routingKey":"y"},
            {"exchange":"a","routingKeyPattern":"z"}]}"##;
        let wanted = wanted(text, 2, 2).unwrap();
        let said = |exchange: &str| wanted[exchange].iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!((said("a"), said("b")), (vec!["x.#".to_owned(), "z".to_owned()], vec!["y".to_owned()]));
    }

    #[test]
    fn what_is_no_list_of_bindings_is_refused() {
        for text in [
            "",
            "[]",
            r#"{"bindings":[]}"#,
            r#"{"bindings":[{"exchange":"a"}]}"#,
            r#"{"bindings":[{"exchange":"a","routingKeyPattern":"x*"}]}"#,
            r#"{"bindings":[{"exchange":"a","routingKey":"x"},{"exchange":"a","routingKey":"y"},{"exchange":"a","routingKey":"z"}]}"#,
            r#"{"bindings":[{"exchange":"a","routingKey":"x"},{"exchange":"b","routingKey":"x"},{"exchange":"c","routingKey":"x"}]}"#,
        ] {
            assert!(wanted(text, 2, 2).is_err(), "{text}");
        }
    }
}
