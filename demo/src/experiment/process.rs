//! A child process of the experiment: this very program in another role, spoken to in lines of JSON.

use std::process::Stdio;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{ChildStdin, ChildStdout, Command},
};

use super::Task;

/// A running child; killed when dropped.
pub(super) struct Child {
    process: tokio::process::Child,
    /// None once it was told to end.
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Child {
    /// Starts this program in another role.
    pub(super) fn start(role: &str, task: &Task) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut process = Command::new(program)
            .args([role, &serde_json::to_string(task)?])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start the process {role}"))?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            bail!("the process {role} has no input or output");
        };
        Ok(Self { process, input: Some(input), output: BufReader::new(output).lines() })
    }

    /// Tells it something.
    pub(super) async fn tell(&mut self, order: &impl Serialize) -> anyhow::Result<()> {
        let line = serde_json::to_string(order)? + "\n";
        let input = self.input.as_mut().context("a process of the experiment was told to end")?;
        input.write_all(line.as_bytes()).await.context("a process of the experiment has ended")
    }

    /// Reads its next line.
    pub(super) async fn line<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let line = self.output.next_line().await?.context("a process of the experiment has ended")?;
        serde_json::from_str(&line).with_context(|| format!("not understood: {line}"))
    }

    /// Stops it where it stands, or lets it go on.
    pub(super) fn freeze(&self, is_frozen: bool) -> anyhow::Result<()> {
        let signal = if is_frozen { Signal::STOP } else { Signal::CONT };
        let pid = self.process.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Ok(kill_process(pid.context("a process of the experiment has ended")?, signal)?)
    }

    /// Kills it (SIGKILL).
    pub(super) async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.process.kill().await?)
    }

    /// Lets it end well.
    pub(super) async fn end(&mut self) -> anyhow::Result<()> {
        self.input = None;
        let status = self.process.wait().await?;
        if !status.success() {
            bail!("a process of the experiment ended with {status}");
        }
        Ok(())
    }
}

/// What this process is told.
pub(super) fn words() -> Lines<BufReader<tokio::io::Stdin>> {
    BufReader::new(tokio::io::stdin()).lines()
}
