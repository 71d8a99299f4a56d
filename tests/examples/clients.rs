//! Measures what crowds of clients cost a server: those that come back at once, slow ones, and each transport.
//!
//! `cargo run --release -p tiercast-tests --example clients -- transports --json`

use clap::{Parser, Subcommand};
use serde::Serialize;
use tiercast_platform::{print_line, say};
use tiercast_tests::measure::{allow_many_connections, comeback, slow, transports};

/// Measures what crowds of clients cost a server.
///
/// The server is a program of its own (`cargo build --release --workspace` puts it beside this one), the clients are sockets of
/// this process. CPU time and memory are those of the server alone, from /proc. Every client checks what it gets: nothing may
/// be missing without a gap, and nothing come twice.
#[derive(Parser)]
#[command(name = "clients")]
struct Arguments {
    #[command(subcommand)]
    what: What,
    /// Prints the figures as JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum What {
    /// A server that is killed and started again, with a real RabbitMQ: everybody comes back at once and reads what was
    /// published meanwhile, half of it from the broker.
    Comeback(comeback::Options),
    /// Readers that read 1 KB/s or nothing, beside fast ones.
    Slow(slow::Options),
    /// CPU time by delivery and memory by idle connection, of each transport.
    Transports(transports::Options),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Arguments { what, json } = Arguments::parse();
    allow_many_connections()?;
    match what {
        What::Comeback(options) => {
            let figures = comeback::run(&options, say).await?;
            print(json, &figures, &figures.to_string())?;
            figures.check()
        }
        What::Slow(options) => {
            let figures = slow::run(&options, say).await?;
            print(json, &figures, &figures.to_string())?;
            figures.check()
        }
        What::Transports(options) => {
            let costs = transports::run(&options, say).await?;
            print(json, &costs, &transports::table(&costs))?;
            transports::check(&costs)
        }
    }
}

fn print(json: bool, figures: &impl Serialize, text: &str) -> anyhow::Result<()> {
    match json {
        true => print_line(serde_json::to_string(figures)?)?,
        false => print_line(text)?,
    };
    Ok(())
}
