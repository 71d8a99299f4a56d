//! Filters: kept across a server that is killed, and changed while events flow. What counts for each event is what was bound
//! at its place in the channel.

use anyhow::{Context, Result, bail, ensure};
use futures_util::future::try_join_all;
use tiercast_codec::{Pattern, PatternSet, Position};
use tiercast_peer_client::{Client, ClientOptions, Notification, Since, SubscribeOptions};
use tiercast_tests::{
    audience::SILENCE,
    broker::Broker,
    listener::{Listener, PATIENCE},
    plain::{Got, Order, Plain, Speech},
    server_program::ServerProgram,
};
use tokio::time::timeout;

use crate::{Feed, Held, KEYS, USUALLY};

/// What is bound at first.
const FIRST: &str = "a.*";

/// What changes, one after the other.
const CHANGES: [Order; 4] = [Order::Bind("b.*"), Order::Unbind("a.*"), Order::Bind("#"), Order::Unbind("#")];

/// Patterns, and after which offset they count.
type Bound = (i64, Vec<Pattern>);

/// The bodies of what was wanted.
fn wanted(held: &[Held], bound: &[Bound]) -> Vec<String> {
    let sets: Vec<_> =
        bound.iter().map(|(after, patterns)| (after, PatternSet::new(patterns.clone()))).collect();
    let is_wanted = |offset: &i64, key: &str| {
        sets.iter().rev().find(|(after, _)| *after < offset).is_some_and(|(_, set)| set.matches(key))
    };
    let bodies = held.iter().filter(|(offset, key, _)| is_wanted(offset, key));
    bodies.map(|(_, _, body)| body.clone()).collect()
}

/// A channel whose last event matches what is bound at the end.
async fn feed(what: &str, broker: &Broker) -> Result<Feed> {
    let mut feed = Feed::new(what, broker).await?;
    while KEYS[(feed.events - 1) % KEYS.len()] != "b.x" {
        feed.events += 1;
    }
    Ok(feed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_across_a_server_that_is_killed() -> Result<()> {
    let broker = Broker::shared().await?;
    let feed = feed("filter", &broker).await?;
    let mut server = ServerProgram::start(&feed.config(&[broker.url()])).await?;
    let servers = vec![server.addr.to_string()];
    let start = |speech| (speech, Plain::start(speech, servers.clone(), &feed.name, &["b.*"], SILENCE));
    let plain: Vec<_> = Speech::ALL.into_iter().map(start).collect();
    let publishing = feed.publish(&broker, USUALLY);
    for (speech, client) in &plain {
        client.wait_until(&format!("{speech:?} half way"), |got| got.bodies.len() >= feed.events / 6).await?;
    }
    server.kill().await?;
    publishing.go_on();
    server.start_again().await?;
    publishing.end().await?;
    let wanted = wanted(&feed.held(&[&broker]).await?, &[(-1, vec!["b.*".parse()?])]);
    for (speech, client) in &plain {
        let got = client
            .wait_until(&format!("{speech:?} at the end"), |got| got.bodies.last() == wanted.last())
            .await?;
        ensure!(got.bodies == wanted && got.gaps.is_empty(), "{speech:?}: {:?}", got.gaps);
        println!("filter: {speech:?}: {} events, {} connections", got.bodies.len(), got.connections);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_changes_while_events_flow() -> Result<()> {
    let broker = Broker::shared().await?;
    let feed = feed("filter-changed", &broker).await?;
    let server = ServerProgram::start(&feed.config(&[broker.url()])).await?;
    let addr = server.addr.to_string();
    let start = |speech| (speech, Plain::start(speech, vec![addr.clone()], &feed.name, &[FIRST], SILENCE));
    let plain: Vec<_> = Speech::ALL.into_iter().map(start).collect();
    let relay = Listener::start(&addr, &feed.name, ClientOptions::default()).await?;
    relay.wait_until("in tier 1", |standing| standing.tier == 1).await?;
    let direct = subscribe(&addr, &feed, ClientOptions { relay: false, ..ClientOptions::default() }).await?;
    let child =
        subscribe(&addr, &feed, ClientOptions { children_max: 0, ..ClientOptions::default() }).await?;
    let mut standing = child.0.standing();
    timeout(PATIENCE, standing.wait_for(|standing| standing.parent.is_some()))
        .await
        .context("fed by nobody")??;
    let natives = [("direct peer", direct), ("child", child)].map(|(who, (client, subscription))| {
        (who, tokio::spawn(read_and_change(client, subscription, feed.events / 20, feed.last())))
    });

    let publishing = feed.publish(&broker, USUALLY);
    try_join_all(plain.iter().map(|(speech, client)| change(*speech, client, feed.events / 20))).await?;
    publishing.end().await?;

    let held = feed.held(&[&broker]).await?;
    for (speech, client) in &plain {
        let is_over = |got: &Got| got.bodies.last() == Some(&feed.last());
        let got = client.wait_until(&format!("{speech:?} at the end"), is_over).await?;
        check(&format!("{speech:?}"), &got.bodies, got.gaps.len(), &held, &bound_of(&got)?)?;
    }
    for (who, reading) in natives {
        let (bodies, gaps, bound) = reading.await??;
        check(who, &bodies, gaps, &held, &bound)?;
    }
    Ok(())
}

/// Makes each change when so many more events have come.
async fn change(speech: Speech, client: &Plain, step: usize) -> Result<()> {
    for (nth, change) in CHANGES.into_iter().enumerate() {
        let had = step * (nth + 1);
        client.wait_until(&format!("{speech:?} at {had}"), |got| got.bodies.len() >= had).await?;
        client.order(change).await?;
        client.wait_until(&format!("{speech:?} changed"), |got| got.bound.len() > nth).await?;
    }
    Ok(())
}

fn bound_of(got: &Got) -> Result<Vec<Bound>> {
    let mut bound = vec![(-1, vec![FIRST.parse()?])];
    for (position, patterns) in &got.bound {
        let patterns = patterns.iter().map(|pattern| pattern.parse()).collect::<Result<_, _>>()?;
        bound.push((position.parse::<Position>()?.offset, patterns));
    }
    Ok(bound)
}

fn check(who: &str, bodies: &[String], gaps: usize, held: &[Held], bound: &[Bound]) -> Result<()> {
    ensure!(gaps == 0, "{who}: {gaps} gaps");
    ensure!(bound.len() == CHANGES.len() + 1, "{who}: {bound:?}");
    let wanted = wanted(held, bound);
    ensure!(bodies == wanted, "{who}: {} of {}, {bound:?}", bodies.len(), wanted.len());
    let offsets: Vec<_> = bound.iter().map(|(offset, _)| offset).collect();
    println!("filter changed: {who}: {} events, changed after {offsets:?}", bodies.len());
    Ok(())
}

async fn subscribe(
    addr: &str,
    feed: &Feed,
    options: ClientOptions,
) -> Result<(Client, tiercast_peer_client::Subscription)> {
    let client = Client::connect(addr.parse()?, options);
    let options = SubscribeOptions { since: Since::Earliest, patterns: vec![FIRST.parse()?] };
    let subscription = client.subscribe(&feed.name, options).await?;
    Ok((client, subscription))
}

/// Reads to the last event, with a change after each so many events; gives the bodies, how many gaps there were, and what was
/// bound after which offset.
async fn read_and_change(
    _client: Client,
    mut subscription: tiercast_peer_client::Subscription,
    step: usize,
    last: String,
) -> Result<(Vec<String>, usize, Vec<Bound>)> {
    let (mut bodies, mut gaps, mut changes) = (Vec::<String>::new(), 0, CHANGES.into_iter());
    let mut patterns: Vec<Pattern> = vec![FIRST.parse()?];
    let mut bound = vec![(-1, patterns.clone())];
    while bodies.last() != Some(&last) {
        match timeout(PATIENCE, subscription.next()).await?.context("it ended")? {
            Notification::Event { event, .. } => {
                bodies.push(String::from_utf8(event.message.body.to_vec())?);
                if !bodies.len().is_multiple_of(step) {
                    continue;
                }
                match changes.next() {
                    Some(Order::Bind(pattern)) => {
                        ensure!(subscription.controls().bind(pattern.parse()?));
                        patterns.push(pattern.parse()?);
                    }
                    Some(Order::Unbind(pattern)) => {
                        let pattern = pattern.parse()?;
                        ensure!(subscription.controls().unbind(&pattern));
                        patterns.retain(|other| *other != pattern);
                    }
                    Some(other) => bail!("{other:?} changes no filter"),
                    None => continue,
                }
                bound.push((event.offset, patterns.clone()));
            }
            Notification::Gap { .. } => gaps += 1,
            _ => {}
        }
    }
    Ok((bodies, gaps, bound))
}
