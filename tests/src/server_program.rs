//! The server as a program of its own, which can be killed for real and measured from outside.

use std::{
    fmt::Write,
    net::{SocketAddr, TcpListener},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tiercast_platform::Usage;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep},
};

use crate::{
    http_publisher::{API_KEY, HttpPublisher},
    listener::PATIENCE,
    programs::program,
};

/// Time between two looks at something that has no event to wait for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A server. Killed when this is dropped.
#[derive(Debug)]
pub struct ServerProgram {
    /// Where it listens.
    pub addr: SocketAddr,
    folder: TempDir,
    process: Option<Child>,
}

impl ServerProgram {
    /// Starts one with this configuration (TOML), beside the address and a key; waits until it is ready.
    pub async fn start(config: &str) -> Result<Self> {
        let addr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let folder = tempfile::tempdir()?;
        let mut text = format!("listen = \"{addr}\"\napi_keys = [\"{API_KEY}\"]\nlog = \"warn,lapin=off\"\n");
        writeln!(text, "{config}")?;
        std::fs::write(folder.path().join("server.toml"), text)?;
        let mut server = Self { addr, folder, process: None };
        server.start_again().await?;
        Ok(server)
    }

    /// Starts it at its old address.
    pub async fn start_again(&mut self) -> Result<()> {
        let mut command = Command::new(program("signaling-server")?);
        command.env_clear().arg("--config").arg(self.folder.path().join("server.toml"));
        self.process = Some(command.stdout(Stdio::null()).kill_on_drop(true).spawn()?);
        let deadline = Instant::now() + PATIENCE;
        while self.get("/readyz").await.is_err() {
            let ended = self.process.as_mut().and_then(|process| process.try_wait().transpose());
            ensure!(ended.is_none(), "the server has ended: {ended:?}");
            ensure!(Instant::now() < deadline, "the server is not ready");
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Kills it (SIGKILL).
    pub async fn kill(&mut self) -> Result<()> {
        Ok(self.process.take().context("it does not run")?.kill().await?)
    }

    /// What it has used so far.
    pub fn usage(&self) -> Result<Usage> {
        let id = self.process.as_ref().and_then(Child::id).context("it does not run")?;
        Usage::of(id).context("the system does not say what a process uses")
    }

    /// Bytes that the kernel holds in the send queues of its connections.
    pub fn queued_bytes(&self) -> Result<u64> {
        let port = format!(":{:04X}", self.addr.port());
        let table = std::fs::read_to_string("/proc/net/tcp")?;
        let queues = table.lines().filter_map(|line| {
            let mut fields = line.split_ascii_whitespace().skip(1);
            let (local, _, _, queues) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
            u64::from_str_radix(queues.split(':').next().filter(|_| local.ends_with(&port))?, 16).ok()
        });
        Ok(queues.sum())
    }

    /// The sum of a metric, whatever its labels.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let page = self.get("/metrics").await?;
        let values = page.lines().filter_map(|line| {
            let rest = line.strip_prefix("tiercast_")?.strip_prefix(name)?;
            let value = rest
                .strip_prefix(' ')
                .or_else(|| rest.strip_prefix('{')?.split_once("} ").map(|(_, value)| value));
            value?.parse::<f64>().ok()
        });
        let values: Vec<_> = values.collect();
        ensure!(!values.is_empty(), "there is no metric {name}");
        Ok(values.iter().sum())
    }

    async fn get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.addr).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.addr);
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        Ok(answer)
    }

    /// A connection on which batches of events are published to a channel.
    pub async fn publisher(&self, channel: &str) -> Result<HttpPublisher> {
        HttpPublisher::connect(self.addr, &format!("/v1/publish/{channel}/batch")).await
    }
}

/// Lines of a configuration: a channel that is fed by an exchange, at the first of these brokers that answers.
pub fn broker_config(brokers: &[&str], channel: &str, exchange: &str, mode: &str) -> String {
    format!(
        "amqp.url = {brokers:?}\nchannels = [{{ name = \"{channel}\", source = \"amqp\", mode = \"{mode}\", \
         bindings = [{{ exchange = \"{exchange}\", patterns = [\"#\"] }}] }}]\n"
    )
}
