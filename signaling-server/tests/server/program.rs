//! The program: how it starts, what it says, how it ends.

use std::{
    net::SocketAddr,
    process::{Output, Stdio},
};

use anyhow::{Context, bail, ensure};
use tiercast_codec::{Position, Since};
use tiercast_signaling_server::epoch::new_epoch;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, Command},
    time::timeout,
};

use crate::{
    client::{Client, PATIENCE, Received},
    http_client,
};

/// The program, running. Killed when dropped.
pub struct Program {
    pub addr: SocketAddr,
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    /// What it has said so far, as far as somebody listened.
    heard: Vec<String>,
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signaling-server"));
    command.args(args).env_clear().kill_on_drop(true);
    command
}

async fn run(args: &[&str], variables: &[(&str, &str)]) -> anyhow::Result<Output> {
    let mut command = command(args);
    command.envs(variables.iter().copied());
    Ok(timeout(PATIENCE, command.output()).await??)
}

impl Program {
    /// Starts it on a free port and waits until it listens.
    pub async fn start(args: &[&str]) -> anyhow::Result<Self> {
        let mut child = command(args)
            .args(["--listen", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        let stderr = child.stderr.take().context("stderr is piped")?;
        let mut log = BufReader::new(stderr).lines();
        let started = async {
            loop {
                let line = log.next_line().await?.context("the program ended")?;
                if let Some((_, rest)) = line.split_once("addr=") {
                    let addr = rest.split(' ').next().unwrap_or_default();
                    return anyhow::Ok(addr.parse::<SocketAddr>()?);
                }
            }
        };
        let addr = timeout(PATIENCE, started).await??;
        Ok(Self { addr, child, log, heard: Vec::new() })
    }

    /// The next line of its log that has these words.
    pub async fn line_with(&mut self, words: &str) -> anyhow::Result<String> {
        let found = async {
            loop {
                let line = self.log.next_line().await?.context("the program ended")?;
                self.heard.push(line.clone());
                if line.contains(words) {
                    return Ok(line);
                }
            }
        };
        timeout(PATIENCE, found).await.with_context(|| format!("it never said `{words}`"))?
    }
}

impl Program {
    /// The lines of its log that were passed over or found since it listens.
    pub fn heard(&self) -> &[String] {
        &self.heard
    }

    /// Ends it as `kill -9` does.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        Ok(timeout(PATIENCE, self.child.kill()).await??)
    }
}

#[tokio::test]
async fn without_any_configuration_it_prints_how_to_publish_and_ends_well() -> anyhow::Result<()> {
    let mut program = Program::start(&[]).await?;
    let line = program.line_with("Bearer ").await?;
    let after = line.split_once("Bearer ").and_then(|(_, rest)| rest.split_once('\''));
    let authorization = format!("Bearer {}", after.context("no key was printed")?.0);
    let mut client = Client::subscribed(program.addr, Since::Now).await?;
    let headers = [("authorization", authorization.as_str())];
    let answer = http_client::request(program.addr, "POST", "/v1/publish/events", &headers, b"hello").await?;
    ensure!(answer.status == 200, "{answer:?}");
    ensure!(client.events(1).await?[0].message.body == "hello");

    let id = program.child.id().context("it runs")?;
    ensure!(Command::new("kill").args(["-TERM", &id.to_string()]).status().await?.success());
    ensure!(client.closed().await?.0 == tiercast_codec::Code::SHUTDOWN);
    drop(client);
    ensure!(timeout(PATIENCE, program.child.wait()).await??.code() == Some(0));
    Ok(())
}

#[tokio::test]
async fn checking_a_configuration_says_ok_or_everything_that_is_wrong() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("tiercast.toml");
    let file = path.to_str().context("a path in UTF-8")?;
    std::fs::write(&path, "listen = \"127.0.0.1:9000\"\napi_keys = [\"a-secret-key\"]\n")?;
    let good = run(&["--config", file, "--check-config"], &[]).await?;
    let text = String::from_utf8(good.stdout)?;
    ensure!(good.status.code() == Some(0) && text.starts_with("ok: listen 127.0.0.1:9000"), "{text}");
    ensure!(!text.contains("a-secret-key"));

    std::fs::write(&path, "lisen = \"127.0.0.1:9000\"\n[hub]\nheartbeat_ms = 1\n")?;
    let flags = ["--config", file, "--check-config", "--listen", "nowhere", "--set", "hub.link_tries=0"];
    let bad = run(&flags, &[("TIERCAST_LOG", "loud=very")]).await?;
    let text = String::from_utf8(bad.stderr)?;
    ensure!(bad.status.code() == Some(2), "{text}");
    ensure!(text.contains("lisen: unknown key; the nearest known key is `listen`"), "{text}");
    ensure!(
        text.contains("hub.heartbeat_ms: 1 is out of bounds") && text.contains("tiercast.toml"),
        "{text}"
    );
    for other in ["listen: `nowhere`", "--set: hub.link_tries: 0", "log: `loud=very`"] {
        ensure!(text.contains(other), "{other} is not in\n{text}");
    }

    let bad = run(&["--check-config"], &[("TIERCAST_HUB__HEARTBEAT_MS", "soon")]).await?;
    let text = String::from_utf8(bad.stderr)?;
    ensure!(bad.status.code() == Some(2) && text.contains("TIERCAST_HUB__HEARTBEAT_MS"), "{text}");
    Ok(())
}

/// A pipe that nobody reads.
fn unread_pipe() -> anyhow::Result<Stdio> {
    let (_, writer) = std::io::pipe()?;
    Ok(writer.into())
}

#[tokio::test]
async fn regression_output_that_nobody_reads_is_no_mistake() -> anyhow::Result<()> {
    for flag in ["--check-config", "--help", "--version"] {
        let child = command(&[flag]).stdout(unread_pipe()?).stderr(Stdio::piped()).spawn()?;
        let output = timeout(PATIENCE, child.wait_with_output()).await??;
        let said = String::from_utf8(output.stderr)?;
        ensure!(output.status.code() == Some(0) && said.is_empty(), "{flag}: {:?} {said}", output.status);
    }
    Ok(())
}

#[tokio::test]
async fn regression_a_server_whose_log_nobody_reads_goes_on() -> anyhow::Result<()> {
    let mut program = Program::start(&["--log", "debug"]).await?;
    drop(program.log);
    // Whatever this logs, it finds nobody to read it.
    let mut client = Client::subscribed(program.addr, Since::Now).await?;
    let id = program.child.id().context("it runs")?;
    ensure!(Command::new("kill").args(["-TERM", &id.to_string()]).status().await?.success());
    ensure!(client.closed().await?.0 == tiercast_codec::Code::SHUTDOWN);
    drop(client);
    let status = timeout(PATIENCE, program.child.wait()).await??;
    ensure!(status.code() == Some(0), "{status}");
    Ok(())
}

#[tokio::test]
async fn regression_a_server_whose_log_is_not_read_answers_and_says_what_was_lost() -> anyhow::Result<()> {
    let program = Program::start(&["--set", "log_lines=16"]).await?;
    // More lines than a pipe holds: one for each.
    let nowhere = format!("/{}", "x".repeat(150));
    for _ in 0..600 {
        ensure!(http_client::get(program.addr, &nowhere, &[]).await?.status == 404);
    }
    let metrics = http_client::get(program.addr, "/metrics", &[]).await?.body;
    let lost = metrics.lines().find_map(|line| line.strip_prefix("tiercast_log_lines_lost_total "));
    let lost: u64 = lost.context("no such metric")?.parse()?;
    ensure!((1..600).contains(&lost), "{lost} lines lost");
    Ok(())
}

#[tokio::test]
async fn help_shows_examples() -> anyhow::Result<()> {
    let text = String::from_utf8(run(&["--help"], &[]).await?.stdout)?;
    for word in ["Examples:", "--check-config", "TIERCAST_", "--config tiercast.toml"] {
        ensure!(text.contains(word), "{word} is not in\n{text}");
    }
    Ok(())
}

/// Runs a program that cannot start: it says why once, and what to do.
async fn fails_to_start(args: &[&str], why: &str, remedy: &str) -> anyhow::Result<()> {
    let output = run(args, &[]).await?;
    let text = String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(2), "{text}");
    ensure!(text.starts_with("error: ") && text.contains(remedy), "{text}");
    ensure!(text.matches(why).count() == 1, "{text}");
    Ok(())
}

#[tokio::test]
async fn an_address_in_use_is_said_once_with_the_remedy() -> anyhow::Result<()> {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = taken.local_addr()?.to_string();
    fails_to_start(&["--listen", &address], "in use", "stop what listens there").await
}

#[tokio::test]
async fn a_missing_key_file_is_said_once_with_the_remedy() -> anyhow::Result<()> {
    let args = ["--listen", "127.0.0.1:0", "--set", "signing_key_file=/nowhere/key"];
    fails_to_start(&args, "No such file", "signing_key_create = true").await
}

#[tokio::test]
async fn a_missing_database_of_locations_is_said_at_the_start_and_when_the_configuration_is_checked()
-> anyhow::Result<()> {
    let args = ["--listen", "127.0.0.1:0", "--set", "geo_database_file=/nowhere/cities.mmdb"];
    let remedy = "leave geo_database_file out";
    fails_to_start(&args, "No such file", remedy).await?;
    fails_to_start(&[&args[..], &["--check-config"]].concat(), "No such file", remedy).await
}

#[tokio::test]
async fn events_of_an_unknown_format_are_said_once_with_the_remedy() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("format"), "something else")?;
    let set = format!("data_dir={}", folder.path().display());
    let remedy = "use the version that wrote it";
    fails_to_start(&["--listen", "127.0.0.1:0", "--set", &set], "`something else`", remedy).await
}

#[tokio::test]
async fn a_second_server_on_the_same_events_is_said_once_with_the_remedy() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let set = format!("data_dir={}", folder.path().display());
    let _first = Program::start(&["--set", &set]).await?;
    let args = ["--listen", "127.0.0.1:0", "--set", &set];
    fails_to_start(&args, "in use by another server", "choose another folder").await
}

#[tokio::test]
async fn a_damaged_state_is_said_once_with_the_remedy() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("events.epoch"), "soon")?;
    let set = format!("state_dir={}", folder.path().display());
    fails_to_start(&["--listen", "127.0.0.1:0", "--set", &set], "expected an epoch", "delete it").await
}

#[tokio::test]
async fn regression_an_embedded_channel_begins_a_later_epoch_although_the_clock_was_set_back()
-> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (set, kept) = (format!("state_dir={}", folder.path().display()), folder.path().join("events.epoch"));
    // As if the last start had been in a year from now.
    let last = new_epoch() + ((365 * 86_400 * 1_000) << 12);
    std::fs::write(&kept, last.to_string())?;
    let args = ["--set", &set, "--set", "api_keys=a-secret-key"];
    let program = Program::start(&args).await?;
    // One who had not read everything then.
    let since = Since::Position(Position::new(last, 41));
    let mut client = Client::subscribed(program.addr, since).await?;
    let headers = [("authorization", "Bearer a-secret-key")];
    let answer = http_client::request(program.addr, "POST", "/v1/publish/events", &headers, b"hello").await?;
    ensure!(answer.status == 200, "{answer:?}");
    let Received::Gap(gap) = client.receive().await? else { bail!("no gap") };
    ensure!(gap.from == Position::new(last, 41) && gap.to == Position::new(last + 1, -1), "{gap:?}");
    ensure!(client.events(1).await?[0].message.body == "hello");
    ensure!(std::fs::read_to_string(&kept)?.trim() == (last + 1).to_string());
    Ok(())
}

#[tokio::test]
async fn a_server_to_which_nobody_may_publish_says_so() -> anyhow::Result<()> {
    let mut program = Program::start(&["--set", "api_keys="]).await?;
    program.line_with("Nobody may publish: set api_keys").await?;
    Ok(())
}
