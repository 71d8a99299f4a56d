//! The program: what it says, and where.

use std::{
    process::{Output, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::{interval, timeout},
};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tiercast-demo"));
    command.args(arguments).env_remove("RUST_LOG").stdin(Stdio::null()).kill_on_drop(true);
    command
}

async fn run(arguments: &[&str]) -> Result<(Output, String, String)> {
    let output = demo(arguments).output().await?;
    let (stdout, stderr) = (output.stdout.clone(), output.stderr.clone());
    Ok((output, String::from_utf8(stdout)?, String::from_utf8(stderr)?))
}

/// A demo that runs, and its HTTP side.
struct Running {
    /// Ends with this.
    _child: Child,
    address: String,
}

impl Running {
    async fn start(arguments: &[&str]) -> Result<Self> {
        let mut program = demo(arguments);
        program.args(["--listen", "127.0.0.1:0"]).env("RUST_LOG", "warn").stdout(Stdio::piped());
        let mut child = program.spawn()?;
        let mut stdout = BufReader::new(child.stdout.take().context("stdout is piped")?).lines();
        let line = timeout(PATIENCE, stdout.next_line()).await??.context("the demo ended")?;
        let address = line.split('/').nth(2).context("no address")?.to_owned();
        Ok(Self { _child: child, address })
    }

    /// Sends a request with these headers beside those that it needs; gives the status and the answer.
    async fn request(&self, line: &str, headers: &[(&str, &str)], body: &str) -> Result<(u16, Value)> {
        let mut request =
            format!("{line} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| *name == "host") {
            request += &format!("host: {}\r\n", self.address);
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        let mut stream = TcpStream::connect(&self.address).await?;
        stream.write_all(format!("{request}\r\n{body}").as_bytes()).await?;
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await??;
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        Ok((status, serde_json::from_str(body)?))
    }

    async fn native_peers(&self) -> Result<Value> {
        let (status, state) = self.request("GET /demo/state", &[], "").await?;
        ensure!(status == 200, "{state}");
        Ok(state["native_peers"].clone())
    }

    /// Waits until there is a relay that could be killed.
    async fn until_somebody_relays(&self) -> Result<()> {
        let looking = async {
            let mut often = interval(Duration::from_millis(40));
            loop {
                often.tick().await;
                let (_, tree) = self.request("GET /v1/topology/builds", &[], "").await?;
                let peers = tree["peers"].as_array().context("no tree")?;
                if peers.iter().any(|peer| peer["place"] == "child") {
                    return Ok(());
                }
            }
        };
        timeout(PATIENCE, looking).await?
    }
}

#[tokio::test]
async fn regression_another_web_site_cannot_operate_the_demo() -> Result<()> {
    let demo = Running::start(&["--peers", "4", "--tier1", "1", "--rate", "1"]).await?;
    demo.until_somebody_relays().await?;
    // A form and a fetch need no preflight for this; a name that points here makes the site the demo's own.
    let sites: [&[(&str, &str)]; 4] = [
        &[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[
            ("host", "evil.example:8780"),
            ("origin", "http://evil.example:8780"),
            ("sec-fetch-site", "same-origin"),
        ],
    ];
    for headers in sites {
        let (status, answer) = demo.request("POST /demo/kill", headers, "").await?;
        ensure!(status == 403, "{headers:?}: {status} {answer}");
        ensure!(answer["fix"].as_str().is_some_and(|fix| fix.contains("http://127.0.0.1")), "{answer}");
        ensure!(demo.native_peers().await? == 4, "{headers:?}");
    }
    let own = format!("http://{}", demo.address);
    let own_page = [("origin", own.as_str()), ("sec-fetch-site", "same-origin")];
    let (status, answer) = demo.request("POST /demo/kill", &own_page, "").await?;
    ensure!(status == 200 && answer["native_peers"] == 3, "{answer}");
    Ok(())
}

#[tokio::test]
async fn a_shell_operates_the_demo_and_a_site_does_none_of_it() -> Result<()> {
    let demo = Running::start(&["--peers", "0"]).await?;
    let json = ("content-type", "application/json");
    for (line, body) in [("POST /demo/peers", r#"{"add":1}"#), ("POST /demo/rate", r#"{"rate_per_s":7}"#)] {
        let site = [json, ("origin", "https://evil.example")];
        ensure!(demo.request(line, &site, body).await?.0 == 403, "{line}");
        let (status, answer) = demo.request(line, &[json], body).await?;
        ensure!(status == 200, "{line}: {answer}");
    }
    ensure!(demo.native_peers().await? == 1);
    // No relay to be killed: that is the answer, and not that nobody may.
    ensure!(demo.request("POST /demo/kill", &[], "").await?.0 == 409);
    Ok(())
}

#[tokio::test]
async fn regression_as_many_peers_come_as_there_is_room_for() -> Result<()> {
    let demo = Running::start(&["--peers", "197", "--rate", "1"]).await?;
    let json = [("content-type", "application/json")];
    let (status, answer) = demo.request("POST /demo/peers", &json, r#"{"add":10}"#).await?;
    ensure!(status == 200, "{answer}");
    ensure!(answer == json!({ "added": 3, "removed": 0, "native_peers": 200 }), "{answer}");
    let (status, answer) = demo.request("POST /demo/peers", &json, r#"{"add":1}"#).await?;
    ensure!(status == 409 && answer["error"].as_str().is_some_and(|error| error.contains("200")), "{answer}");
    let (status, answer) = demo.request("POST /demo/peers", &json, r#"{"remove":1000}"#).await?;
    ensure!(status == 200, "{answer}");
    ensure!(answer == json!({ "added": 0, "removed": 200, "native_peers": 0 }), "{answer}");
    Ok(())
}

#[tokio::test]
async fn a_log_that_goes_into_a_pipe_has_no_colours() -> Result<()> {
    let mut child = demo(&["--listen", "127.0.0.1:0", "--peers", "0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdout = BufReader::new(child.stdout.take().context("stdout is piped")?).lines();
    let line = stdout.next_line().await?.context("the demo ended")?;
    ensure!(line.starts_with("Tiercast demo: open http://127.0.0.1:"), "{line}");
    child.start_kill()?;
    let log = String::from_utf8(child.wait_with_output().await?.stderr)?;
    ensure!(log.contains("started") && !log.contains('\x1b'), "{log:?}");
    Ok(())
}

#[tokio::test]
async fn an_address_in_use_is_said_once_with_the_remedy() -> Result<()> {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let (output, _, stderr) = run(&["--listen", &taken.local_addr()?.to_string()]).await?;
    ensure!(output.status.code() == Some(2) && stderr.contains("stop what listens there"), "{stderr}");
    ensure!(stderr.matches("in use").count() == 1, "{stderr}");
    Ok(())
}

#[tokio::test]
async fn regression_wrong_flags_are_named_as_they_were_given() -> Result<()> {
    let cases: [(&[&str], &str); 6] = [
        (&["experiment", "--tier1", "0"], "invalid value '0' for '--tier1 <N>'"),
        (&["experiment", "--tier1", "100", "--peers", "10"], "--tier1 100 is more than --peers 10"),
        (&["experiment", "--peers", "0"], "invalid value '0' for '--peers <N>'"),
        (&["experiment", "--source", "amqp:/x"], "--source is neither `embedded` nor a broker's URL"),
        (&["experiment", "--source", "http://me:hunter2@h"], "--source is neither"),
        (&["--tier1", "0"], "invalid value '0' for '--tier1 <N>'"),
    ];
    for (arguments, words) in cases {
        let (output, _, stderr) = run(arguments).await?;
        ensure!(output.status.code() == Some(2) && stderr.contains(words), "{arguments:?}: {stderr}");
        ensure!(!stderr.contains("hub.") && !stderr.contains("hunter2"), "{arguments:?}: {stderr}");
    }
    Ok(())
}

#[tokio::test]
async fn a_small_audience_needs_no_flag_for_its_tier_1() -> Result<()> {
    let arguments = ["experiment", "--peers", "2", "--events", "5", "--rate", "100", "--json"];
    let (output, stdout, stderr) = run(&arguments).await?;
    ensure!(output.status.success() && stdout.contains("\"delivered\":10,"), "{stdout}{stderr}");
    Ok(())
}

#[tokio::test]
async fn the_experiments_figures_are_alone_on_stdout_and_each_is_explained_by_its_help() -> Result<()> {
    let (_, help, _) = run(&["experiment", "--help"]).await?;
    for words in ["stderr", "stdout", "--json on one line", "Exit code:", "Examples:", "--no-relay\n"] {
        ensure!(help.contains(words), "{words:?} is not in\n{help}");
    }
    let arguments = ["experiment", "--peers", "3", "--tier1", "1", "--events", "20", "--rate", "200"];
    let (output, pretty, progress) = run(&arguments).await?;
    ensure!(output.status.success() && progress.contains("60 of 60 delivered"), "{progress}");
    let indented: Value = serde_json::from_str(&pretty)?;

    let (output, stdout, _) = run(&[&arguments[..], &["--json"]].concat()).await?;
    ensure!(output.status.success() && stdout.lines().count() == 1, "{stdout}");
    let figures: Value = serde_json::from_str(&stdout)?;
    let names =
        |figures: &Value| figures.as_object().map(|figures| figures.keys().cloned().collect::<Vec<_>>());
    ensure!(names(&figures) == names(&indented), "{pretty}");
    let explained: Vec<&str> = help.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    for name in names(&figures).context("one object")? {
        ensure!(explained.contains(&name.as_str()), "{name} is not in\n{help}");
    }
    Ok(())
}
