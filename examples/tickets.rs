//! Tells what happens to tickets, and listens for those that are closed, with our own crates: tiercast-emit and
//! tiercast-peer-client. `tickets http://127.0.0.1:8780 CHANNEL API_KEY`

use std::error::Error;

use serde_json::{Value, json};
use tiercast_emit::Emitter;
use tiercast_peer_client::{Client, ClientOptions, Notification, SubscribeOptions, Subscription};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [server, channel, key] = arguments.as_slice() else {
        return Err("give a server, one of its channels and an API key".into());
    };
    let client = Client::connect(server.parse()?, ClientOptions::default());
    let options =
        SubscribeOptions { patterns: vec!["ticket.*.closed".parse()?], ..SubscribeOptions::default() };
    let mut closed = client.subscribe(channel, options).await?;
    // What is told before that is not for us.
    while !matches!(next(&mut closed).await?, Notification::Subscribed { .. }) {}

    let emitter = Emitter::new(server, channel, key)?;
    for ticket in 1..=3 {
        emitter.emit("ticket", ticket, "updated", json!({"status": "fixed"})).await?;
        emitter.emit("ticket", ticket, "closed", json!({"by": "me"})).await?;
    }

    let mut left = 3;
    while left > 0 {
        if let Notification::Event { event, .. } = next(&mut closed).await? {
            let body: Value = serde_json::from_slice(&event.message.body)?;
            println!("{} by {}", event.message.routing_key, body["by"]);
            left -= 1;
        }
    }
    client.close().await;
    Ok(())
}

async fn next(subscription: &mut Subscription) -> Result<Notification, Box<dyn Error>> {
    match subscription.next().await.ok_or("the subscription has ended")? {
        Notification::Refused { reason, .. } => Err(reason.into()),
        notification => Ok(notification),
    }
}
