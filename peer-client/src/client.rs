//! The public face of a native peer.

use std::sync::Arc;

use tiercast_codec::ChannelName;
use tokio::{
    sync::{Notify, broadcast, mpsc, oneshot, watch},
    task::JoinHandle,
};

use crate::{
    command::{Command, refuse},
    driver::Driver,
    error::ClientError,
    notification::{News, Standing},
    options::{ClientOptions, SubscribeOptions},
    server_url::ServerUrls,
    subscription::Subscription,
};

/// Notifications that wait for the application, per subscription. The rest stays in the log.
pub(crate) const NOTIFICATIONS_MAX: usize = 256;
/// News that wait for one who watches. One who falls behind misses some.
const STATUSES_MAX: usize = 256;

/// A native peer. It lives until this is dropped.
#[derive(Debug)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    standing: watch::Receiver<Standing>,
    news: broadcast::Sender<News>,
    drained: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Client {
    /// A peer that connects to a server, and again whenever it has to. Of several servers it uses one at a time, at first
    /// any of them, and turns to another one when it cannot reach that or is sent away; where they have the same streams
    /// nothing is lost or repeated.
    ///
    /// Must be called within a tokio runtime.
    pub fn connect(servers: ServerUrls, options: ClientOptions) -> Self {
        Self::connect_with_news(servers, options).0
    }

    /// The same, and what the peer does from the very beginning.
    ///
    /// Must be called within a tokio runtime.
    pub fn connect_with_news(
        servers: ServerUrls,
        options: ClientOptions,
    ) -> (Self, broadcast::Receiver<News>) {
        let (commands, inbox) = mpsc::channel(16);
        let (standing_sender, standing) = watch::channel(Standing::default());
        let (news, first_news) = broadcast::channel(STATUSES_MAX);
        let drained = Arc::new(Notify::new());
        let driver = Driver::new(servers, options, standing_sender, news.clone(), drained.clone());
        let task = tokio::spawn(driver.run(inbox));
        (Self { commands, standing, news, drained, task }, first_news)
    }

    /// Subscribes to a channel. A peer that cannot go on gives [`Notification::Refused`](crate::Notification::Refused) with the reason, and no more.
    ///
    /// # Errors
    ///
    /// If there is a subscription for it.
    pub async fn subscribe(
        &self,
        channel: &str,
        options: SubscribeOptions,
    ) -> Result<Subscription, ClientError> {
        let channel: ChannelName = channel.parse()?;
        let (notify, said) = mpsc::channel(NOTIFICATIONS_MAX);
        let (done, answer) = oneshot::channel();
        let SubscribeOptions { since, patterns } = options;
        let refusal = notify.clone();
        let command = Command::Subscribe { channel: channel.clone(), since, notify, done };
        // Whether it ended before the command or does so over it, the answer fails.
        let _ = self.commands.send(command).await;
        match answer.await {
            Ok(result) => result?,
            Err(_) => {
                let reason = self.standing.borrow().trouble.clone().ok_or(ClientError::Closed)?;
                refuse(refusal, None, reason);
            }
        }
        let (commands, drained) = (self.commands.clone(), self.drained.clone());
        Ok(Subscription::new(channel, patterns, said, commands, drained))
    }

    /// Serves at most so many children in each channel from now on, in place of [`ClientOptions::children_max`]. Those for
    /// whom there is no place any more are sent elsewhere, and miss nothing.
    ///
    /// # Errors
    ///
    /// If the peer is closed.
    pub async fn offer(&self, children_max: u16) -> Result<(), ClientError> {
        self.commands.send(Command::Offer(children_max)).await.map_err(|_| ClientError::Closed)
    }

    /// Where the peer stands, now and whenever that changes.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// What the peer does, from now on; it may have connected already.
    pub fn news(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    /// Says goodbye to its neighbours and the server, and ends.
    pub async fn close(mut self) {
        if self.commands.send(Command::Close).await.is_ok() {
            // A task that panicked has nothing left to close.
            let _ = (&mut self.task).await;
        }
    }

    /// Ends at once, without a goodbye in the protocol. Connections are closed by the system, so neighbours and
    /// server see it sooner than the death of a whole machine.
    pub fn kill(self) {
        self.task.abort();
    }
}

#[cfg(feature = "faults")]
impl Client {
    /// Lets the peer do from now on what the villain wants.
    pub async fn misbehave(&self, villain: Box<dyn crate::faults::Villain>) {
        // A peer that has ended does no harm.
        let _ = self.commands.send(Command::Misbehave(villain)).await;
    }

    /// Gives the peer's links another weather, also those that are open.
    pub async fn set_weather(&self, weather: crate::link::Weather) {
        // A peer that has ended has no links.
        let _ = self.commands.send(Command::Weather(weather)).await;
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}
