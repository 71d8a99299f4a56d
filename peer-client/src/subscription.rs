//! A subscription, as the application has it: what it is given, how far it is, and what it wants from now on.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use futures_util::{Stream, StreamExt};
use tiercast_codec::{ChannelName, Pattern, PatternSet, Position};
use tiercast_mesh::peer::Delivery;
use tokio::sync::{Notify, mpsc};

use crate::{
    command::{Command, Said},
    notification::Notification,
};

/// A subscription: a stream of notifications. It ends when this is dropped.
#[derive(Debug)]
pub struct Subscription {
    channel: ChannelName,
    controls: Controls,
    said: mpsc::Receiver<Said>,
    commands: mpsc::Sender<Command>,
    drained: Arc<Notify>,
}

/// What can be changed and asked while a subscription is being read, from anywhere: a clone controls the same one.
#[derive(Debug, Clone)]
pub struct Controls(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    patterns: PatternSet,
    position: Option<Position>,
    is_paused: bool,
    /// Whether the application was told so.
    is_told_paused: bool,
    /// There from a reconnect until the application has caught up.
    recovering: Option<Recovering>,
    /// Who waits while there is nothing to give because of the pause.
    waker: Option<Waker>,
}

/// What a reconnect brought.
#[derive(Debug)]
struct Recovering {
    /// Where the server went on.
    after: Position,
    count: u64,
}

impl Subscription {
    pub(crate) fn new(
        channel: ChannelName,
        patterns: Vec<Pattern>,
        said: mpsc::Receiver<Said>,
        commands: mpsc::Sender<Command>,
        drained: Arc<Notify>,
    ) -> Self {
        Self { channel, controls: Controls::new(patterns), said, commands, drained }
    }

    /// The next notification; `None` after the end.
    pub async fn next(&mut self) -> Option<Notification> {
        StreamExt::next(self).await
    }

    /// The channel.
    pub fn channel(&self) -> &ChannelName {
        &self.channel
    }

    /// How far the application is: see [`Controls::position`].
    pub fn position(&self) -> Option<Position> {
        self.controls.position()
    }

    /// What can be changed while the subscription is being read.
    pub fn controls(&self) -> &Controls {
        &self.controls
    }
}

impl Controls {
    fn new(patterns: Vec<Pattern>) -> Self {
        Self(Arc::new(Mutex::new(State {
            patterns: PatternSet::new(patterns),
            position: None,
            is_paused: false,
            is_told_paused: false,
            recovering: None,
            waker: None,
        })))
    }

    /// How far the application is: it has been given everything that it wants up to here, what it was given last
    /// included. To be kept once that is processed; [`Since::Position`](crate::Since::Position) goes on after it. `None`
    /// until the server has said where the subscription starts.
    pub fn position(&self) -> Option<Position> {
        self.state().position
    }

    /// Gives no events and gaps until [`Self::resume`]. What comes meanwhile waits in the peer's log; when that is half
    /// full, the peer sends its children elsewhere, and those who feed it wait. What is still retained when it goes on is
    /// given then, the rest is one gap.
    pub fn pause(&self) {
        self.set_paused(true);
    }

    /// Goes on where it was paused.
    pub fn resume(&self) {
        self.set_paused(false);
    }

    /// Wants the events that match this pattern, too; false if it did before. What has not been given when this returns
    /// is judged by it; what was passed over before does not come again. Who has named no pattern wants `#`, everything.
    pub fn bind(&self, pattern: Pattern) -> bool {
        self.state().patterns.insert(pattern)
    }

    /// No longer wants the events that match this pattern and no other; false if it was not among the patterns. Holds for
    /// whatever has not been given when this returns. Without any pattern nothing is wanted, and only gaps come.
    pub fn unbind(&self, pattern: &Pattern) -> bool {
        self.state().patterns.remove(pattern)
    }

    fn set_paused(&self, is_paused: bool) {
        let mut state = self.state();
        state.is_paused = is_paused;
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // It is whole between any two statements that could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What to tell the application of this, if anything.
    fn take(&mut self, said: Said) -> Option<Notification> {
        match said {
            Said::Subscribed { position, recovered } => {
                match self.position {
                    None => self.position = Some(position),
                    Some(_) => _ = self.recovering.get_or_insert(Recovering { after: position, count: 0 }),
                }
                Some(Notification::Subscribed { position, recovered })
            }
            Said::Delivery(delivery) => self.take_delivery(delivery),
            Said::Refused { code, reason } => Some(Notification::Refused { code, reason }),
        }
    }

    fn take_delivery(&mut self, delivery: Delivery) -> Option<Notification> {
        match delivery {
            Delivery::Event { position, sealed_us, event, .. } => {
                self.position = Some(position);
                if !self.patterns.matches(&event.message.routing_key) {
                    return None;
                }
                if let Some(recovering) = self.recovering.as_mut().filter(|found| position > found.after) {
                    recovering.count += 1;
                }
                Some(Notification::Event { epoch: position.epoch, sealed_us, event })
            }
            Delivery::Gap { from, to, reason, .. } => {
                self.position = Some(to);
                Some(Notification::Gap { from, to, reason })
            }
            Delivery::CaughtUp { position, .. } => {
                self.position = Some(position);
                self.recovering.take().map(|Recovering { count, .. }| Notification::Recovered { count })
            }
        }
    }

    /// That it is paused or goes on, if the application was told otherwise.
    fn pause_to_tell(&mut self) -> Option<Notification> {
        let was_told = std::mem::replace(&mut self.is_told_paused, self.is_paused);
        let now = if self.is_paused { Notification::Paused } else { Notification::Resumed };
        (was_told != self.is_paused).then_some(now)
    }
}

impl Stream for Subscription {
    type Item = Notification;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Notification>> {
        let this = &mut *self;
        loop {
            let mut state = this.controls.state();
            if let Some(notification) = state.pause_to_tell() {
                return Poll::Ready(Some(notification));
            }
            // Whoever pauses or goes on while this waits wakes it.
            state.waker = Some(context.waker().clone());
            if state.is_paused {
                return Poll::Pending;
            }
            let Poll::Ready(said) = this.said.poll_recv(context) else { return Poll::Pending };
            this.drained.notify_one();
            let Some(said) = said else { return Poll::Ready(None) };
            if let Some(notification) = state.take(said) {
                return Poll::Ready(Some(notification));
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // If the peer is too busy to hear it, it notices by the closed channel.
        let _ = self.commands.try_send(Command::Unsubscribe(self.channel.clone()));
        self.drained.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tiercast_codec::{Event, Message};

    use super::*;

    /// A subscription, and its other end.
    fn subscription(patterns: &[&str]) -> (Subscription, mpsc::Sender<Said>) {
        let (sender, said) = mpsc::channel(64);
        let patterns = patterns.iter().map(|text| pattern(text)).collect();
        let (commands, drained) = (mpsc::channel(1).0, Arc::default());
        (Subscription::new(channel(), patterns, said, commands, drained), sender)
    }

    fn channel() -> ChannelName {
        "builds".parse().unwrap()
    }

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap()
    }

    fn event(offset: i64, key: &str) -> Said {
        let message = Message { routing_key: key.to_owned(), ..Message::default() };
        let (position, event) = (Position::new(7, offset), Event { offset, message });
        Said::Delivery(Delivery::Event { channel: channel(), position, sealed_us: 0, event })
    }

    fn caught_up(offset: i64) -> Said {
        Said::Delivery(Delivery::CaughtUp { channel: channel(), position: Position::new(7, offset) })
    }

    fn subscribed(offset: i64) -> Said {
        Said::Subscribed { position: Position::new(7, offset), recovered: true }
    }

    fn say(sender: &mpsc::Sender<Said>, all: impl IntoIterator<Item = Said>) {
        all.into_iter().for_each(|said| sender.try_send(said).unwrap());
    }

    /// All that there is now, in short.
    fn given(subscription: &mut Subscription) -> Vec<String> {
        let now = std::iter::from_fn(|| subscription.next().now_or_never().flatten());
        now.map(|notification| match notification {
            Notification::Event { event, .. } => event.offset.to_string(),
            Notification::Subscribed { .. } => "subscribed".to_owned(),
            Notification::Recovered { count } => format!("recovered {count}"),
            other => format!("{other:?}").to_lowercase(),
        })
        .collect()
    }

    #[test]
    fn the_position_is_what_was_given_or_passed_over_as_unwanted() {
        let (mut subscription, sender) = subscription(&["a"]);
        assert_eq!(subscription.position(), None);
        say(&sender, [subscribed(3), event(4, "a"), event(5, "b"), event(6, "a"), event(7, "b")]);
        for expected in [3, 4, 6] {
            assert!(subscription.next().now_or_never().flatten().is_some());
            assert_eq!(subscription.position(), Some(Position::new(7, expected)));
        }
        assert!(given(&mut subscription).is_empty());
        assert_eq!(subscription.position(), Some(Position::new(7, 7)));
    }

    #[test]
    fn patterns_count_from_the_next_event_on_whatever_has_come_already() {
        let (mut subscription, sender) = subscription(&["a"]);
        say(&sender, (0..6).map(|offset| event(offset, ["a", "b"][offset as usize % 2])));
        assert!(matches!(subscription.next().now_or_never(), Some(Some(Notification::Event { .. }))));
        let controls = subscription.controls().clone();
        assert!(controls.bind(pattern("b")) && !controls.bind(pattern("b")));
        assert!(controls.unbind(&pattern("a")) && !controls.unbind(&pattern("a")));
        assert_eq!(given(&mut subscription), ["1", "3", "5"]);
        assert!(controls.unbind(&pattern("b")));
        say(&sender, [event(6, "a"), event(7, "b")]);
        assert!(given(&mut subscription).is_empty());
    }

    #[test]
    fn nothing_is_given_during_a_pause_and_nothing_is_missing_after_it() {
        let (mut subscription, sender) = subscription(&[]);
        say(&sender, [event(0, "a"), event(1, "a")]);
        assert!(subscription.next().now_or_never().is_some());
        subscription.controls().pause();
        assert_eq!(given(&mut subscription), ["paused"]);
        say(&sender, [event(2, "a")]);
        assert!(given(&mut subscription).is_empty());
        assert_eq!(subscription.position(), Some(Position::new(7, 0)));
        subscription.controls().resume();
        assert_eq!(given(&mut subscription), ["resumed", "1", "2"]);
        subscription.controls().pause();
        subscription.controls().resume();
        assert!(given(&mut subscription).is_empty(), "a pause of no time is none");
    }

    #[tokio::test]
    async fn one_who_waits_is_woken_when_a_pause_begins_and_ends() {
        let (mut subscription, sender) = subscription(&[]);
        let controls = subscription.controls().clone();
        let (told, mut heard) = mpsc::channel(8);
        let reader = tokio::spawn(async move {
            while let Some(notification) = subscription.next().await {
                told.send(notification).await.unwrap();
            }
        });
        tokio::task::yield_now().await;
        controls.pause();
        assert_eq!(heard.recv().await, Some(Notification::Paused));
        say(&sender, [event(0, "a")]);
        controls.resume();
        assert_eq!(heard.recv().await, Some(Notification::Resumed));
        assert!(matches!(heard.recv().await, Some(Notification::Event { .. })));
        drop(sender);
        reader.await.unwrap();
    }

    #[test]
    fn what_a_reconnect_brought_is_counted_when_all_of_it_is_there() {
        let (mut subscription, sender) = subscription(&["a"]);
        say(&sender, [subscribed(-1), event(0, "a"), subscribed(1), event(1, "a"), event(2, "a")]);
        say(&sender, [event(3, "b"), subscribed(3), event(4, "a"), caught_up(5), event(6, "a")]);
        let expected = ["subscribed", "0", "subscribed", "1", "2", "subscribed", "4", "recovered 2", "6"];
        assert_eq!(given(&mut subscription), expected);
    }
}
