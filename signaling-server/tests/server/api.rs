//! An application that knows this library alone can name everything that it needs, and is given.

use std::{collections::BTreeMap, time::Duration};

use anyhow::ensure;
use tiercast_signaling_server::{
    ApiKey, ApiKeyError, BEFORE_FIRST, BatchLimits, Bytes, ChannelName, ChannelNameError, ChannelSnapshot,
    ChannelStats, CommandError, Config, ConfigError, EmbeddedPublisher, Epoch, Event, HeaderValue, HubConfig,
    HubStats, IceServer, KeySource, LinkId, LogLimits, Message, NodeKind, Offset, Pattern, PatternError,
    PeerId, Place, Position, PublicKey, PublishError, Relay, Router, Server, SigningKeyError, SourceKind,
    SourceState, SourceUpdate, StartError, Tier1, Time, TreeNode,
    source::amqp::{
        AmqpChannelConfig, AmqpConfig, AmqpConfigError, BindingConfig, BrokerUrl, BrokerUrlError, Exchange,
    },
};

fn config() -> Result<Config, Box<dyn std::error::Error>> {
    let ice = IceServer { urls: vec!["stun:h:1".into()], username: None, credential: None };
    let hub = HubConfig {
        batch: BatchLimits { delay: Duration::ZERO, bytes: 1 << 14, events: 64 },
        log: LogLimits { bytes: 1 << 20, entries: 64 },
        tier1: Tier1 { min: 1, max: 1 },
        ice_servers: vec![ice],
        ..HubConfig::default()
    };
    let key: Result<ApiKey, ApiKeyError> = "a-long-enough-key".parse();
    let signing_key = KeySource::Seed([7; 32]);
    Ok(Config { listen: "127.0.0.1:0".parse()?, api_keys: vec![key?], hub, signing_key, ..Config::default() })
}

#[tokio::test]
async fn regression_a_server_can_be_run_and_watched_by_types_named_here() -> anyhow::Result<()> {
    let config = config().map_err(|error| anyhow::anyhow!("{error}"))?;
    let started: Result<Server, StartError> = Server::start_with(config, |_| Router::new()).await;
    let server = started?;
    let publisher: Result<EmbeddedPublisher, PublishError> = server.publisher("events");
    let headers = BTreeMap::from([("attempt".to_owned(), HeaderValue::Int(3))]);
    let message = Message { body: Bytes::from_static(b"{}"), headers, ..Message::default() };
    let Position { epoch, offset }: Position = publisher?.publish(message).await?;
    let (epoch, offset): (Epoch, Offset) = (epoch, offset);
    ensure!(epoch > 0 && offset == BEFORE_FIRST + 1);

    let key: PublicKey = server.handle().public_key();
    ensure!(key == server.handle().public_key());
    let snapshot = server.handle().snapshot().await?;
    let (time, hub): (Time, &HubStats) = (snapshot.time, &snapshot.hub);
    ensure!(time > Time(0) && hub.control_bytes == 0);
    let [ChannelSnapshot { name, kind: SourceKind::Embedded, source: SourceState::Open, stats, .. }] =
        snapshot.channels.as_slice()
    else {
        anyhow::bail!("{snapshot:?}");
    };
    let stats: &ChannelStats = stats;
    ensure!(stats.frames <= 1, "{stats:?}");
    let nodes: Option<Vec<TreeNode>> = server.handle().topology(name).await?;
    ensure!(nodes.is_some_and(|nodes| nodes.is_empty()));
    server.shutdown().await;
    Ok(())
}

#[test]
fn regression_every_mistake_of_an_application_has_a_name_here() {
    let name: Result<ChannelName, ChannelNameError> = "a/b".parse();
    let pattern: Result<Pattern, PatternError> = "a#".parse();
    let exchange: Result<Exchange, AmqpConfigError> = "".parse();
    let url: Result<BrokerUrl, BrokerUrlError> = "amqp:/x".parse();
    assert!(name.is_err() && pattern.is_err() && exchange.is_err() && url.is_err());
    let binding = BindingConfig { exchange: "x".parse().expect("a name"), patterns: Vec::new() };
    let channel = AmqpChannelConfig::new("builds".parse().expect("a name"), vec![binding]);
    let amqp = Some(AmqpConfig::new("amqp://h".parse().expect("a URL"), vec![channel]));
    let errors = Config { amqp, ..Config::default() }.validate().expect_err("nothing is bound");
    let told: Vec<&ConfigError> = errors.iter().collect();
    assert_eq!(told.len(), 1, "{errors}");
}

/// What a tree consists of, and what goes wrong in it.
#[test]
fn regression_a_tree_and_a_source_can_be_made_by_hand() {
    let relay = Some(Relay { node: NodeKind::Native, children_max: 3 });
    let place = Place::Child(LinkId(7));
    let (peer, parent, standby) = (PeerId(1), Some(PeerId(2)), None);
    let node = TreeNode { peer, parent, standby, place, tier: 2, relay, children: 0 };
    assert_eq!(node.clone(), node);
    let update = SourceUpdate::Events(vec![Event { offset: 0, message: Message::default() }]);
    assert!(matches!(update, SourceUpdate::Events(events) if events.len() == 1));
    let missing = SigningKeyError::Malformed { path: "key".into() };
    assert!(StartError::from(missing).to_string().contains("signing_key_create"));
    assert!(StartError::from(CommandError::NotOpen).to_string().contains("before it was open"));
}
