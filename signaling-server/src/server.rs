//! Starts and stops the server: the driver, the sources and the listener, all owned by one set of tasks.

use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc};

use axum::Router;
use tiercast_codec::{ChannelName, Signer, SigningKey};
use tiercast_mesh::{
    Hub,
    hub::{CommandError, Input},
};
use tiercast_platform::Clock;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tracing::{error, info};

use crate::{
    access::Access,
    app::App,
    config::{Config, ConfigErrors, SigningKeyError, SourceKind},
    driver::{Command, Driver, EmbeddedPublisher, Handle},
    geo_database::{GeoDatabase, GeoDatabaseError},
    http,
    listener::Connections,
    sheets::Sheets,
    source::{
        Source,
        amqp::{AmqpSource, dynamic::Dynamic},
        embedded::{self, PublishError},
        roster::Roster,
        store::{Folder, StoreError},
        stored::{self, StoredChannel, StoredSource},
    },
    state::{StateError, next_epoch},
};

/// Updates of sources that wait for the hub; a source that finds the queue full waits.
const SOURCE_QUEUE_UPDATES: usize = 64;

/// A running server. Dropping it ends it at once; [`Server::shutdown`] ends it well.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    handle: Handle,
    draining_until: watch::Sender<Option<Instant>>,
    stopping: watch::Sender<bool>,
    driver: JoinSet<Task>,
    /// What ends by itself once `stopping` is true.
    tasks: JoinSet<Task>,
    limits: Arc<crate::Limits>,
}

/// A part of the server. The parts run until they are told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Task {
    /// The driver of the hub.
    Driver,
    /// A source.
    Source,
    /// The listener with all connections.
    Listener,
}

/// Why the server did not start. Nothing is left running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration is not valid.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// There is no signing key.
    #[error(transparent)]
    SigningKey(#[from] SigningKeyError),
    /// The database of locations cannot be used.
    #[error(transparent)]
    GeoDatabase(#[from] GeoDatabaseError),
    /// The state cannot be kept.
    #[error(transparent)]
    State(#[from] StateError),
    /// Events cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The hub refused a channel.
    #[error(transparent)]
    Channel(#[from] CommandError),
    /// The address cannot be listened on.
    #[error("listen {addr}: {reason}: {}", listen_fix(reason))]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// Why. No `source`: whoever prints the chain of causes would say it twice.
        reason: io::Error,
    },
}

impl Server {
    /// Starts a server. When this returns it accepts sessions, and embedded channels can be published to.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with(config, |_| Router::new()).await
    }

    /// Starts a server that has further HTTP routes. They must not be among its own, and without a fallback.
    pub async fn start_with(
        config: Config,
        routes: impl FnOnce(&Handle) -> Router,
    ) -> Result<Self, StartError> {
        config.validate()?;
        let kinds = config.channels()?;
        let geo_database = config.geo_database_file.as_deref().map(GeoDatabase::open).transpose()?;
        let signing_key = config.signing_key.load()?;
        let (public_key, secret) = (signing_key.public_key(), hub_secret(&signing_key));
        let access = Access::new(&config, &signing_key);
        let clock = Clock::start();
        let mut hub = Hub::new(config.hub.clone(), Box::new(signing_key), secret);
        let (stored, storing) = open_channels(&mut hub, clock, &config, &kinds)?;
        let mut amqp = config.amqp.clone().map(AmqpSource::new);
        if let Some(dir) = &config.state_dir {
            amqp = amqp.map(|amqp| amqp.remembering(dir)).transpose()?;
        }
        let (roster, roster_requests) = Roster::new();
        let dynamic =
            config.amqp.as_ref().map(|amqp| Dynamic::new(&amqp.dynamic, roster, config.state_dir.as_deref()));
        let (dynamic, opened) = dynamic.transpose()?.unzip();
        let amqp_stats = amqp.as_ref().map(AmqpSource::stats);
        let bound = TcpListener::bind(config.listen).await.and_then(|bound| Ok((bound.local_addr()?, bound)));
        let (addr, listener) = bound.map_err(|reason| StartError::Listen { addr: config.listen, reason })?;

        let limits = Arc::new(config.limits.clone());
        let (commands, inputs) = mpsc::channel(limits.input_queue_messages);
        let (sink, updates) = mpsc::channel(SOURCE_QUEUE_UPDATES);
        // Channels that come and go may be asked about twice: before they went, and when they have come again.
        let dynamic_max = dynamic.as_ref().map_or(0, |dynamic| dynamic.exchanges_max());
        let (questions, asked) = mpsc::channel(kinds.len() + 2 * dynamic_max + config.hub.past.fetches_max);
        let (past_questions, past_asked) = mpsc::channel(config.hub.past.fetches_max);
        let sources = BTreeMap::from([
            (SourceKind::Amqp, questions.clone()),
            (SourceKind::Dynamic, questions),
            (SourceKind::Embedded, past_questions),
        ]);
        let (stopping, stops) = watch::channel(false);
        let (draining_until, drains) = watch::channel(None);
        let handle = Handle::new(commands, kinds.clone(), stored.clone(), public_key, dynamic.clone());
        if let (Some(dynamic), Some(opened)) = (dynamic, opened) {
            amqp = amqp.map(|amqp| amqp.with_dynamic(dynamic, opened));
        }
        let (summary, batch_delay) = (config.summary(), config.hub.batch.delay);
        let duplicates = config.limits.duplicates;
        let app = Arc::new(App {
            handle: handle.clone(),
            access,
            clock,
            amqp: amqp_stats,
            sheets: Arc::new(Sheets::new(config.limits.sheets_bytes)),
            stopping: stops.clone(),
            draining_until: drains,
            config: Arc::new(config),
        });
        let router = http::router(app.clone(), routes(&handle));
        let connections = Connections {
            router,
            app,
            limits: limits.clone(),
            geo_database: geo_database.map(Arc::new),
            stopping: stops.clone(),
        };

        // Before any part of it says something.
        info!(%addr, summary, "started");
        let (mut driver, mut tasks) = (JoinSet::new(), JoinSet::new());
        let turning = Driver::new(hub, clock, kinds, batch_delay, duplicates, sources).run(
            inputs,
            updates,
            roster_requests,
        );
        driver.spawn(async move {
            turning.await;
            Task::Driver
        });
        for source in storing {
            let (sink, stops) = (sink.clone(), stops.clone());
            tasks.spawn(async move {
                source.run(sink, stops).await;
                Task::Source
            });
        }
        let (answers, stopping_past) = (sink.clone(), stops.clone());
        tasks.spawn(async move {
            stored::answer(stored, answers, past_asked, stopping_past).await;
            Task::Source
        });
        if let Some(amqp) = amqp {
            tasks.spawn(async move {
                Box::new(amqp).run(sink, asked, stops).await;
                Task::Source
            });
        }
        tasks.spawn(async move {
            connections.accept(listener).await;
            Task::Listener
        });
        Ok(Self { addr, handle, draining_until, stopping, driver, tasks, limits })
    }

    /// The address that it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How the rest of the process talks to it.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// A publisher for an embedded channel.
    pub fn publisher(&self, channel: &str) -> Result<EmbeddedPublisher, PublishError> {
        self.handle.publisher(channel)
    }

    /// Waits until a part of the server ends although nobody stopped it, which is a fault: shut down then.
    pub async fn failed(&mut self) -> Option<Task> {
        let ended = tokio::select! {
            Some(ended) = self.driver.join_next() => ended,
            Some(ended) = self.tasks.join_next() => ended,
            else => return None,
        };
        ended.inspect_err(|error| error!(%error, "a part of the server failed")).ok()
    }

    /// Stops accepting, closes every session with code 3000 and every source, and waits until that is done,
    /// for a little more than `limits.shutdown` at most. Before that it lets them go one after the other, for `limits.drain`.
    pub async fn shutdown(mut self) {
        if !self.limits.drain.is_zero() {
            info!(ms = self.limits.drain.as_millis() as u64, "letting sessions go");
            self.draining_until.send_replace(Some(Instant::now() + self.limits.drain));
            let _ = self.handle.send(Command::Drain(self.limits.drain)).await;
            sleep(self.limits.drain).await;
        }
        info!("shutting down");
        self.stopping.send_replace(true);
        let ending = async {
            // An error means that there is no hub any more, and so there are no sessions.
            let _ = self.handle.send(Command::Shutdown).await;
            while self.tasks.join_next().await.is_some() {}
        };
        // Connections that do not end in time are cut off by the listener, which then ends by itself.
        if timeout(self.limits.shutdown + self.limits.close, ending).await.is_err() {
            error!("a part of the server did not stop in time");
        }
        self.tasks.shutdown().await;
        self.driver.shutdown().await;
        info!("stopped");
    }
}

/// Embedded channels that are kept on disk, and the sources that append to them.
type Stored = (BTreeMap<ChannelName, StoredChannel>, Vec<StoredSource>);

/// Adds the channels to the hub. Embedded ones are open when this returns, with the newest of what they have kept.
fn open_channels(
    hub: &mut Hub,
    clock: Clock,
    config: &Config,
    kinds: &BTreeMap<ChannelName, SourceKind>,
) -> Result<Stored, StartError> {
    let folder = config.data_dir.as_deref().map(Folder::open).transpose()?;
    let (mut stored, mut storing) = (BTreeMap::new(), Vec::new());
    for (name, kind) in kinds {
        hub.add_channel(clock.now(), name)?;
        if *kind == SourceKind::Amqp {
            continue;
        }
        let new_epoch = || Ok::<_, StartError>(next_epoch(config.state_dir.as_deref(), name)?);
        let Some(folder) = &folder else {
            hub.handle(clock.now(), Input::Source(name, embedded::opening(new_epoch()?)))?;
            continue;
        };
        let (limits, duplicates) = (&config.store, config.limits.duplicates);
        let (source, channel) = stored::open(folder, name, limits, duplicates, clock, new_epoch)?;
        channel.history(config.hub.log.bytes as u64, |update| {
            hub.handle(clock.now(), Input::Source(name, update)).expect("the channel is there and open");
        })?;
        storing.push(source);
        stored.insert(name.clone(), channel);
    }
    Ok((stored, storing))
}

/// What the hub's tokens are made with. It is as secret as the key and lasts as long: peers and their links outlive a
/// restart if the key does. Nobody is shown this signature, and none of a frame or head is like it.
fn hub_secret(key: &SigningKey) -> [u8; 32] {
    let signature = key.sign(b"tiercast/1 hub secret");
    std::array::from_fn(|at| signature[at] ^ signature[32 + at])
}

/// What to do when an address cannot be listened on.
fn listen_fix(reason: &io::Error) -> &'static str {
    match reason.kind() {
        io::ErrorKind::AddrInUse => "stop what listens there, or choose another address",
        io::ErrorKind::AddrNotAvailable => {
            "no interface of this machine has it: choose another address, or 0.0.0.0"
        }
        io::ErrorKind::PermissionDenied => "choose a port from 1024 on, or give the right to listen there",
        _ => "choose another address",
    }
}
