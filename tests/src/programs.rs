//! The programs under test, as they were built beside the tests.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

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
