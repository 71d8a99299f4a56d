//! The programs under test, as they were built beside the tests.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::ChildStderr,
    time::timeout,
};

use crate::listener::PATIENCE;

/// A program of this workspace: `cargo build --workspace --bins` with the tests' profile puts it beside them.
pub fn program(name: &str) -> Result<PathBuf> {
    let tests = std::env::current_exe()?;
    let folder = tests.parent().and_then(|deps| deps.parent()).context("tests run from a target folder")?;
    let program = folder.join(name);
    ensure!(
        program.exists(),
        "{} is missing: build it with `cargo build --workspace --bins`",
        program.display()
    );
    Ok(program)
}

/// Runs an experiment and gives its figures. Its progress goes to the test's output.
pub fn experiment(arguments: &[&str]) -> Result<Value> {
    let output =
        Command::new(program("tiercast-demo")?).arg("experiment").args(arguments).arg("--json").output()?;
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{arguments:?}: {stdout}");
    ensure!(output.status.success(), "{}: {stdout}\n{stderr}", output.status);
    Ok(serde_json::from_str(&stdout)?)
}

/// The server's program, running. Killed when dropped.
pub struct ServerProgram {
    /// Where it listens.
    pub addr: SocketAddr,
    child: Child,
}

impl ServerProgram {
    /// Starts it and waits until it listens.
    pub async fn start(listen: SocketAddr, arguments: &[String]) -> Result<Self> {
        let mut child = Command::new(program("signaling-server")?)
            .args(["--listen", &listen.to_string()])
            .args(arguments)
            .env_clear()
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let log = ChildStderr::from_std(child.stderr.take().context("stderr is piped")?)?;
        let mut program = Self { addr: listen, child };
        let mut log = BufReader::new(log).lines();
        program.addr = timeout(PATIENCE, addr_in(&mut log)).await.context("it does not start")??;
        // It must not wait for somebody to read what it says.
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        Ok(program)
    }

    /// Ends it as `kill -9` does, and says where it was.
    pub fn kill(mut self) -> Result<SocketAddr> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(self.addr)
    }
}

impl Drop for ServerProgram {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address that it says it listens at.
async fn addr_in(log: &mut Lines<BufReader<ChildStderr>>) -> Result<SocketAddr> {
    let mut said = Vec::new();
    while let Some(line) = log.next_line().await? {
        if let Some((_, rest)) = line.split_once("addr=") {
            return Ok(rest.split(' ').next().unwrap_or_default().parse()?);
        }
        said.push(line);
    }
    bail!("the server's program ended: {said:?}")
}
