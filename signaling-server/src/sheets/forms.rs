//! The forms in which events are written.

use serde_json::json;
use tiercast_codec::{ChannelName, Event, Message, Position};

use super::event_json;

/// How a frame's events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A JSON object each.
    Json,
    /// The same, each behind a comma: what a list of them holds.
    List,
    /// An event of `text/event-stream` each.
    Sse,
    /// The same, with the names of taskcluster-events.
    Taskcluster,
}

/// Writes an event, behind which a client is at `position`.
pub(super) fn write(out: &mut Vec<u8>, form: Form, channel: &ChannelName, position: Position, event: &Event) {
    match form {
        Form::Json => out.extend_from_slice(&event_json::write(channel, position, event)),
        Form::List => {
            out.push(b',');
            out.extend_from_slice(&event_json::write(channel, position, event));
        }
        Form::Sse => write_block(out, position, &event_json::write(channel, position, event)),
        Form::Taskcluster => write_block(out, position, &as_taskcluster(&event.message)),
    }
}

fn write_block(out: &mut Vec<u8>, position: Position, data: &[u8]) {
    out.extend_from_slice(format!("id: {position}\ndata: ").as_bytes());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\n\n");
}

/// An event's data as clients of taskcluster-events know it.
fn as_taskcluster(message: &Message) -> Vec<u8> {
    let names =
        json!({ "exchange": message.exchange, "routingKey": message.routing_key, "redelivered": false });
    let names = names.to_string();
    format!("{{\"payload\":{},{}", event_json::payload(message), &names[1..]).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_the_names_that_clients_of_taskcluster_know() {
        let message = Message {
            exchange: "exchange/ci".into(),
            routing_key: "a.b".into(),
            body: "{\"done\": true}".into(),
            ..Message::default()
        };
        let written: serde_json::Value = serde_json::from_slice(&as_taskcluster(&message)).unwrap();
        let expected = json!({
            "payload": {"done": true}, "exchange": "exchange/ci", "routingKey": "a.b", "redelivered": false,
        });
        assert_eq!(written, expected);
    }
}
