//! The driver of a peer: one task that owns the core, and carries bytes and time in and out of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tiercast_codec::{ChannelName, Code, Ed25519, LinkId};
use tiercast_mesh::{
    Peer,
    peer::{CommandError, Input, Output, Status, Target},
};
use tiercast_platform::Clock;
use tokio::sync::{Notify, broadcast, mpsc, watch};

use crate::{
    command::{Command, Said, refuse},
    error::ClientError,
    link::{LinkEvent, LinkHandle, Links, Role, TrySendError},
    notification::{News, Standing},
    options::ClientOptions,
    server_url::ServerUrls,
    session::{Ended, Outgoing, SessionEvent},
    sessions::{Attempt, Sessions},
};

/// Events of the session, and of all links together, that wait for the peer's task. When it is full, whoever
/// sends waits.
const INBOX_MAX: usize = 128;
/// Inputs handled before their outputs are: enough to relay what arrived together in one message.
const INPUTS_AT_ONCE: usize = 64;
/// How long goodbyes may take.
const CLOSING: Duration = Duration::from_millis(500);

/// Drives one peer.
pub(crate) struct Driver {
    sessions: Sessions,
    session_events: mpsc::Receiver<SessionEvent>,
    peer: Peer,
    clock: Clock,
    links: Links,
    link_events: mpsc::Receiver<LinkEvent>,
    handles: BTreeMap<LinkId, LinkHandle>,
    session: Option<mpsc::Sender<Outgoing>>,
    /// Targets that have something to send and are not known to be blocked.
    ready: BTreeSet<Target>,
    /// A message that its link refused, to be sent when it has room.
    refused: BTreeMap<LinkId, Bytes>,
    subscribers: BTreeMap<ChannelName, Subscriber>,
    standing: watch::Sender<Standing>,
    news: broadcast::Sender<News>,
    drained: Arc<Notify>,
    is_closing: bool,
    #[cfg(feature = "faults")]
    villain: Option<Box<dyn crate::faults::Villain>>,
}

/// Where what there is for a subscription goes.
struct Subscriber {
    sender: mpsc::Sender<Said>,
    /// That the server has granted it, while the application has no room to be told. Only the last time counts.
    granted: Option<Said>,
}

impl Driver {
    /// Begins to connect. Must be called within a tokio runtime.
    pub(crate) fn new(
        servers: ServerUrls,
        options: ClientOptions,
        standing: watch::Sender<Standing>,
        news: broadcast::Sender<News>,
        drained: Arc<Notify>,
    ) -> Self {
        let (link_sender, link_events) = mpsc::channel(INBOX_MAX);
        let (session_sender, session_events) = mpsc::channel(INBOX_MAX);
        Self {
            sessions: Sessions::start(servers, session_sender),
            session_events,
            peer: Peer::new(options.peer_config(), Box::new(Ed25519)),
            clock: Clock::start(),
            links: Links::new(options.links, link_sender),
            link_events,
            handles: BTreeMap::new(),
            session: None,
            ready: BTreeSet::new(),
            refused: BTreeMap::new(),
            subscribers: BTreeMap::new(),
            standing,
            news,
            drained,
            is_closing: false,
            #[cfg(feature = "faults")]
            villain: None,
        }
    }

    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let drained = self.drained.clone();
        while !self.is_closing {
            let timeout = self.peer.poll_timeout().map(|due| self.clock.instant(due));
            let session = self.session.clone().filter(|_| self.ready.contains(&Target::Session));
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.on_command(command),
                    None => self.is_closing = true,
                },
                Some(event) = self.session_events.recv() => {
                    self.on_session(event);
                    for _ in 1..INPUTS_AT_ONCE {
                        let Ok(event) = self.session_events.try_recv() else { break };
                        self.on_session(event);
                    }
                }
                Some(event) = self.link_events.recv() => {
                    self.on_link(event);
                    for _ in 1..INPUTS_AT_ONCE {
                        let Ok(event) = self.link_events.try_recv() else { break };
                        self.on_link(event);
                    }
                }
                () = until(timeout) => self.input(Input::Timeout),
                () = has_room(session) => {}
                () = drained.notified() => {}
            }
            self.drive();
        }
        self.close().await;
    }

    /// Does what the core wants until it wants nothing more.
    fn drive(&mut self) {
        loop {
            self.do_outputs();
            self.deliver();
            // What was read made room, also where it gave nothing, and the core may have to say so.
            self.do_outputs();
            if !self.transmit() {
                break;
            }
        }
        self.publish_standing();
    }

    fn do_outputs(&mut self) {
        while let Some(output) = self.peer.poll_output() {
            self.do_output(output);
        }
    }

    fn input(&mut self, input: Input) {
        let now = self.clock.now();
        if let Err(error) = self.peer.handle(now, input) {
            // Commands are checked where they come from, so this is a mistake of ours.
            tracing::error!(%error, "the core refused an input");
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Subscribe { channel, since, notify, done } => {
                let now = self.clock.now();
                let input = Input::Subscribe { channel: channel.clone(), since };
                let result = match self.peer.handle(now, input) {
                    Ok(()) => {
                        self.subscribers.insert(channel, Subscriber { sender: notify, granted: None });
                        Ok(())
                    }
                    Err(CommandError::AlreadySubscribed(channel) | CommandError::NotSubscribed(channel)) => {
                        Err(ClientError::AlreadySubscribed(channel))
                    }
                };
                // The caller may have gone meanwhile; its subscription ends by itself then.
                let _ = done.send(result);
            }
            Command::Unsubscribe(channel) => self.unsubscribe(channel),
            Command::Offer(children_max) => self.input(Input::Offer(children_max)),
            Command::Close => self.is_closing = true,
            #[cfg(feature = "faults")]
            Command::Misbehave(villain) => self.villain = Some(villain),
            #[cfg(feature = "faults")]
            Command::Weather(weather) => self.links.set_weather(weather),
        }
    }

    fn unsubscribe(&mut self, channel: ChannelName) {
        // A newer subscription for the same channel is not the one that was dropped.
        if self.subscribers.get(&channel).is_some_and(|subscriber| subscriber.sender.is_closed()) {
            self.subscribers.remove(&channel);
            self.input(Input::Unsubscribe(channel));
        }
    }

    fn on_session(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::Opened(outgoing) => {
                self.session = Some(outgoing);
                self.input(Input::SessionOpened);
            }
            SessionEvent::Data(bytes) => self.input(Input::SessionData(bytes)),
            SessionEvent::Closed(ended) => self.on_session_closed(ended),
        }
    }

    fn on_session_closed(&mut self, ended: Ended) {
        self.session = None;
        self.ready.remove(&Target::Session);
        self.input(Input::SessionClosed);
        let next = self.sessions.go_on(&ended);
        let reason = ended.reason;
        self.standing.send_modify(|standing| {
            standing.disconnects += u64::from(standing.is_connected);
            standing.is_connected = false;
            standing.trouble = Some(reason.clone());
        });
        match next {
            Some(Attempt { number: attempt, delay, server }) => {
                self.tell(News::Disconnected { reason });
                let delay_ms = delay.as_millis() as u64;
                self.tell(News::Reconnecting { attempt, delay_ms, server });
            }
            None => {
                for (_, subscriber) in std::mem::take(&mut self.subscribers) {
                    refuse(subscriber.sender, None, reason.clone());
                }
                self.is_closing = true;
                self.tell(News::Closed { reason });
            }
        }
    }

    fn on_link(&mut self, event: LinkEvent) {
        let link = LinkId(event.link());
        if !self.handles.contains_key(&link) {
            // Of a link that we have closed nothing is heard any more.
            return;
        }
        match event {
            LinkEvent::Signal { signal, .. } => self.input(Input::LocalSignal(link, signal)),
            LinkEvent::Opened { .. } => self.input(Input::LinkOpened(link)),
            LinkEvent::Data { bytes, .. } => self.input(Input::LinkData(link, bytes)),
            LinkEvent::Writable { .. } => {
                self.ready.insert(Target::Link(link));
            }
            LinkEvent::Closed { reason, .. } => {
                tracing::debug!(%link, %reason, "link closed");
                self.forget_link(link);
                self.input(Input::LinkClosed(link));
            }
        }
    }

    fn do_output(&mut self, output: Output) {
        match output {
            Output::Transmit(target) => {
                self.ready.insert(target);
            }
            Output::CloseSession { code, reason } => {
                if let Some(session) = self.session.take() {
                    // If its queue is full, dropping the sender closes it as well.
                    let _ = session.try_send(Outgoing::Close(code, reason));
                }
                self.ready.remove(&Target::Session);
            }
            Output::OpenLink { link, offers, via } => {
                let role = if offers { Role::Offerer } else { Role::Answerer };
                let handle = match via {
                    Some(via) => self.links.open_via(link.0, role, self.handles.get(&via)),
                    None => self.links.open(link.0, role),
                };
                self.handles.insert(link, handle);
            }
            Output::RemoteSignal(link, signal) => {
                if let Some(handle) = self.handles.get(&link) {
                    handle.signal(signal);
                }
            }
            Output::CloseLink { link, bye } => {
                if let (Some(handle), Some(bye)) = (self.handles.get(&link), bye) {
                    // A link that has no room for a goodbye is closed without one.
                    let _ = handle.try_send(bye);
                }
                self.forget_link(link);
            }
            Output::Status(status) => self.on_status(status),
        }
    }

    /// Dropping the handle closes the link.
    fn forget_link(&mut self, link: LinkId) {
        self.handles.remove(&link);
        self.refused.remove(&link);
        self.ready.remove(&Target::Link(link));
    }

    fn on_status(&mut self, status: Status) {
        match status {
            Status::Welcome { peer, ice_servers, .. } => {
                if !ice_servers.is_empty() {
                    self.links.set_ice_servers(ice_servers);
                }
                let Some(server) = self.sessions.succeeded() else { return };
                self.standing.send_modify(|standing| {
                    standing.peer = Some(peer);
                    standing.is_connected = true;
                    standing.server = Some(server.clone());
                    standing.trouble = None;
                });
                self.tell(News::Connected { peer, server });
            }
            Status::Subscribed { channel, position, recovered } => {
                if let Some(subscriber) = self.subscribers.get_mut(&channel) {
                    subscriber.granted = Some(Said::Subscribed { position, recovered });
                }
            }
            Status::Refused { channel: Some(channel), code, reason, .. } => {
                if let Some(subscriber) = self.subscribers.remove(&channel) {
                    refuse(subscriber.sender, Some(code), reason);
                }
            }
            Status::Refused { channel: None, code, reason, retry_after_ms } => {
                tracing::warn!(%code, reason, "refused by the server");
                if let Some(retry_after_ms) = retry_after_ms {
                    self.sessions.retry_after(Duration::from_millis(retry_after_ms.into()));
                }
            }
            Status::Placed { channel, tier } => {
                self.standing.send_modify(|standing| standing.tier = tier);
                self.tell(News::Placed { channel, tier });
            }
            Status::Parent { channel, parent } => {
                self.standing.send_modify(|standing| standing.parent = parent);
                self.tell(News::Parent { channel, parent });
            }
            Status::Children { channel, count } => {
                self.standing.send_modify(|standing| standing.children = count);
                self.tell(News::Children { channel, count });
            }
            Status::LinkLost { other, code } => self.tell(News::LinkLost { other, code }),
        }
    }

    fn tell(&self, news: News) {
        // Nobody has to watch.
        let _ = self.news.send(news);
    }

    /// Gives each subscriber what it has room for.
    fn deliver(&mut self) {
        let mut gone = Vec::new();
        for (channel, Subscriber { sender, granted }) in &mut self.subscribers {
            loop {
                match sender.try_reserve() {
                    Ok(permit) => {
                        let delivery = || self.peer.poll_delivery(channel).map(Said::Delivery);
                        match granted.take().or_else(delivery) {
                            Some(said) => permit.send(said),
                            None => break,
                        }
                    }
                    Err(mpsc::error::TrySendError::Full(())) => break,
                    Err(mpsc::error::TrySendError::Closed(())) => {
                        gone.push(channel.clone());
                        break;
                    }
                }
            }
        }
        gone.into_iter().for_each(|channel| self.unsubscribe(channel));
    }

    /// Sends what can be sent. True if that may have given the core something to do.
    fn transmit(&mut self) -> bool {
        let mut any = false;
        for target in self.ready.clone() {
            any |= match target {
                Target::Session => self.transmit_session(),
                Target::Link(link) => self.transmit_link(link),
            };
        }
        any
    }

    fn transmit_session(&mut self) -> bool {
        let Some(session) = self.session.clone() else {
            self.ready.remove(&Target::Session);
            return false;
        };
        let mut any = false;
        // When there is no room, the target stays ready and the loop waits for room.
        while let Ok(permit) = session.try_reserve() {
            let Some(bytes) = self.peer.poll_transmit(Target::Session) else {
                self.ready.remove(&Target::Session);
                break;
            };
            permit.send(Outgoing::Message(bytes));
            any = true;
        }
        any
    }

    fn transmit_link(&mut self, link: LinkId) -> bool {
        let target = Target::Link(link);
        let mut any = false;
        #[cfg(feature = "faults")]
        if self.villain.as_mut().is_some_and(|villain| villain.stalls()) {
            return false;
        }
        loop {
            let Some(bytes) = self.refused.remove(&link).or_else(|| self.next_for(link)) else {
                self.ready.remove(&target);
                return any;
            };
            any = true;
            // A link that is gone takes nothing; its end is reported by itself.
            let Some(handle) = self.handles.get(&link) else { continue };
            match handle.try_send(bytes.clone()) {
                Ok(()) => {}
                Err(TrySendError::Full) => {
                    self.refused.insert(link, bytes);
                    self.ready.remove(&target);
                    return any;
                }
                Err(TrySendError::Closed | TrySendError::TooLarge) => {}
            }
        }
    }

    #[cfg(not(feature = "faults"))]
    fn next_for(&mut self, link: LinkId) -> Option<Bytes> {
        self.peer.poll_transmit(Target::Link(link))
    }

    #[cfg(feature = "faults")]
    fn next_for(&mut self, link: LinkId) -> Option<Bytes> {
        loop {
            let bytes = self.peer.poll_transmit(Target::Link(link))?;
            let Some(villain) = &mut self.villain else { return Some(bytes) };
            if let (Some(session), Some(lie)) = (&self.session, villain.accuse(link)) {
                // As many as there is room for.
                let _ = session.try_send(Outgoing::Message(lie));
            }
            if let Some(bytes) = villain.tell(link, bytes) {
                return Some(bytes);
            }
        }
    }

    fn publish_standing(&self) {
        let now = (self.peer.stats(), self.handles.len(), self.links.connections());
        self.standing.send_if_modified(|standing| {
            let before = (standing.stats, standing.links, standing.connections);
            (standing.stats, standing.links, standing.connections) = now;
            before != now
        });
    }

    /// Says goodbye: to each neighbour on its link, to the server by closing the connection.
    async fn close(&mut self) {
        let bye = tiercast_mesh::peer::bye(Code::DEPARTED);
        for handle in self.handles.values() {
            let _ = handle.try_send(bye.clone());
            handle.close();
        }
        self.session = None;
        let all_closed = async {
            while !self.handles.is_empty() {
                match self.link_events.recv().await {
                    Some(LinkEvent::Closed { link, .. }) => drop(self.handles.remove(&LinkId(link))),
                    Some(_) => {}
                    None => return,
                }
            }
        };
        // Whoever does not hear the goodbye notices by itself.
        let _ = tokio::time::timeout(CLOSING, all_closed).await;
        self.session_events.close();
        // A server that does not take the close frame sees the connection end anyway.
        let _ = tokio::time::timeout(CLOSING, self.sessions.ended()).await;
    }
}

async fn until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Waits until a full session queue has room. An error means that the session has ended, which is reported
/// by itself.
async fn has_room(session: Option<mpsc::Sender<Outgoing>>) {
    match session {
        Some(session) if session.reserve().await.is_ok() => {}
        _ => std::future::pending().await,
    }
}
