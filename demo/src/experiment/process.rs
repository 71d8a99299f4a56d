//! A child process of the experiment: this very program in another role, spoken to in lines.

use std::process::Stdio;

use anyhow::{Context, bail};
use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{ChildStdin, ChildStdout, Command},
};

use super::Task;

/// A running child; killed when dropped.
pub(super) struct Child {
    process: tokio::process::Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Child {
    /// Starts this program in another role.
    pub(super) async fn start(role: &str, task: &Task) -> anyhow::Result<Self> {
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
        Ok(Self { process, input, output: BufReader::new(output).lines() })
    }

    /// Says a word to it.
    pub(super) async fn tell(&mut self, word: &str) -> anyhow::Result<()> {
        self.input
            .write_all(format!("{word}\n").as_bytes())
            .await
            .context("a process of the experiment has ended")
    }

    /// Reads its next line.
    pub(super) async fn line<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let line = self.output.next_line().await?.context("a process of the experiment has ended")?;
        serde_json::from_str(&line).with_context(|| format!("not understood: {line}"))
    }

    /// Waits for its end.
    pub(super) async fn end(mut self) -> anyhow::Result<()> {
        drop(self.input);
        let status = self.process.wait().await?;
        if !status.success() {
            bail!("a process of the experiment ended with {status}");
        }
        Ok(())
    }
}

/// The words that this process is told.
pub(super) fn words() -> Lines<BufReader<tokio::io::Stdin>> {
    BufReader::new(tokio::io::stdin()).lines()
}
