//! `queue` mode, in which the server numbers the events: what is lost with a server that is killed is an explicit gap.

use anyhow::Result;
use tiercast_tests::{
    audience::{Audience, SILENCE},
    broker::Broker,
    server_program::ServerProgram,
};

use crate::Feed;

#[tokio::test(flavor = "multi_thread")]
async fn queue_mode_across_a_server_that_is_killed() -> Result<()> {
    let broker = Broker::shared().await?;
    let feed = Feed::new("queue-mode", &broker).await?;
    // What clients have not got when it is killed is gone; what they come back to is in memory.
    let mut server = ServerProgram::start(&feed.config_in("queue", &[broker.url()])).await?;
    let audience = Audience::start(&[server.addr], &feed.name, SILENCE).await?;
    let (mut publisher, events) = (broker.publisher(&feed.name), feed.events);
    let publishing = tokio::spawn(async move {
        for number in 0..events {
            // One by one: what comes back is sent again, and must not come after what follows it.
            publisher.publish(&[Feed::message(number)]).await?;
        }
        anyhow::Ok(())
    });
    audience.wait_for(events / 4).await?;
    server.kill().await?;
    server.start_again().await?;
    publishing.await??;
    crate::check_gaps("queue mode", &audience, &feed.last(), 0).await
}
