//! The program: what it says when it cannot do what it was asked.

use std::{
    net::SocketAddr,
    process::{Output, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpSocket},
    process::Command,
    time::timeout,
};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-client"));
    command.args(arguments).env_remove("RUST_LOG").stdin(Stdio::null()).kill_on_drop(true);
    command
}

async fn run(arguments: &[&str]) -> Result<(Output, String)> {
    let output = timeout(PATIENCE, command(arguments).output()).await.context("it does not end")??;
    let stderr = String::from_utf8(output.stderr.clone())?;
    Ok((output, stderr))
}

/// An address at which nobody listens, and nobody else can as long as the socket is kept.
fn closed_port() -> Result<(TcpSocket, SocketAddr)> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

/// Answers the next request with this status line and nothing more.
async fn answer(listener: &TcpListener, status: &str) -> Result<()> {
    let (mut stream, _) = timeout(PATIENCE, listener.accept()).await.context("nobody came")??;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await?;
    Ok(())
}

#[tokio::test]
async fn an_address_that_cannot_be_one_is_not_blamed_on_the_server() -> Result<()> {
    let cases = [
        ("ftp://h/x", "ws://127.0.0.1:8780/v1/ws"),
        ("h:99999", "ws://127.0.0.1:8780/v1/ws"),
        ("wss://h/v1/ws", "speaks ws:// only"),
        ("https://h", "TLS proxy"),
    ];
    for (url, words) in cases {
        for subcommand in ["subscribe", "swarm"] {
            let (output, stderr) = run(&[subcommand, url, "builds"]).await?;
            ensure!(output.status.code() == Some(2) && stderr.contains(words), "{url}: {stderr}");
            ensure!(!stderr.contains("refuse"), "{url}: {stderr}");
        }
    }
    Ok(())
}

/// Runs it with an output that nobody reads, and whatever it says to nobody.
async fn run_unread(arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let (_, writer) = std::io::pipe()?;
    let child = command(arguments).stdout(writer).stderr(Stdio::piped()).spawn()?;
    let output = timeout(PATIENCE, child.wait_with_output()).await.context("it does not end")??;
    Ok((output.status.code(), String::from_utf8(output.stderr)?))
}

#[tokio::test]
async fn regression_output_that_nobody_reads_is_a_silent_end() -> Result<()> {
    let (_socket, address) = closed_port()?;
    let address = address.to_string();
    let cases: [&[&str]; 5] = [
        &["subscribe", &address, "builds", "--quiet"],
        &["swarm", &address, "builds", "--peers", "1", "--json"],
        &["--help"],
        &["subscribe", "--help"],
        &["--version"],
    ];
    for arguments in cases {
        let (code, said) = run_unread(arguments).await?;
        ensure!(code == Some(0) && said.is_empty(), "{arguments:?}: {code:?} {said}");
    }
    Ok(())
}

#[tokio::test]
async fn regression_a_status_that_nobody_reads_is_no_mistake() -> Result<()> {
    let (_socket, address) = closed_port()?;
    let address = address.to_string();
    for arguments in [["subscribe", &address, "builds"], ["swarm", &address, "builds"]] {
        let (_, writer) = std::io::pipe()?;
        let mut child = command(&arguments).stdout(writer.try_clone()?).stderr(writer).spawn()?;
        let status = timeout(PATIENCE, child.wait()).await.context("it does not end")??;
        ensure!(status.code() == Some(0), "{arguments:?}: {status}");
    }
    Ok(())
}

#[tokio::test]
async fn regression_what_cannot_work_is_an_error_at_once() -> Result<()> {
    let cases: [(&[&str], &str); 6] = [
        (
            &["subscribe", "foo", "builds"],
            "`foo` has no port: write an address such as ws://127.0.0.1:8780/v1/ws",
        ),
        (&["subscribe", "::::", "builds"], "write an address such as ws://127.0.0.1:8780/v1/ws"),
        (&["subscribe", "wss://h/v1/ws", "builds"], "speaks ws:// only"),
        (&["swarm", "nonsense", "builds"], "`nonsense` has no port"),
        (&["swarm", "h:1", "builds", "--peers", "0"], "invalid value '0' for '--peers <N>'"),
        (
            &["subscribe", "h:1", "builds", "--since", "yesterday"],
            "write `now`, `earliest`, or the position of the last event that is there, such as 7331243921334-41",
        ),
    ];
    for (arguments, words) in cases {
        let (output, stderr) = run(arguments).await?;
        ensure!(output.status.code() == Some(2) && stderr.contains(words), "{arguments:?}: {stderr}");
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_with_the_remedy() -> Result<()> {
    let (_socket, address) = closed_port()?;
    let mut child = command(&["subscribe", &address.to_string(), "builds"]).stderr(Stdio::piped()).spawn()?;
    let mut stderr = BufReader::new(child.stderr.take().context("stderr is piped")?).lines();
    let line = timeout(PATIENCE, stderr.next_line()).await??.context("it ended")?;
    for words in [&format!("ws://{address}/v1/ws"), "is the signaling server running there?", "trying again"]
    {
        ensure!(line.contains(words), "{words} is not in {line}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_tried_in_vain_is_said_once_and_an_end_with_its_own_words() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("ws://{}/v1/ws", listener.local_addr()?);
    let child = command(&["subscribe", &url, "builds"]).stderr(Stdio::piped()).spawn()?;
    for _ in 0..3 {
        answer(&listener, "503 Service Unavailable").await?;
    }
    answer(&listener, "404 Not Found").await?;
    let output = timeout(PATIENCE, child.wait_with_output()).await.context("it does not end")??;
    let stderr = String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(2), "{stderr}");
    let lines: Vec<_> = stderr.lines().collect();
    ensure!(lines.len() == 2, "{stderr}");
    ensure!(
        lines[0].contains(&url) && lines[0].contains("503") && lines[0].contains("trying again"),
        "{stderr}"
    );
    ensure!(lines[1].starts_with(&format!("error: {url} answers 404")), "{stderr}");
    Ok(())
}

#[tokio::test]
async fn regression_a_key_that_is_refused_is_told_with_the_remedy_and_not_shown() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let url = format!("{address}?key=hunter2");
    let child = command(&["subscribe", &url, "builds"]).stderr(Stdio::piped()).spawn()?;
    answer(&listener, "503 Service Unavailable").await?;
    answer(&listener, "401 Unauthorized").await?;
    let output = timeout(PATIENCE, child.wait_with_output()).await.context("it does not end")??;
    let stderr = String::from_utf8(output.stderr)?;
    let shown = format!("ws://{address}/v1/ws?key=***");
    ensure!(output.status.code() == Some(2) && stderr.matches(&shown).count() == 2, "{stderr}");
    ensure!(stderr.contains("answers 401") && stderr.contains("give a key that is valid"), "{stderr}");
    ensure!(!stderr.contains("hunter2"), "{stderr}");
    Ok(())
}

#[tokio::test]
async fn a_log_that_goes_into_a_pipe_has_no_colours() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = listener.local_addr()?.to_string();
    let mut swarm = command(&["swarm", &url, "builds", "--peers", "1"]);
    let mut child = swarm.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    answer(&listener, "404 Not Found").await?;
    let mut stderr = BufReader::new(child.stderr.take().context("stderr is piped")?).lines();
    loop {
        let line = timeout(PATIENCE, stderr.next_line()).await??.context("it ended")?;
        ensure!(!line.contains('\x1b'), "{line:?}");
        if line.contains("a peer cannot go on") {
            return Ok(());
        }
    }
}

#[tokio::test]
async fn a_swarm_says_why_nobody_is_connected_and_fails_if_nobody_ever_was() -> Result<()> {
    let (_socket, address) = closed_port()?;
    let address = address.to_string();
    let (output, stderr) = run(&["swarm", &address, "builds", "--peers", "3", "--seconds", "2"]).await?;
    let line = stderr.lines().find(|line| line.contains("3 not connected: ")).context("it did not say")?;
    ensure!(line.contains(&address), "{line}");
    ensure!(stderr.contains("failed: no peer was ever connected"), "{stderr}");
    ensure!(output.status.code() == Some(1), "{}", output.status);
    Ok(())
}
