//! A RabbitMQ broker for tests: started on free ports in a directory of its own, stopped, killed, started again.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Weak},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind,
    message::Delivery,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
        ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions,
        QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable, LongString},
};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    sync::Mutex,
    time::{Instant, sleep, timeout, timeout_at},
};

/// Names a broker to use instead of starting one. It is then never stopped.
pub const URL_VARIABLE: &str = "TIERCAST_TEST_AMQP_URL";

/// Longest time for a broker to start or stop, or for a publisher to get everything through: generous, since
/// machines that run tests are busy.
const DEADLINE: Duration = Duration::from_secs(120);

/// Longest time for one answer of a broker that is up.
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(20);

/// Longest time for the confirms of a window. A broker whose stream's writer restarts may owe some forever.
const CONFIRM_MAX: Duration = Duration::from_secs(5);

/// Time between two looks at something that has no event to wait for.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Messages that a publisher has on their way at once.
const WINDOW: usize = 500;

/// Where distributions put the server's own start script. The one in `/usr/sbin` of Debian changes the user.
const SERVER_SCRIPTS: [&str; 3] = [
    "/usr/lib/rabbitmq/bin/rabbitmq-server",
    "/opt/rabbitmq/sbin/rabbitmq-server",
    "/usr/sbin/rabbitmq-server",
];

static SHARED: Mutex<Weak<Broker>> = Mutex::const_new(Weak::new());

/// A broker. One that was started here is killed, and its files removed, when this is dropped.
#[derive(Debug)]
pub struct Broker {
    url: String,
    node: Option<Node>,
}

impl Broker {
    /// A broker of the test's own, ready for use; or the one named by [`URL_VARIABLE`].
    pub async fn start() -> Result<Self> {
        if let Ok(url) = std::env::var(URL_VARIABLE) {
            return Ok(Self { url, node: None });
        }
        let mut broker = Self::prepare(Arc::new(Home::prepare()?), "")?;
        broker.start_again().await?;
        Ok(broker)
    }

    /// One that is to be started, with more in its configuration.
    pub(crate) fn prepare(home: Arc<Home>, more_config: &str) -> Result<Self> {
        let node = Node::prepare(home, more_config)?;
        let url = format!("amqp://guest:guest@127.0.0.1:{}/%2f", node.port);
        Ok(Self { url, node: Some(node) })
    }

    /// How Erlang calls it. Only of a broker that was started here.
    pub fn name(&self) -> Result<String> {
        Ok(self.node()?.name())
    }

    /// A broker shared by the tests of a process that run at the same time. Use names that no other test uses.
    pub async fn shared() -> Result<Arc<Self>> {
        let mut shared = SHARED.lock().await;
        if let Some(broker) = shared.upgrade() {
            return Ok(broker);
        }
        let broker = Arc::new(Self::start().await?);
        *shared = Arc::downgrade(&broker);
        Ok(broker)
    }

    /// Where it listens, with a user that may do everything.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether it can be stopped and started: not if it was named by [`URL_VARIABLE`].
    pub fn can_restart(&self) -> bool {
        self.node.is_some()
    }

    /// Stops it in good order and waits until it is gone.
    pub async fn stop(&mut self) -> Result<()> {
        self.node_mut()?.end(Signal::Terminate).await
    }

    /// Kills it without warning and waits until it is gone.
    ///
    /// RabbitMQ 3.10 saves the register of its stream coordinator late. A node that is killed soon after its first
    /// stream was made answers "home node is down" for that stream from then on. Stop and start it in good order once
    /// after making the first stream.
    pub async fn kill(&mut self) -> Result<()> {
        self.node_mut()?.end(Signal::Kill).await
    }

    /// Keeps a copy of its data, as it is now. It must not be running.
    pub fn keep_data(&self) -> Result<()> {
        self.node()?.copy_data("mnesia", "kept")
    }

    /// Puts the kept data back: what was written since is lost, as in a crash of a machine that had not written it
    /// to its disk. It must not be running.
    pub fn lose_data(&self) -> Result<()> {
        self.node()?.copy_data("kept", "mnesia")
    }

    /// Starts it with the data it had, and waits until it takes connections.
    pub async fn start_again(&mut self) -> Result<()> {
        let url = self.url.clone();
        let node = self.node_mut()?;
        node.spawn()?;
        node.wait_until_ready(&url).await
    }

    /// A connection of the test's own.
    pub async fn connect(&self) -> Result<Connection> {
        connect(&self.url).await
    }

    /// Declares a durable topic exchange.
    pub async fn declare_topic_exchange(&self, name: &str) -> Result<()> {
        let connection = self.connect().await?;
        let channel = connection.create_channel().await?;
        let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
        answer(channel.exchange_declare(name.into(), ExchangeKind::Topic, options, FieldTable::default()))
            .await
    }

    /// Deletes a queue or stream with all that is in it.
    pub async fn delete_queue(&self, name: &str) -> Result<()> {
        let connection = self.connect().await?;
        let channel = connection.create_channel().await?;
        answer(channel.queue_delete(name.into(), QueueDeleteOptions::default())).await?;
        Ok(())
    }

    /// Deletes an exchange.
    pub async fn delete_exchange(&self, name: &str) -> Result<()> {
        let connection = self.connect().await?;
        let channel = connection.create_channel().await?;
        answer(channel.exchange_delete(name.into(), ExchangeDeleteOptions::default())).await
    }

    /// Makes a stream with exactly these arguments, and binds it to everything that an exchange gets.
    pub async fn declare_stream(&self, name: &str, exchange: &str, arguments: FieldTable) -> Result<()> {
        let connection = self.connect().await?;
        let channel = connection.create_channel().await?;
        answer(channel.queue_declare(name.into(), QueueDeclareOptions::durable(), arguments)).await?;
        let (options, none) = (QueueBindOptions::default(), FieldTable::default());
        answer(channel.queue_bind(name.into(), exchange.into(), "#".into(), options, none)).await
    }

    /// Reads a stream from its beginning until `count` messages have come, the server's marks aside.
    pub async fn read_stream(&self, name: &str, count: usize) -> Result<Vec<Delivery>> {
        self.read_stream_until(name, |deliveries| deliveries.len() == count).await
    }

    /// Reads a stream from its beginning until the messages that have come are enough, the server's marks aside.
    pub async fn read_stream_until(
        &self,
        name: &str,
        is_enough: impl Fn(&[Delivery]) -> bool,
    ) -> Result<Vec<Delivery>> {
        let connection = self.connect().await?;
        let channel = connection.create_channel().await?;
        answer(channel.basic_qos(200, BasicQosOptions::default())).await?;
        let mut arguments = FieldTable::default();
        arguments.insert("x-stream-offset".into(), AMQPValue::LongString(LongString::from("first")));
        let consumer =
            channel.basic_consume(name.into(), "".into(), BasicConsumeOptions::default(), arguments);
        let mut consumer = answer(consumer).await?;
        let mut deliveries = Vec::new();
        while !is_enough(&deliveries) {
            let next = timeout(ANSWER_MAX, consumer.next()).await;
            let next = next.with_context(|| format!("{name} has {} messages, no more", deliveries.len()))?;
            let delivery = next.context("the stream's consumer ended")??;
            if deliveries.len() % 100 == 99 {
                channel.basic_ack(delivery.delivery_tag, BasicAckOptions { multiple: true }).await?;
            }
            if delivery.exchange.as_str() != name {
                deliveries.push(delivery);
            }
        }
        Ok(deliveries)
    }

    /// Runs `rabbitmqctl`; gives what it says. Only of a broker that was started here.
    pub async fn control(&self, arguments: &[&str]) -> Result<String> {
        let node = self.node.as_ref().context("rabbitmqctl knows only a broker of our own")?;
        let mut command = node.command(&node.script.with_file_name("rabbitmqctl"));
        command.args(["--quiet"]).args(arguments);
        let output = tokio::process::Command::from(command).kill_on_drop(true).output();
        let output = timeout(DEADLINE, output).await.context("rabbitmqctl does not end")??;
        let text = String::from_utf8(output.stdout)?;
        ensure!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        Ok(text)
    }

    /// How many consumers a queue or stream has. Only of a broker that was started here.
    pub async fn consumers(&self, name: &str) -> Result<usize> {
        let queues = self.control(&["list_queues", "name", "consumers"]).await?;
        let count = queues.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('\t')?.parse().ok());
        count.with_context(|| format!("{name} is not among {queues}"))
    }

    /// Publishes a message that nothing is bound to: waits until the broker has taken it and thrown it away.
    pub async fn publish_to_nobody(&self, exchange: &str, routing_key: &str) -> Result<()> {
        let connection = self.connect().await?;
        let channel = connection.create_channel().await?;
        answer(channel.confirm_select(ConfirmSelectOptions::default())).await?;
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let publishing =
            channel.basic_publish(exchange.into(), routing_key.into(), options, b"lost", properties);
        answer(answer(publishing).await?).await?;
        Ok(())
    }

    /// A publisher to one of its exchanges.
    pub fn publisher(&self, exchange: &str) -> Publisher {
        Publisher { url: self.url.clone(), exchange: exchange.to_owned(), line: None }
    }

    fn node(&self) -> Result<&Node> {
        self.node
            .as_ref()
            .with_context(|| format!("the broker of {URL_VARIABLE} is not ours to start or stop"))
    }

    fn node_mut(&mut self) -> Result<&mut Node> {
        self.node
            .as_mut()
            .with_context(|| format!("the broker of {URL_VARIABLE} is not ours to start or stop"))
    }
}

/// The place of a message in the stream that it was read from.
pub fn stream_offset(delivery: &Delivery) -> i64 {
    let headers = delivery.properties.headers().as_ref().map(FieldTable::inner);
    match headers.and_then(|headers| headers.get("x-stream-offset")) {
        Some(AMQPValue::LongLongInt(offset)) => *offset,
        other => panic!("no offset: {other:?}"),
    }
}

/// A message to publish.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Its routing key.
    pub routing_key: String,
    /// Its properties.
    pub properties: BasicProperties,
    /// Its body.
    pub body: Vec<u8>,
}

impl Outgoing {
    /// A message with a body and, so that it can be told from others, a message id.
    pub fn new(routing_key: &str, message_id: &str, body: impl Into<Vec<u8>>) -> Self {
        let properties = BasicProperties::default().with_message_id(message_id.into());
        Self { routing_key: routing_key.to_owned(), properties, body: body.into() }
    }
}

/// Publishes through everything that happens to the broker: mandatory, with confirms, and again what came back or
/// was not confirmed. So every message gets into the queues at least once; one whose confirm was lost, perhaps twice.
#[derive(Debug)]
pub struct Publisher {
    url: String,
    exchange: String,
    line: Option<(Connection, Channel)>,
}

impl Publisher {
    /// Returns when each message has been confirmed and none has come back.
    pub async fn publish(&mut self, messages: &[Outgoing]) -> Result<()> {
        let deadline = Instant::now() + DEADLINE;
        for window in messages.chunks(WINDOW) {
            let mut left: Vec<&Outgoing> = window.iter().collect();
            loop {
                left = self.try_publish(left).await;
                if left.is_empty() {
                    break;
                }
                ensure!(Instant::now() < deadline, "{} messages cannot be published", left.len());
                sleep(LOOK_EVERY).await;
            }
        }
        Ok(())
    }

    /// Publishes one message with a body.
    pub async fn publish_one(&mut self, routing_key: &str, message_id: &str, body: &[u8]) -> Result<()> {
        self.publish(&[Outgoing::new(routing_key, message_id, body)]).await
    }

    /// Publishes once; gives back, in order, what is not known to have got through.
    async fn try_publish<'a>(&mut self, messages: Vec<&'a Outgoing>) -> Vec<&'a Outgoing> {
        let Ok(channel) = self.channel().await else { return messages };
        let mut confirms = Vec::with_capacity(messages.len());
        for message in &messages {
            let publishing = channel.basic_publish(
                self.exchange.as_str().into(),
                message.routing_key.as_str().into(),
                BasicPublishOptions { mandatory: true, immediate: false },
                &message.body,
                message.properties.clone(),
            );
            match answer(publishing).await {
                Ok(confirm) => confirms.push(confirm),
                Err(_) => break,
            }
        }
        let deadline = Instant::now() + CONFIRM_MAX;
        let mut confirmed = Vec::with_capacity(messages.len());
        for confirm in confirms {
            confirmed.push(matches!(timeout_at(deadline, confirm).await, Ok(Ok(Confirmation::Ack(None)))));
        }
        confirmed.resize(messages.len(), false);
        // The state of an AMQP channel whose confirms do not come, on either end, is not to be trusted any more.
        if !channel.status().connected() || Instant::now() >= deadline {
            self.line = None;
        }
        messages
            .into_iter()
            .zip(confirmed)
            .filter(|(_, confirmed)| !confirmed)
            .map(|(message, _)| message)
            .collect()
    }

    async fn channel(&mut self) -> Result<Channel> {
        if let Some((_, channel)) = &self.line
            && channel.status().connected()
        {
            return Ok(channel.clone());
        }
        let connection = connect(&self.url).await?;
        let channel = answer(connection.create_channel()).await?;
        answer(channel.confirm_select(ConfirmSelectOptions::default())).await?;
        self.line = Some((connection, channel.clone()));
        Ok(channel)
    }
}

/// How a process is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    Terminate,
    Kill,
}

/// What the nodes of a cluster share: the cookie that lets them speak to each other, and who knows their ports.
#[derive(Debug)]
pub(crate) struct Home {
    dir: TempDir,
    epmd_port: u16,
    epmd: Child,
}

impl Home {
    pub(crate) fn prepare() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("tiercast-broker-home-").tempdir()?;
        let [epmd_port] = free_ports()?;
        // In the foreground and our child; the one that the broker would start stays behind as a daemon.
        let epmd = Command::new("epmd")
            .args(["-port", &epmd_port.to_string(), "-address", "127.0.0.1"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting epmd")?;
        Ok(Self { dir, epmd_port, epmd })
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        kill(&mut self.epmd);
    }
}

/// A broker process and what it needs.
#[derive(Debug)]
struct Node {
    port: u16,
    dist_port: u16,
    script: PathBuf,
    /// The Erlang machine itself: the start script replaces itself by it.
    process: Option<Child>,
    home: Arc<Home>,
    dir: TempDir,
}

impl Node {
    fn prepare(home: Arc<Home>, more_config: &str) -> Result<Self> {
        let script = SERVER_SCRIPTS.iter().map(Path::new).find(|path| path.exists());
        let script = script.with_context(|| format!("install rabbitmq-server, or set {URL_VARIABLE}"))?;
        let dir = tempfile::Builder::new().prefix("tiercast-broker-").tempdir()?;
        let [port, dist_port] = free_ports()?;
        let config =
            format!("listeners.tcp.local = 127.0.0.1:{port}\ndisk_free_limit.absolute = 1MB\n{more_config}");
        fs::write(dir.path().join("rabbitmq.conf"), config)?;
        fs::write(dir.path().join("rabbitmq-env.conf"), "")?;
        fs::write(dir.path().join("enabled_plugins"), "[].\n")?;
        Ok(Self { port, dist_port, script: script.to_owned(), process: None, home, dir })
    }

    fn name(&self) -> String {
        format!("tiercast-{}@localhost", self.port)
    }

    /// A program that is to find, or to be, this node.
    fn command(&self, program: &Path) -> Command {
        let dir = self.dir.path();
        let mut command = Command::new(program);
        command
            .env("HOME", self.home.dir.path())
            .env("RABBITMQ_NODENAME", self.name())
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_DIST_PORT", self.dist_port.to_string())
            .env("ERL_EPMD_PORT", self.home.epmd_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_CONFIG_FILE", dir.join("rabbitmq"))
            .env("RABBITMQ_CONF_ENV_FILE", dir.join("rabbitmq-env.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", dir.join("enabled_plugins"))
            .env("RABBITMQ_MNESIA_BASE", dir.join("mnesia"))
            .env("RABBITMQ_LOG_BASE", dir.join("log"))
            .env("RABBITMQ_PID_FILE", dir.join("pid"))
            // Idle schedulers would spin, on cores that the tests need.
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+sbwt none +sbwtdcpu none +sbwtdio none")
            // Makes the script replace itself by the server instead of waiting for it.
            .env("RUNNING_UNDER_SYSTEMD", "true")
            // A program that outlives its node's folder has nothing to tell.
            .env("ERL_CRASH_DUMP_BYTES", "0")
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null());
        command
    }

    fn spawn(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "the broker is running");
        let log = fs::OpenOptions::new().create(true).append(true).open(self.console())?;
        let process = self
            .command(&self.script)
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {}", self.script.display()))?;
        self.process = Some(process);
        Ok(())
    }

    async fn wait_until_ready(&mut self, url: &str) -> Result<()> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let Some(process) = &mut self.process else { bail!("the broker is not running") };
            if let Some(status) = process.try_wait()? {
                self.process = None;
                bail!("the broker ended with {status} while it started: {}", self.last_words());
            }
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.is_ok()
                && connect(url).await.is_ok()
            {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the broker does not start: {}", self.last_words());
            sleep(LOOK_EVERY).await;
        }
    }

    async fn end(&mut self, signal: Signal) -> Result<()> {
        let mut process = self.process.take().context("the broker is not running")?;
        if signal == Signal::Terminate {
            let pid = process.id().to_string();
            ensure!(
                Command::new("kill").args(["-TERM", &pid]).status()?.success(),
                "cannot signal the broker"
            );
            let deadline = Instant::now() + DEADLINE;
            while process.try_wait()?.is_none() {
                if Instant::now() > deadline {
                    process.kill()?;
                    process.wait()?;
                    bail!("the broker does not stop: {}", self.last_words());
                }
                sleep(LOOK_EVERY).await;
            }
        } else {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    fn copy_data(&self, from: &str, to: &str) -> Result<()> {
        ensure!(self.process.is_none(), "the broker is running");
        let (from, to) = (self.dir.path().join(from), self.dir.path().join(to));
        if to.exists() {
            fs::remove_dir_all(&to)?;
        }
        let status = Command::new("cp").arg("-a").args([&from, &to]).status()?;
        ensure!(status.success(), "cannot copy {}", from.display());
        Ok(())
    }

    fn console(&self) -> PathBuf {
        self.dir.path().join("console")
    }

    fn last_words(&self) -> String {
        let text = fs::read_to_string(self.console()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.process.iter_mut().for_each(kill);
    }
}

fn kill(process: &mut Child) {
    // An error means that the process has ended by itself.
    let _ = process.kill();
    let _ = process.wait();
}

/// Ports that are free now, and differ.
fn free_ports<const COUNT: usize>() -> Result<[u16; COUNT]> {
    let listeners: Vec<_> =
        (0..COUNT).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>()?;
    let ports: Vec<_> =
        listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect::<std::io::Result<_>>()?;
    ports.try_into().map_err(|_| anyhow!("not {COUNT} ports"))
}

async fn connect(url: &str) -> Result<Connection> {
    answer(Connection::connect(url, ConnectionProperties::default())).await
}

async fn answer<T>(request: impl Future<Output = lapin::Result<T>>) -> Result<T> {
    Ok(timeout(ANSWER_MAX, request).await.context("no answer from the broker")??)
}
