//! A server that lets its sessions go before it stops.

use std::time::Duration;

use serde_json::json;
use tiercast_codec::{Code, Since};
use tokio::time::timeout;

use crate::{client::Client, config, http_client, json_sessions, message, readers::Sse, start};

const DEADLINE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn sessions_and_readers_go_one_after_the_other_and_are_served_until_then() -> anyhow::Result<()> {
    let mut config = config();
    config.limits.drain = Duration::from_secs(2);
    let server = start(config).await?;
    let (addr, publisher) = (server.addr(), server.publisher("events")?);
    let mut peers = Vec::new();
    for _ in 0..4 {
        peers.push(Client::subscribed(addr, Since::Now).await?);
    }
    let mut readers = Vec::new();
    for _ in 0..4 {
        let mut reader = Sse::open(addr, "/v1/sse/events", "").await?;
        reader.event().await?;
        readers.push(reader);
    }
    let mut plain = json_sessions::Client::connect(addr).await?;
    plain.answer(json!({"type": "subscribe", "channel": "events"})).await?;
    let stopping = tokio::spawn(server.shutdown());
    let left = async {
        let mut codes = Vec::new();
        for peer in &mut peers {
            codes.push(peer.closed().await?.0);
        }
        anyhow::Ok(codes)
    };
    let refused = async {
        while http_client::get(addr, "/readyz", &[]).await?.status == 200 {}
        let newcomer = http_client::get(addr, "/v1/poll/events", &[]).await?;
        anyhow::Ok((newcomer.status, newcomer.json()?["code"].clone()))
    };
    let served = async {
        // Until it is let go, which the last one is in the end.
        let mut got = 0;
        loop {
            publisher.publish(message("still here")).await.ok();
            let event = readers[3].event().await?;
            match &*event.name {
                "" => got += 1,
                _ => return anyhow::Ok((got, event)),
            }
        }
    };
    let (codes, newcomer, served) = timeout(DEADLINE, async { tokio::join!(left, refused, served) }).await?;
    assert_eq!(codes?, [Code::SHUTDOWN; 4]);
    assert_eq!(newcomer?, (503, json!(3000)));
    let (got, end) = served?;
    assert!(got > 0, "nothing came while the others left");
    assert_eq!((&*end.name, &end.data["code"]), ("end", &json!(3000)));
    while plain.hear().await? != json!({"closed": "3000"}) {}
    timeout(DEADLINE, stopping).await??;
    Ok(())
}
