//! The signaling server's program: parse, start, wait, shut down.

mod cli;

use std::process::ExitCode;

use clap::Parser;
use tiercast_platform::{Log, print_line, say, start_log, told_to_stop};
use tiercast_signaling_server::{GeoDatabase, Server};
use tracing_subscriber::EnvFilter;

use cli::{Cli, Configuration};

/// The exit code for a configuration that is wrong or cannot be used, as for wrong flags.
const WRONG_CONFIG: u8 = 2;

fn main() -> ExitCode {
    start().unwrap_or_else(|error| {
        say(format_args!("error: {error:#}"));
        ExitCode::from(WRONG_CONFIG)
    })
}

fn start() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    // A variable whose name is no UTF-8 is not one of ours; a value that is none is no good for any key, and said so.
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
    let configuration = match cli.configuration(variables) {
        Ok(configuration) => configuration,
        Err(errors) => {
            say(errors);
            return Ok(ExitCode::from(WRONG_CONFIG));
        }
    };
    if cli.check_config {
        configuration.config.geo_database_file.as_deref().map(GeoDatabase::open).transpose()?;
        print_line(format_args!("ok: {}", configuration.config.summary()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let log = start_log(EnvFilter::new(&configuration.config.log), configuration.config.log_lines);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(configuration, &log))
}

async fn run(Configuration { config, generated_key }: Configuration, log: &Log) -> anyhow::Result<ExitCode> {
    let channel = config.embedded_channels.first().cloned();
    let nobody_may_publish = channel.is_some() && config.api_keys.is_empty();
    let stop = told_to_stop()?;
    let mut server = Server::start(config).await?;
    if let (Some(key), Some(channel)) = (generated_key, channel) {
        log.say("No api_keys are set. For this run:");
        log.say(format_args!(
            "  curl -H 'Authorization: Bearer {}' -H 'Content-Type: text/plain' -d hello http://{}/v1/publish/{channel}",
            key.secret(),
            server.addr()
        ));
    }
    if nobody_may_publish {
        log.say("Nobody may publish: set api_keys, or TIERCAST_API_KEYS.");
    }
    let failed = tokio::select! {
        () = stop => false,
        _ = server.failed() => true,
    };
    server.shutdown().await;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
