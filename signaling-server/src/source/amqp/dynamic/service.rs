//! Serves the desks: a channel of the hub and a task for each exchange, from the first who wants something of it until
//! nothing of it is bound any more.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::warn;

use super::{Dynamic, Opened, binder::Binder, desk::Desk, error::DynamicError};
use crate::{
    source::{
        SourceSink,
        amqp::{
            config::AmqpChannelConfig,
            connection::Link,
            feed::Feed,
            inquiries::Inquiries,
            memory::Memory,
            names::RetentionConfig,
            past::Past,
            stats::AmqpStats,
            worker::{self, wait_until_up},
        },
    },
    stopped::Stopped,
};

/// Longest time to let go of everything at shutdown. What is left is noted, if there is a folder for that. Unvalidated.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// Time between two attempts to let go of a stream. Unvalidated.
const LET_GO_AGAIN: Duration = Duration::from_secs(5);

/// What every desk is served with.
#[derive(Clone)]
pub(in super::super) struct Service {
    pub(in super::super) dynamic: Arc<Dynamic>,
    pub(in super::super) queue_bytes: usize,
    pub(in super::super) sink: SourceSink,
    pub(in super::super) inquiries: Arc<Inquiries>,
    pub(in super::super) stats: Arc<AmqpStats>,
    pub(in super::super) memory: Arc<Memory>,
    pub(in super::super) link: watch::Receiver<Link>,
}

/// The tasks that serve desks.
#[derive(Default)]
pub(in super::super) struct Services(JoinSet<()>);

impl Services {
    /// Serves every desk that is opened. Never returns; may be dropped at any time.
    pub(in super::super) async fn serve(&mut self, service: &Service, mut opened: Opened) {
        for desk in opened.left {
            self.0.spawn(service.clone().serve(desk));
        }
        loop {
            tokio::select! {
                Some(desk) = opened.new.recv() => drop(self.0.spawn(service.clone().serve(desk))),
                Some(_) = self.0.join_next() => {}
                else => std::future::pending().await,
            }
        }
    }

    /// Lets go of everything that there is time for.
    pub(in super::super) async fn close(mut self, dynamic: &Dynamic) {
        dynamic.close();
        let closing = async { while self.0.join_next().await.is_some() {} };
        if timeout(CLOSE_MAX, closing).await.is_err() {
            warn!(
                "not all dynamic bindings were let go of: what is noted in state_dir goes at the next start"
            );
        }
        self.0.shutdown().await;
    }
}

impl Service {
    async fn serve(self, desk: Arc<Desk>) {
        let (channel, exchange) = (desk.channel().clone(), desk.exchange().as_str());
        match self.dynamic.roster.add(&channel).await {
            Ok(true) => {
                self.feed(&desk).await;
                // By now the hub has had all that its source said: the broker has answered since.
                let _ = self.dynamic.roster.remove(&channel).await;
            }
            Ok(false) => {
                desk.change(|wants| wants.fail(DynamicError::Taken(exchange.to_owned())));
                desk.is_left().await;
            }
            Err(Stopped) => {}
        }
        self.dynamic.end(&desk);
    }

    /// Feeds the channel until nothing of the exchange is bound, and then lets go of the stream.
    async fn feed(&self, desk: &Arc<Desk>) {
        let channel = AmqpChannelConfig {
            history_s: 0,
            retention: self.retention(),
            ..AmqpChannelConfig::new(desk.channel().clone(), Vec::new())
        };
        let queue = channel.queue_name();
        let name = channel.name.clone();
        let asked = self.inquiries.open(&name);
        let (stats, memory) = (self.stats.clone(), self.memory.clone());
        let feed = Feed::new(name.to_string(), self.sink.clone(), asked.claims, stats, memory);
        let past = Past::new(name.to_string(), self.sink.clone(), asked.fetches);
        tokio::select! {
            () = worker::run(channel, self.queue_bytes, feed, past, self.link.clone(), Some(self.binder(desk))) => {}
            () = desk.is_left() => {
                if desk.is_begun() {
                    self.let_go(desk, &queue).await;
                }
            }
        }
        self.inquiries.close(&name);
        self.memory.forget(name.as_str());
    }

    async fn let_go(&self, desk: &Arc<Desk>, queue: &str) {
        let (binder, mut link) = (self.binder(desk), self.link.clone());
        while let Some(broker) = wait_until_up(&mut link).await {
            match binder.let_go(&broker, queue).await {
                Ok(()) => return,
                Err(error) => warn!(queue, %error, "a stream that nobody wants is not deleted; tried again"),
            }
            sleep(LET_GO_AGAIN).await;
        }
    }

    fn binder(&self, desk: &Arc<Desk>) -> Binder {
        Binder::new(desk.clone(), self.dynamic.ledger.clone())
    }

    fn retention(&self) -> RetentionConfig {
        self.dynamic.config.retention.clone()
    }
}
