//! The program: what it says, and where.

use std::process::{Output, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

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
