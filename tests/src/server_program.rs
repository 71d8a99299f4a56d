//! The server as a program of its own, which can be killed for real and measured from outside.

use std::{
    convert::Infallible,
    fmt::Write,
    net::{Ipv4Addr, SocketAddr},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Error, Result, anyhow, ensure};
use tempfile::TempDir;
use tiercast_platform::Usage;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStderr, Command},
    time::{sleep, timeout},
};

use crate::{
    http_publisher::{API_KEY, HttpPublisher},
    listener::PATIENCE,
    programs::program,
};

/// What it logs: beside what is wrong, where it listens.
const LOG: &str = "warn,lapin=off,tiercast_signaling_server::server=info";

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
        let folder = tempfile::tempdir()?;
        let mut text = format!("api_keys = [\"{API_KEY}\"]\nlog = \"{LOG}\"\n");
        writeln!(text, "{config}")?;
        std::fs::write(folder.path().join("server.toml"), text)?;
        // It says itself which port it has got.
        let mut server = Self { addr: (Ipv4Addr::LOCALHOST, 0).into(), folder, process: None };
        server.start_again().await?;
        Ok(server)
    }

    /// Starts it at its old address.
    pub async fn start_again(&mut self) -> Result<()> {
        let mut command = Command::new(program("signaling-server")?);
        command.env_clear().arg("--config").arg(self.folder.path().join("server.toml"));
        command.args(["--listen", &self.addr.to_string()]);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut log = Log::of(self.process.insert(command.spawn()?))?;
        self.addr = timeout(PATIENCE, log.address()).await.context("the server does not start")??;
        tokio::select! {
            Err(ended) = log.pass_on() => return Err(ended),
            ready = timeout(PATIENCE, self.ready()) => ready.context("the server is not ready")?,
        }
        tokio::spawn(async move { log.pass_on().await });
        Ok(())
    }

    async fn ready(&self) {
        while self.get("/readyz").await.is_err() {
            sleep(LOOK_EVERY).await;
        }
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

/// What the program says, passed on to the test's own output.
struct Log {
    lines: Lines<BufReader<ChildStderr>>,
    said: String,
}

impl Log {
    fn of(process: &mut Child) -> Result<Self> {
        let stderr = process.stderr.take().context("stderr is piped")?;
        Ok(Self { lines: BufReader::new(stderr).lines(), said: String::new() })
    }

    /// Where the server listens.
    async fn address(&mut self) -> Result<SocketAddr> {
        loop {
            let line = self.line().await?;
            let address = line.split_once("started addr=").and_then(|(_, rest)| rest.split(' ').next());
            if let Some(address) = address {
                return Ok(address.parse()?);
            }
        }
    }

    /// Until the server has ended.
    async fn pass_on(&mut self) -> Result<Infallible> {
        loop {
            self.line().await?;
        }
    }

    /// The next line; after the last one, that the server has ended, and all that it said.
    async fn line(&mut self) -> Result<String> {
        let line = self.lines.next_line().await?.ok_or_else(|| self.ended())?;
        eprintln!("{line}");
        writeln!(self.said, "{line}")?;
        Ok(line)
    }

    fn ended(&self) -> Error {
        anyhow!("the server has ended: {}", self.said)
    }
}
