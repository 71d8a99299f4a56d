//! A native peer that writes down everything it gets.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tiercast_peer_client::{
    Client, ClientOptions, Controls, News, Notification, Since, Standing, SubscribeOptions,
};
use tokio::{
    sync::{broadcast, watch},
    task::JoinHandle,
    time::timeout,
};

/// Longest time for anything to happen: generous, since machines that run tests are busy.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A peer and what it got.
pub struct Listener {
    client: Client,
    controls: Controls,
    got: Arc<Mutex<Vec<(Instant, Notification)>>>,
    count: watch::Receiver<usize>,
    reader: JoinHandle<()>,
}

impl Listener {
    /// Connects and subscribes, from the earliest event on.
    pub async fn start(url: &str, channel: &str, options: ClientOptions) -> Result<Self> {
        Self::start_at(url, channel, options, Since::Earliest).await
    }

    /// Connects and subscribes.
    pub async fn start_at(url: &str, channel: &str, options: ClientOptions, since: Since) -> Result<Self> {
        let client = Client::connect(url.parse()?, options);
        let subscribe = SubscribeOptions { since, ..SubscribeOptions::default() };
        let mut subscription = client.subscribe(channel, subscribe).await?;
        let controls = subscription.controls().clone();
        let got = Arc::new(Mutex::new(Vec::new()));
        let (counted, count) = watch::channel(0);
        let kept = got.clone();
        let reader = tokio::spawn(async move {
            while let Some(notification) = subscription.next().await {
                let is_event = matches!(notification, Notification::Event { .. });
                kept.lock().unwrap().push((Instant::now(), notification));
                counted.send_modify(|count| *count += usize::from(is_event));
            }
        });
        Ok(Self { client, controls, got, count, reader })
    }

    /// Serves at most so many children from now on.
    pub async fn offer(&self, children_max: u16) -> Result<()> {
        Ok(self.client.offer(children_max).await?)
    }

    /// What can be changed of its subscription.
    pub fn controls(&self) -> &Controls {
        &self.controls
    }

    /// Waits until the event that came last has this body.
    pub async fn wait_for_last(&self, body: &str) -> Result<()> {
        let mut count = self.count.clone();
        let arrived = async {
            while self.last_body().is_none_or(|last| last != body.as_bytes()) {
                count.changed().await?;
            }
            anyhow::Ok(())
        };
        timeout(PATIENCE, arrived)
            .await
            .with_context(|| format!("{body} has not come after {} events", self.events().len()))?
    }

    fn last_body(&self) -> Option<Vec<u8>> {
        let body = |(_, notification): &_| match notification {
            Notification::Event { event, .. } => Some(event.message.body.to_vec()),
            _ => None,
        };
        self.got.lock().unwrap().iter().rev().find_map(body)
    }

    /// Waits until so many events have come.
    pub async fn wait_for(&self, events: usize) -> Result<()> {
        let mut count = self.count.clone();
        match timeout(PATIENCE, count.wait_for(|count| *count >= events)).await {
            Ok(reached) => reached.map(|_| ()).context("the peer has ended"),
            Err(_) => bail!("{} of {events} events came", self.events().len()),
        }
    }

    /// Waits until something like this has been told.
    pub async fn wait_for_told(&self, is_it: impl Fn(&Notification) -> bool) -> Result<()> {
        let mut count = self.count.clone();
        let told = async {
            while !self.notifications().iter().any(&is_it) {
                count.changed().await?;
            }
            anyhow::Ok(())
        };
        timeout(PATIENCE, told).await.context("it is not told")?
    }

    /// Waits until the peer stands like this.
    pub async fn wait_until(&self, what: &str, is_so: impl FnMut(&Standing) -> bool) -> Result<Standing> {
        let mut standing = self.client.standing();
        let waited =
            timeout(PATIENCE, standing.wait_for(is_so)).await.with_context(|| format!("not yet: {what}"))?;
        Ok(waited.context("the peer has ended")?.clone())
    }

    /// Where the peer stands.
    pub fn standing(&self) -> Standing {
        self.client.standing().borrow().clone()
    }

    /// What is said of it from now on.
    pub fn news(&self) -> broadcast::Receiver<News> {
        self.client.news()
    }

    /// How many events have come.
    pub fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// The offsets and bodies that came, in order.
    pub fn events(&self) -> Vec<(i64, Vec<u8>)> {
        let event = |(_, notification): &_| match notification {
            Notification::Event { event, .. } => Some((event.offset, event.message.body.to_vec())),
            _ => None,
        };
        self.got.lock().unwrap().iter().filter_map(event).collect()
    }

    /// When each event came.
    pub fn arrivals(&self) -> Vec<Instant> {
        let is_event = |(_, notification): &&(Instant, _)| matches!(notification, Notification::Event { .. });
        self.got.lock().unwrap().iter().filter(is_event).map(|(at, _)| *at).collect()
    }

    /// All that came, in order.
    pub fn notifications(&self) -> Vec<Notification> {
        self.got.lock().unwrap().iter().map(|(_, notification)| notification.clone()).collect()
    }

    /// The gaps that came.
    pub fn gaps(&self) -> Vec<Notification> {
        let is_gap = |notification: &&Notification| matches!(notification, Notification::Gap { .. });
        self.got
            .lock()
            .unwrap()
            .iter()
            .map(|(_, notification)| notification)
            .filter(is_gap)
            .cloned()
            .collect()
    }

    /// Ends without a word to anybody.
    pub fn kill(self) {
        self.reader.abort();
        self.client.kill();
    }
}
