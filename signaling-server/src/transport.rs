//! What a plain client can speak. Each transport turns what a [`Reader`](crate::Reader) brings into bytes, and no more:
//! positions, filters and gaps are the hub's.

mod event_json;
mod plain_json;
mod query;
mod sheets;
mod sse;

pub(crate) use sheets::Sheets;
