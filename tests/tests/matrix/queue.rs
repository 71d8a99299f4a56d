//! `queue` mode, in which the server numbers the events: what is lost with a server that is killed is an explicit gap.

use anyhow::Result;
use tiercast_signaling_server::{Config, source::amqp::Mode};
use tiercast_tests::{
    audience::{Audience, SILENCE},
    broker::Broker,
    victim::Victim,
};

use crate::{Feed, anywhere};

/// In `queue` mode. What clients have not got when the server is killed is gone; what they come back to is in memory.
fn config(feed: &Feed, listen: std::net::SocketAddr, broker: &Broker) -> Result<Config> {
    let mut config = feed.config(listen, &[broker.url()])?;
    let channels = config.amqp.iter_mut().flat_map(|amqp| &mut amqp.channels);
    channels.for_each(|channel| channel.mode = Mode::Queue);
    config.hub.log = Config::default().hub.log;
    Ok(config)
}

#[tokio::test(flavor = "multi_thread")]
async fn queue_mode_across_a_server_that_is_killed() -> Result<()> {
    let broker = Broker::shared().await?;
    let feed = Feed::new("queue-mode", &broker).await?;
    let server = Victim::start(config(&feed, anywhere(), &broker)?).await?;
    let audience = Audience::start(&[server.addr()], &feed.name, SILENCE).await?;
    let (mut publisher, events) = (broker.publisher(&feed.name), feed.events);
    let publishing = tokio::spawn(async move {
        for number in 0..events {
            // One by one: what comes back is sent again, and must not come after what follows it.
            publisher.publish(&[Feed::message(number)]).await?;
        }
        anyhow::Ok(())
    });
    audience.wait_for(events / 4).await?;
    let addr = server.kill().await?;
    let _server = Victim::start(config(&feed, addr, &broker)?).await?;
    publishing.await??;
    crate::check_gaps("queue mode", &audience, &feed.last()).await
}
