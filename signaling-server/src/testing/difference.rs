//! Whether events are those that a test expects, and how they differ.

use std::fmt::Write;

use serde_json::Value;
use tiercast_codec::Event;

/// A routing key and a body: as JSON, or as a text where it is no JSON.
type Line = (String, Value);

/// Asserts that events have these routing keys and bodies, in this order: bodies as JSON, or as a text where they are no
/// JSON. Events as [`capture`](super::capture) gives them, or as a client of ours has received them.
///
/// # Panics
///
/// If they have not; then with what is missing (`-`) and what is too much (`+`).
#[track_caller]
pub fn assert_events<K: Into<String>, B: Into<Value>>(
    events: &[Event],
    expected: impl IntoIterator<Item = (K, B)>,
) {
    let events: Vec<_> = events.iter().map(line_of).collect();
    let expected: Vec<_> = expected.into_iter().map(|(key, body)| (key.into(), body.into())).collect();
    if events != expected {
        panic!(
            "these are not the events that are expected (- missing, + too much):\n{}",
            difference(&expected, &events)
        );
    }
}

fn line_of(Event { message, .. }: &Event) -> Line {
    let text = || Value::String(String::from_utf8_lossy(&message.body).into_owned());
    (message.routing_key.clone(), serde_json::from_slice(&message.body).unwrap_or_else(|_| text()))
}

/// What is the same at the beginning and at the end, and what is not between.
fn difference(expected: &[Line], events: &[Line]) -> String {
    let same = |(a, b): &(&Line, &Line)| a == b;
    let before = expected.iter().zip(events).take_while(same).count();
    let (wanted, got) = (&expected[before..], &events[before..]);
    let behind = wanted.iter().rev().zip(got.iter().rev()).take_while(same).count();
    let (wanted, after) = wanted.split_at(wanted.len() - behind);
    let got = &got[..got.len() - behind];
    let mut text = String::new();
    for (mark, lines) in [(' ', &expected[..before]), ('-', wanted), ('+', got), (' ', after)] {
        for (key, body) in lines {
            writeln!(text, "{mark} {key} {body}").expect("there is memory");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tiercast_codec::Message;

    use super::*;

    fn events<const N: usize>(events: [(&str, &'static str); N]) -> [Event; N] {
        events.map(|(key, body)| Event {
            offset: 0,
            message: Message { routing_key: key.to_owned(), body: body.into(), ..Message::default() },
        })
    }

    #[test]
    fn bodies_are_compared_as_json_whatever_their_order_and_spaces() {
        let events = events([("a", r#"{ "y": [1], "x": null }"#), ("b", "hello"), ("c", "")]);
        let expected = [("a", json!({"x": null, "y": [1]})), ("b", json!("hello")), ("c", json!(""))];
        assert_events(&events, expected);
    }

    #[test]
    fn the_difference_says_what_is_missing_and_what_is_too_much() {
        let lines = |events: &[Event]| events.iter().map(line_of).collect::<Vec<_>>();
        let expected = lines(&events([("a", "1"), ("b", "2"), ("c", "3"), ("z", "9")]));
        let got = lines(&events([("a", "1"), ("b", "7"), ("z", "9")]));
        assert_eq!(difference(&expected, &got), "  a 1\n- b 2\n- c 3\n+ b 7\n  z 9\n");
    }

    #[test]
    #[should_panic(expected = "- missing, + too much):\n- a 1\n")]
    fn an_event_that_is_missing_is_told() {
        assert_events(&[], [("a", 1)]);
    }
}
