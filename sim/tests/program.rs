//! The program: what it prints, and how it ends.

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tiercast-sim")).args(arguments).output().unwrap()
}

#[test]
fn figures_come_as_text_and_as_json_and_the_same_each_time() {
    let arguments = ["--scenario", "steady", "--peers", "20", "--seed", "3"];
    let text = run(&arguments);
    assert!(text.status.success());
    assert!(String::from_utf8(text.stdout.clone()).unwrap().contains("offload"));
    assert_eq!(run(&arguments).stdout, text.stdout, "byte for byte");
    let json = run(&[&arguments[..], &["--json"]].concat());
    let figures: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((figures["seed"].as_u64(), figures["peers"].as_u64()), (Some(3), Some(20)));
    assert!(figures["offload"].as_f64().unwrap() > 0.5, "{figures}");
}

#[test]
fn many_seeds_are_played_and_counted() {
    let output = run(&["--scenario", "steady", "--peers", "5", "--seeds", "3-5"]);
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "3 seeds played, 0 went wrong\n");
}

#[test]
fn an_unknown_scenario_is_told_which_there_are() {
    let output = run(&["--scenario", "nonsense"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text.starts_with("error: `nonsense`") && text.contains("mass-kill"), "{text}");
}

#[test]
fn a_page_that_cannot_be_written_is_said_before_the_run() {
    let output = run(&["--scenario", "steady", "--report", "/nonexistent/x.html"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text.starts_with("error: --report /nonexistent/x.html: name a file"), "{text}");
    assert!(!text.contains("played"), "{text}");
}

#[test]
fn a_seed_that_goes_wrong_is_said_with_its_command_kept_and_shrunk() {
    let folder = std::env::temp_dir().join(format!("tiercast-sim-program-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (scenario, list) = (folder.join("too-dear.toml"), folder.join("regressions.toml"));
    // The busiest second is never half of the median one.
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/steady.toml")).unwrap();
    std::fs::write(
        &scenario,
        text.replace("run_s = 480", "run_s = 20") + "budget = { egress_times = 0.5 }\n",
    )
    .unwrap();
    let (scenario, list) = (scenario.to_str().unwrap(), list.to_str().unwrap());
    let output = run(&["--scenario", scenario, "--peers", "10", "--seeds", "4-4", "--regressions", list]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("WRONG: budget") && said.contains("--peers 10 --seed 4"), "{said}");
    assert!(std::fs::read_to_string(list).unwrap().contains("seed = 4"));
    assert!(said.contains("tiercast-sim-too-dear-4"), "{said}");
    let smaller = said.split("--scenario ").last().and_then(|rest| rest.split(' ').next()).unwrap();
    let again = run(&["--scenario", smaller, "--seed", "4"]);
    std::fs::remove_file(smaller).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    assert!(String::from_utf8(again.stderr).unwrap().contains("WRONG: budget"));
}
