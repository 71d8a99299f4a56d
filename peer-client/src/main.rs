//! The native peer on the command line.

use std::process::ExitCode;

use clap::Parser;
use tiercast_platform::{LOG_LINES_MAX, say, start_log};
use tracing_subscriber::EnvFilter;

mod cli;

#[tokio::main]
async fn main() -> ExitCode {
    let _log = start_log(EnvFilter::from_default_env(), LOG_LINES_MAX);
    match cli::Arguments::parse().run().await {
        Ok(code) => code,
        Err(error) => {
            say(format_args!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}
