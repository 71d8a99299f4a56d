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

const JSON: (&str, &str) = ("content-type", "application/json");
const KILL: &str = r#"{"fault":"kill","who":"1:relays"}"#;

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

    async fn state(&self) -> Result<Value> {
        let (status, state) = self.request("GET /demo/state", &[], "").await?;
        ensure!(status == 200, "{state}");
        Ok(state)
    }

    async fn native_peers(&self) -> Result<Value> {
        Ok(self.state().await?["native_peers"].clone())
    }

    /// Presses a button.
    async fn press(&self, path: &str, body: &str) -> Result<(u16, Value)> {
        self.request(&format!("POST {path}"), &[JSON], body).await
    }

    /// Presses a button that is granted; gives the card of the incident once it is over, in which nothing is lost.
    async fn incident(&self, path: &str, body: &str) -> Result<Value> {
        let (status, answer) = self.press(path, body).await?;
        ensure!(status == 200, "{body}: {answer}");
        let ending = self.until(|state| state["incidents"][0]["state"] == "over");
        let card = ending.await.with_context(|| format!("{body} is never over"))?["incidents"][0].clone();
        ensure!(card["lost"] == 0, "{card}");
        Ok(card)
    }

    /// Waits for a state.
    async fn until(&self, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
        let looking = async {
            let mut often = interval(Duration::from_millis(40));
            loop {
                often.tick().await;
                let state = self.state().await?;
                if is_so(&state) {
                    return Ok(state);
                }
            }
        };
        timeout(PATIENCE, looking).await?
    }

    /// Waits until there is a relay that could be killed.
    async fn until_somebody_relays(&self) -> Result<()> {
        self.until(|state| state["relays"].as_u64() > Some(0)).await.map(drop)
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
        let (status, answer) = demo.request("POST /demo/fault", headers, KILL).await?;
        ensure!(status == 403, "{headers:?}: {status} {answer}");
        ensure!(answer["fix"].as_str().is_some_and(|fix| fix.contains("http://127.0.0.1")), "{answer}");
        ensure!(demo.native_peers().await? == 4, "{headers:?}");
    }
    let own = format!("http://{}", demo.address);
    let own_page = [JSON, ("origin", own.as_str()), ("sec-fetch-site", "same-origin")];
    let (status, answer) = demo.request("POST /demo/fault", &own_page, KILL).await?;
    ensure!(status == 200 && answer["native_peers"] == 3, "{answer}");
    Ok(())
}

#[tokio::test]
async fn a_shell_operates_the_demo_and_a_site_does_none_of_it() -> Result<()> {
    let demo = Running::start(&["--peers", "0"]).await?;
    for (line, body) in [("POST /demo/peers", r#"{"add":1}"#), ("POST /demo/rate", r#"{"rate_per_s":7}"#)] {
        let site = [JSON, ("origin", "https://evil.example")];
        ensure!(demo.request(line, &site, body).await?.0 == 403, "{line}");
        let (status, answer) = demo.request(line, &[JSON], body).await?;
        ensure!(status == 200, "{line}: {answer}");
    }
    ensure!(demo.native_peers().await? == 1);
    // No relay to be killed: that is the answer, and not that nobody may.
    ensure!(demo.request("POST /demo/fault", &[JSON], KILL).await?.0 == 409);
    Ok(())
}

#[tokio::test]
async fn regression_as_many_peers_come_as_there_is_room_for() -> Result<()> {
    let demo = Running::start(&["--peers", "197", "--rate", "1"]).await?;
    let (status, answer) = demo.request("POST /demo/peers", &[JSON], r#"{"add":10}"#).await?;
    ensure!(status == 200, "{answer}");
    ensure!(answer == json!({ "added": 3, "removed": 0, "native_peers": 200 }), "{answer}");
    let (status, answer) = demo.request("POST /demo/peers", &[JSON], r#"{"add":1}"#).await?;
    ensure!(status == 409 && answer["error"].as_str().is_some_and(|error| error.contains("200")), "{answer}");
    let (status, answer) = demo.request("POST /demo/peers", &[JSON], r#"{"remove":1000}"#).await?;
    ensure!(status == 200, "{answer}");
    ensure!(answer == json!({ "added": 0, "removed": 200, "native_peers": 0 }), "{answer}");
    Ok(())
}

#[tokio::test]
async fn each_button_is_an_incident_with_a_card_and_nothing_is_lost() -> Result<()> {
    let demo = Running::start(&["--peers", "10", "--tier1", "2"]).await?;
    demo.until_somebody_relays().await?;
    demo.until(|state| state["swarm"]["ready"] == 10 && state["tier1"] == 2).await?;
    let card = demo.incident("/demo/fault", r#"{"fault":"kill","who":"1:tier1"}"#).await?;
    ensure!(card["victims_by_tier"] == json!({ "1": 1 }) && card["stalls"]["all"] == 9, "{card}");
    let card = demo.incident("/demo/fault", r#"{"fault":"kill","who":"30%"}"#).await?;
    ensure!(card["victims"] == 3 && card["stalls"]["all"] == 6, "{card}");
    ensure!(demo.native_peers().await? == 6);
    let card = demo.incident("/demo/fault", r#"{"fault":"freeze","who":"1:peers"}"#).await?;
    ensure!(card["victims"] == 1 && card["recovered_after_s"].as_f64() > Some(5.0), "{card}");
    let card = demo.incident("/demo/fault", r#"{"fault":"lie","who":"1:peers"}"#).await?;
    ensure!(card["lie"].is_string() && card["victims"] == 1, "{card}");
    let numbers: Vec<_> = demo.state().await?["incidents"]
        .as_array()
        .context("no cards")?
        .iter()
        .map(|card| card["number"].clone())
        .collect();
    ensure!(numbers == [4, 3, 2, 1], "the newest first: {numbers:?}");
    Ok(())
}

#[tokio::test]
async fn the_server_is_restarted_behind_the_page_and_nothing_is_lost() -> Result<()> {
    let demo = Running::start(&["--peers", "4", "--tier1", "1"]).await?;
    let before = demo.until(|state| state["swarm"]["ready"] == 4).await?;
    let card = demo.incident("/demo/fault", r#"{"fault":"restart-server"}"#).await?;
    ensure!(card["server_away_s"].is_number() && card["stalls"]["hit"] == 4, "{card}");
    // What had been counted goes on, and so do the events.
    let sent = |state: &Value| state["server"]["direct_data_bytes"].as_u64();
    demo.until(|state| sent(state) > sent(&before) && state["swarm"]["duplicates"] == 0).await?;
    let (status, tree) = demo.request("GET /v1/topology/builds", &[], "").await?;
    ensure!(status == 200 && tree["peers"].as_array().is_some_and(|peers| peers.len() == 4), "{tree}");
    Ok(())
}

#[tokio::test]
async fn without_the_mesh_the_server_feeds_everybody_and_with_it_the_peers_do() -> Result<()> {
    let demo = Running::start(&["--peers", "8", "--tier1", "1"]).await?;
    demo.until(|state| state["relays"].as_u64() > Some(1)).await?;
    let card = demo.incident("/demo/mesh", r#"{"on":false}"#).await?;
    let egress = &card["server_bytes_per_s"];
    ensure!(egress["after"].as_u64() > egress["before"].as_u64().map(|before| 2 * before), "{card}");
    ensure!(card["fed_by_server_2s_later"] == 1.0, "{card}");
    let (status, answer) = demo.press("/demo/mesh", r#"{"on":false}"#).await?;
    ensure!(status == 409, "{answer}");
    // Who comes now does not relay either.
    demo.press("/demo/peers", r#"{"add":2}"#).await?;
    demo.until(|state| state["native_peers"] == 10 && state["relays"] == 0).await?;
    demo.incident("/demo/mesh", r#"{"on":true}"#).await?;
    demo.until(|state| state["relays"].as_u64() > Some(1)).await?;
    Ok(())
}

#[tokio::test]
async fn a_button_that_cannot_be_had_says_why() -> Result<()> {
    let demo = Running::start(&["--peers", "0"]).await?;
    let cases = [
        ("/demo/fault", r#"{"fault":"kill","who":"30%"}"#, 409, "there is no native peer"),
        ("/demo/fault", r#"{"fault":"freeze","who":"1:tier1"}"#, 409, "tier 1"),
        ("/demo/fault", r#"{"fault":"kill","who":"1:cats"}"#, 400, "choose peers, relays, leaves or tier1"),
        ("/demo/mesh", r#"{"on":true}"#, 409, "already"),
    ];
    for (path, body, status, words) in cases {
        let (said, answer) = demo.press(path, body).await?;
        ensure!(
            said == status && answer["error"].as_str().is_some_and(|error| error.contains(words)),
            "{answer}"
        );
        ensure!(answer["fix"].is_string(), "{answer}");
    }
    ensure!(demo.state().await?["incidents"] == json!([]));
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
    let mut log = BufReader::new(child.stderr.take().context("stderr is piped")?).lines();
    let mut is_started = false;
    while !is_started {
        let line = log.next_line().await?.context("the demo ended")?;
        ensure!(!line.contains('\x1b'), "{line:?}");
        is_started = line.contains("started");
    }
    child.start_kill()?;
    child.wait().await?;
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
    let cases: [(&[&str], &str); 7] = [
        (&["--listen", "localhost:8780"], "write an address and a port, such as 127.0.0.1:8780"),
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
    for words in ["stderr", "stdout", "--json one JSON object", "Exit code:", "Examples:", "--no-relay\n"] {
        ensure!(help.contains(words), "{words:?} is not in\n{help}");
    }
    let arguments = ["experiment", "--peers", "3", "--tier1", "1", "--events", "20", "--rate", "200"];
    let (output, table, progress) = run(&arguments).await?;
    ensure!(output.status.success() && progress.contains("60 of 60 delivered"), "{progress}");
    for words in ["3 peers, 20 events", "offload", "Every peer got every event, once and in order."] {
        ensure!(table.contains(words), "{words:?} is not in\n{table}");
    }

    let (output, stdout, _) = run(&[&arguments[..], &["--json"]].concat()).await?;
    ensure!(output.status.success() && stdout.lines().count() == 1, "{stdout}");
    let figures: Value = serde_json::from_str(&stdout)?;
    let explained: Vec<&str> = help.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    for name in figures.as_object().context("one object")?.keys() {
        ensure!(explained.contains(&name.as_str()), "{name} is not in\n{help}");
    }
    Ok(())
}

/// The figures of a short experiment in which every peer that lives gets everything.
async fn experiment(arguments: &[&str]) -> Result<Value> {
    let short = ["experiment", "--json", "--rate", "50"];
    let (output, stdout, stderr) = run(&[&short[..], arguments].concat()).await?;
    ensure!(output.status.code() == Some(0), "{arguments:?}: {stdout}{stderr}");
    let figures: Value = serde_json::from_str(&stdout)?;
    for fault in ["missing", "duplicates", "out_of_order", "wrong"] {
        ensure!(figures[fault] == 0, "{arguments:?}: {fault} in {stdout}");
    }
    Ok(figures)
}

/// What became of the only incident of such an experiment.
async fn incident(arguments: &[&str]) -> Result<Value> {
    let figures = experiment(arguments).await?;
    let incidents = figures["incidents"].as_array().context("no incidents")?;
    ensure!(incidents.len() == 1, "{figures}");
    Ok(incidents[0].clone())
}

#[tokio::test]
async fn nothing_is_lost_when_peers_are_killed() -> Result<()> {
    let killed = incident(&["--peers", "10", "--events", "300", "--kill", "30%@2s"]).await?;
    ensure!(killed["victims"] == 3 && killed["stalls"]["all"] == 7, "{killed}");
    ensure!(killed["what"] == "kill 30%@2s", "{killed}");
    Ok(())
}

#[tokio::test]
async fn nothing_is_lost_when_processes_are_killed_and_others_come() -> Result<()> {
    let arguments = ["--peers", "4", "--processes", "4", "--tier1", "1", "--events", "300"];
    let kill = ["--kill", "1:relays@2s", "--replace"];
    let figures = experiment(&[&arguments[..], &kill].concat()).await?;
    ensure!(figures["incidents"][0]["victims"] == 1, "{figures}");
    let tiers = figures["peers_by_tier"].as_object().context("no tiers")?;
    ensure!(tiers.values().filter_map(Value::as_u64).sum::<u64>() == 4, "{figures}");
    Ok(())
}

#[tokio::test]
async fn nothing_is_lost_when_a_process_is_stopped_for_a_while() -> Result<()> {
    let arguments = ["--peers", "4", "--tier1", "1", "--events", "300", "--freeze", "1:relays@2s+1s"];
    let frozen = incident(&arguments).await?;
    ensure!(frozen["victims"] == 1 && frozen["stalls"]["all"] == 3, "{frozen}");
    Ok(())
}

#[tokio::test]
async fn nothing_is_lost_when_relays_lie() -> Result<()> {
    let few = ["--peers", "8", "--tier1", "2", "--max-children", "3", "--events", "300"];
    let lies = incident(&[&few[..], &["--lie", "4:peers@2s"]].concat()).await?;
    ensure!(lies["victims"] == 4, "{lies}");
    Ok(())
}

/// One of the two tier-1 peers of a mesh of 20 lies once everybody has a standby: in the end it feeds nobody any more.
async fn nobody_follows_one_who(lie: &str, events: &str) -> Result<Value> {
    let mesh = ["--peers", "20", "--tier1", "2", "--max-children", "4", "--events", events];
    let figures = experiment(&[&mesh[..], &["--lie", "1:tier1@7s", "--lies", lie]].concat()).await?;
    let lies = &figures["incidents"][0];
    ensure!(lies["victims"] == 1 && lies["victims_without_children_after_s"].is_number(), "{lie}: {lies}");
    Ok(figures)
}

#[tokio::test]
async fn a_relay_that_flips_bits_passes_on_nothing_wrong_and_loses_its_children() -> Result<()> {
    nobody_follows_one_who("corrupt", "900").await?;
    Ok(())
}

#[tokio::test]
async fn a_relay_that_withholds_loses_its_children() -> Result<()> {
    nobody_follows_one_who("withhold", "900").await?;
    Ok(())
}

/// A child leaves it when 130 frames or so have shown what it does, and each of its children finds that out for itself.
#[tokio::test]
async fn a_relay_that_replays_loses_its_children() -> Result<()> {
    nobody_follows_one_who("replay", "1600").await?;
    Ok(())
}

#[tokio::test]
async fn nothing_is_lost_when_a_relay_stalls_now_and_then() -> Result<()> {
    let mesh = ["--peers", "20", "--tier1", "2", "--max-children", "4", "--events", "900"];
    let stalls = incident(&[&mesh[..], &["--lie", "1:tier1@7s", "--lies", "stall"]].concat()).await?;
    ensure!(stalls["victims"] == 1, "{stalls}");
    Ok(())
}

#[tokio::test]
async fn a_relay_that_accuses_its_neighbours_parts_with_them_and_harms_nobody_else() -> Result<()> {
    nobody_follows_one_who("accuse", "900").await?;
    Ok(())
}

#[tokio::test]
async fn a_child_that_accuses_its_parents_takes_nobody_out_of_service() -> Result<()> {
    let mesh = ["--peers", "20", "--tier1", "2", "--max-children", "4", "--events", "900"];
    let figures = experiment(&[&mesh[..], &["--lie", "1:leaves@7s", "--lies", "accuse"]].concat()).await?;
    ensure!(figures["accusations"].as_u64() > Some(0) && figures["suspensions"] == 0, "{figures}");
    Ok(())
}

#[tokio::test]
async fn children_of_a_relay_with_half_the_uplink_that_it_needs_are_not_left_behind() -> Result<()> {
    // Five children at 55 kB/s each, and what packets cost; who stayed with it would be eight seconds behind in the end.
    let few = ["--peers", "12", "--tier1", "2", "--max-children", "6", "--rate", "100", "--events", "2000"];
    let arguments = ["experiment", "--json", "--slow-uplink", "1:tier1@3s=150KB/s"];
    let (output, stdout, stderr) = run(&[&arguments[..], &few].concat()).await?;
    ensure!(output.status.code() == Some(0), "{stdout}{stderr}");
    let figures: Value = serde_json::from_str(&stdout)?;
    let slow = &figures["incidents"][0];
    ensure!(slow["victims"] == 1 && slow["stalls"]["hit"].as_u64() > Some(2), "{slow}");
    ensure!(slow["stalls"]["hit_ms"]["p50"].as_f64() < Some(4_000.0), "{slow}");
    Ok(())
}

#[tokio::test]
async fn nothing_is_lost_when_links_are_cut_without_a_close() -> Result<()> {
    let few = ["--peers", "8", "--tier1", "2", "--max-children", "3", "--events", "400"];
    let cut = incident(&[&few[..], &["--cut", "1:relays@2s"]].concat()).await?;
    ensure!(cut["victims"] == 1 && cut["victims_without_children_after_s"].is_number(), "{cut}");
    Ok(())
}

#[tokio::test]
async fn nothing_is_lost_when_all_connections_blink_and_when_the_server_is_restarted() -> Result<()> {
    let figures =
        experiment(&["--peers", "6", "--tier1", "2", "--blink", "2s", "--restart-server", "5s"]).await?;
    let incidents = figures["incidents"].as_array().context("no incidents")?;
    ensure!(incidents.len() == 2, "{figures}");
    ensure!(incidents.iter().all(|incident| incident["stalls"]["hit"] == 6), "everybody is hit: {figures}");
    Ok(())
}

#[tokio::test]
async fn nothing_is_lost_while_peers_come_and_go() -> Result<()> {
    let figures = experiment(&["--peers", "8", "--tier1", "2", "--events", "500", "--churn", "2"]).await?;
    let ready_s = figures["ready_s"].as_f64().context("not everybody was ready")?;
    let expected = 2.0 * (10.0 - 3.0 - ready_s).max(0.0);
    let victims = &figures["incidents"][0]["victims"];
    ensure!(
        victims.as_u64().unwrap_or(0) == expected as u64,
        "two a second from then on, but for the last three of ten seconds: {figures}"
    );
    Ok(())
}

/// The exit code is 2, and this is said beside the figures and in them.
async fn shows_less_than_was_asked_for(arguments: &[&str], words: &str) -> Result<Value> {
    let few = ["experiment", "--peers", "4", "--tier1", "1"];
    let arguments = [&few[..], arguments].concat();
    let (output, table, stderr) = run(&arguments).await?;
    ensure!(output.status.code() == Some(2), "{arguments:?}: {table}{stderr}");
    ensure!(stderr.contains(words) && table.contains(words), "{arguments:?}: {table}{stderr}");
    let (output, stdout, stderr) = run(&[&arguments[..], &["--json"]].concat()).await?;
    ensure!(output.status.code() == Some(2) && stderr.contains(words), "{arguments:?}: {stdout}{stderr}");
    Ok(serde_json::from_str(&stdout)?)
}

#[tokio::test]
async fn regression_a_fault_that_strikes_when_every_event_is_there_shows_nothing() -> Result<()> {
    // The last event is due 90 ms before that, and nobody is ready at once.
    let late = ["--events", "20", "--rate", "10", "--kill", "1:leaves@1.99s"];
    let words = "kill 1:leaves@1.99s struck when every event was there: raise --events";
    let figures = shows_less_than_was_asked_for(&late, words).await?;
    ensure!(figures["incidents"][0]["too_late"] == true, "{figures}");
    Ok(())
}

#[tokio::test]
async fn regression_a_fault_that_never_comes_shows_nothing() -> Result<()> {
    let impatient = ["--events", "300", "--rate", "200", "--kill", "4@0s", "--blink", "1s"];
    let words = "blink 1s never came, nobody was left by then: let fewer be killed";
    let figures = shows_less_than_was_asked_for(&impatient, words).await?;
    ensure!(figures["never_came"] == json!(["blink 1s"]), "{figures}");
    Ok(())
}

#[tokio::test]
async fn regression_churn_of_which_nobody_comes_shows_nothing() -> Result<()> {
    // The last three seconds are without: what is left is what the first needs, if everybody is ready at once.
    let short = ["--events", "400", "--rate", "100", "--churn", "1"];
    let words = "churn 1 never came, the events ended before it: raise --events";
    let figures = shows_less_than_was_asked_for(&short, words).await?;
    ensure!(figures["never_came"] == json!(["churn 1"]), "{figures}");
    Ok(())
}

#[tokio::test]
async fn regression_events_go_on_for_six_seconds_after_the_last_fault_however_late_the_peers_are()
-> Result<()> {
    let fault = ["--peers", "4", "--tier1", "1", "--rate", "400", "--kill", "1@500ms", "--kill", "1@1s"];
    let (output, stdout, stderr) = run(&[&["experiment", "--json"], &fault[..]].concat()).await?;
    ensure!(output.status.code() == Some(0), "{stdout}{stderr}");
    let figures: Value = serde_json::from_str(&stdout)?;
    let ready_s = figures["ready_s"].as_f64().context("not everybody was ready")?;
    let events = figures["events"].as_f64().context("no events")?;
    ensure!(events >= (ready_s + 7.0) * 400.0, "{figures}");
    ensure!(figures["delivered"].as_f64() >= Some(2.0 * events), "{figures}");
    Ok(())
}

#[tokio::test]
async fn nothing_is_lost_over_links_that_lose_and_delay() -> Result<()> {
    let rough = ["--peers", "6", "--tier1", "1", "--events", "150", "--loss", "5%", "--delay", "25ms"];
    let figures = experiment(&rough).await?;
    ensure!(figures["delivered"] == 900, "{figures}");
    Ok(())
}

/// Some 80 frames are lost. With `--no-repair` SCTP sends them again, and nothing shows that they were lost.
#[tokio::test]
async fn what_links_lose_is_asked_for_again_unless_it_is_left_to_sctp() -> Result<()> {
    let rough = ["--peers", "6", "--tier1", "1", "--events", "800", "--loss", "2%", "--delay", "25ms"];
    let ours = experiment(&rough).await?;
    ensure!(ours["nacks"].as_u64() >= Some(10), "{ours}");
    let theirs = experiment(&[&rough[..], &["--no-repair"]].concat()).await?;
    ensure!(theirs["nacks"] == 0, "{theirs}");
    Ok(())
}

#[tokio::test]
async fn both_ways_are_compared_side_by_side_and_on_a_page() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let page = folder.path().join("report.html");
    let arguments =
        ["experiment", "--compare", "--peers", "4", "--tier1", "1", "--events", "50", "--rate", "50"];
    let report = ["--report", page.to_str().context("a path")?];
    let (output, table, stderr) = run(&[&arguments[..], &report].concat()).await?;
    ensure!(output.status.success(), "{stderr}");
    let head = table.lines().find(|line| line.contains("mesh") && line.contains("direct"));
    ensure!(head.is_some() && table.contains("direct: Every peer got every event"), "{table}");
    let page = std::fs::read_to_string(page)?;
    ensure!(page.matches("<svg").count() == 6 && page.contains("orange"), "{page}");
    ensure!(page.contains("<title>Tiercast: tiercast-demo experiment --compare --peers 4"), "{page}");

    let (_, stdout, _) = run(&[&arguments[..], &["--json"]].concat()).await?;
    let both: Value = serde_json::from_str(&stdout)?;
    ensure!(both["mesh"]["delivered"] == 200 && both["direct"]["delivered"] == 200, "{stdout}");
    Ok(())
}

#[tokio::test]
async fn an_event_that_does_not_come_is_noticed_and_the_experiment_fails() -> Result<()> {
    let arguments = ["experiment", "--peers", "2", "--events", "50", "--rate", "50", "--skip", "7"];
    // It waits for them, and gives up.
    let (output, table, stderr) = run(&[&arguments[..], &["--patience", "2s"]].concat()).await?;
    ensure!(output.status.code() == Some(1), "{table}{stderr}");
    ensure!(table.contains("2 / 0 / 0 / 0") && table.contains("Failed: 2 events are missing"), "{table}");
    Ok(())
}

#[tokio::test]
async fn faults_that_cannot_be_had_are_answered_with_what_to_write_instead() -> Result<()> {
    let cases: [(&[&str], &str); 20] = [
        (&["--patience", "0s"], "'--patience <TIME>': it must be at least 1s"),
        (&["--loss", "100%"], "'--loss <SHARE>': it must be less than 100%"),
        (&["--kill", "50@1s", "--peers", "4"], "--kill 50@1s strikes 50, and there are --peers 4"),
        (&["--lie", "--no-relay"], "--lie 4@5s is done to relays, and with --no-relay there are none"),
        (&["--no-repair", "--no-relay"], "leave out one of the two"),
        (&["--report", "/nonexistent/x.html"], "--report /nonexistent/x.html: name a file in a folder"),
        (&["--slow-uplink", "1@5s"], "say how much is left, such as 1@5s=100KB/s"),
        (&["--kill", "30%"], "'--kill <WHO@WHEN>': say whom and when, such as 30%@10s"),
        (&["--kill", "30%@10"], "write it as 10s, 2.5s or 500ms"),
        (&["--kill", "x@10s"], "say how many, such as 3 or 30%"),
        (&["--kill", "1:cats@10s"], "choose peers, relays, leaves or tier1"),
        (
            &["--kill", "1@10s", "--events", "100"],
            "--kill 1@10s comes after the last event at 0.5 s: raise --events",
        ),
        (
            &["--churn", "0.5", "--events", "900"],
            "--churn 0.5 comes to nothing before the last event at 4.5 s: raise --events",
        ),
        (&["--freeze", "1@5s"], "say for how long, such as 1@5s+5s"),
        (&["--freeze", "1@5s+1s", "--processes", "1"], "raise --processes"),
        (&["--freeze", "1@5s+1s", "--peers", "500"], "say how many by --processes 100"),
        (&["--processes", "50"], "--processes 50 is more than --peers 40"),
        (&["--loss", "2"], "'--loss <SHARE>': write it as 2% or 0.5%"),
        (&["--churn", "0"], "'--churn <RATE>': it must be more than 0"),
        (&["--lie", "--lies", "steal"], "possible values: withhold, corrupt, replay, stall, accuse"),
    ];
    for (arguments, words) in cases {
        let (output, _, stderr) = run(&[&["experiment"], arguments].concat()).await?;
        ensure!(output.status.code() == Some(2) && stderr.contains(words), "{arguments:?}: {stderr}");
    }
    Ok(())
}
