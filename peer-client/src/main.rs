//! The native peer on the command line.

use std::process::ExitCode;

use clap::Parser;

mod cli;

#[tokio::main]
async fn main() -> ExitCode {
    tiercast_platform::start_log(tracing_subscriber::EnvFilter::from_default_env());
    match cli::Arguments::parse().run().await {
        Ok(code) => code,
        Err(error) => {
            tiercast_platform::say(format_args!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}
