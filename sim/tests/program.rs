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
    assert!(!output.status.success() && text.contains("nonsense") && text.contains("mass-kill"), "{text}");
}
