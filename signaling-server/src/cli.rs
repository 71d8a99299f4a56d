//! The command line: what overrides what, and what a start without any configuration means.

use std::path::PathBuf;

use clap::Parser;

use tiercast_signaling_server::{ApiKey, Config, ConfigErrors, Layers};

/// Takes events from a broker or over HTTP and feeds them to peers, who pass them on.
///
/// Settings come from the file, then TIERCAST_... variables, then flags; each overrides what came before.
#[derive(Debug, Parser)]
#[command(name = "signaling-server", version, after_help = EXAMPLES)]
pub struct Cli {
    /// The configuration file, in TOML.
    #[arg(long, short, value_name = "FILE", env = "TIERCAST_CONFIG")]
    config: Option<PathBuf>,
    /// The address to listen on [default: 127.0.0.1:8780].
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// An embedded channel; may be given several times, and replaces those of the file [default: events].
    #[arg(long, value_name = "NAME")]
    channel: Vec<String>,
    /// Sets any key, such as hub.heartbeat_ms=5000; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
    /// What to log: a level (error, warn, info, debug) or target=level,... [default: info,lapin=off].
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// Checks the configuration and ends: with 0 and a summary, or with 2 and everything that is wrong.
    #[arg(long)]
    pub check_config: bool,
}

const EXAMPLES: &str = "\
Examples:
  signaling-server
      One embedded channel, `events`, on 127.0.0.1:8780; prints an API key to publish with.
  signaling-server --config tiercast.toml
      What the file says.
  signaling-server --listen 0.0.0.0:8780 --channel builds --channel tests
      Two embedded channels, for everybody. Set TIERCAST_API_KEYS to publish.
  TIERCAST_HUB__HEARTBEAT_MS=5000 signaling-server --config tiercast.toml --check-config
      Checks the file together with a variable that overrides one of its keys.

Every key: docs/configuration.md";

/// A key and its value.
fn assignment(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE, such as hub.heartbeat_ms=5000")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

impl Cli {
    /// The configuration that file, environment and flags give together.
    pub fn configuration(
        &self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Configuration, ConfigErrors> {
        let mut layers = Layers::default();
        if let Some(path) = &self.config {
            layers = layers.with_file(path);
        }
        layers = layers.with_env(variables);
        for (key, value) in &self.set {
            layers = layers.with_set("--set", key, value);
        }
        if let Some(listen) = &self.listen {
            layers = layers.with_set("--listen", "listen", listen);
        }
        if let Some(log) = &self.log {
            layers = layers.with_set("--log", "log", log);
        }
        if !self.channel.is_empty() {
            layers = layers.with_channels(&self.channel);
        }
        let has_keys = layers.has("api_keys");
        let mut config = layers.load()?;
        // To try it out nobody should need a file. Where others can connect, a key is the operator's matter.
        let generate = !has_keys && config.listen.ip().is_loopback() && !config.embedded_channels.is_empty();
        let generated_key = generate.then(ApiKey::random);
        config.api_keys.extend(generated_key.clone());
        Ok(Configuration { config, generated_key })
    }
}

/// The configuration, and a key that was made up because none was set.
#[derive(Debug)]
pub struct Configuration {
    /// The configuration, with the key.
    pub config: Config,
    /// Shown once, on the terminal and not in the log.
    pub generated_key: Option<ApiKey>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_has_a_value() {
        let error =
            Cli::try_parse_from(["signaling-server", "--set", "hub"]).expect_err("no value").to_string();
        assert!(error.contains("'hub'") && error.contains("write KEY=VALUE"), "{error}");
        let cli = Cli::try_parse_from(["signaling-server", "--set", "amqp.url = amqp://h/?a=b"]);
        assert_eq!(cli.expect("a value").set, [("amqp.url".to_owned(), "amqp://h/?a=b".to_owned())]);
    }
}
