//! The experiment, as the README shows it: what the mesh delivers, and what it saves.

use anyhow::Result;
use serde_json::Value;
use tiercast_tests::{broker::Broker, programs::experiment};

const FORTY: [&str; 10] =
    ["--peers", "40", "--tier1", "4", "--events", "2000", "--rate", "200", "--size", "600"];

fn number(figures: &Value, key: &str) -> f64 {
    figures[key].as_f64().unwrap_or_else(|| panic!("{key} is missing: {figures}"))
}

fn check(figures: &Value, delivered: f64) {
    assert_eq!(number(figures, "delivered"), delivered);
    for fault in ["missing", "duplicates", "out_of_order", "wrong", "gaps"] {
        assert_eq!(number(figures, fault), 0.0, "{fault}");
    }
}

// One test, so that the runs do not compete for the machine.
#[tokio::test(flavor = "multi_thread")]
async fn the_audience_carries_most_of_it_and_everybody_gets_everything() -> Result<()> {
    let embedded = experiment(&FORTY)?;
    check(&embedded, 80_000.0);
    assert_eq!(number(&embedded, "tier1"), 4.0);
    assert!(number(&embedded, "offload") >= 0.85, "{embedded}");

    let broker = Broker::start().await?;
    let url = broker.url().to_owned();
    let amqp = experiment(&[&["--source", &url], FORTY.as_slice()].concat())?;
    check(&amqp, 80_000.0);
    assert!(number(&amqp, "offload") >= 0.85, "{amqp}");

    // How many events there are is known only when everybody is ready.
    let killed =
        experiment(&["--source", &url, "--peers", "6", "--tier1", "1", "--rate", "400", "--kill", "1@1s"])?;
    let events = number(&killed, "events");
    assert!(events >= (number(&killed, "ready_s") + 7.0) * 400.0, "{killed}");
    assert!(number(&killed, "delivered") >= 5.0 * events, "{killed}");
    assert_eq!(number(&killed, "missing"), 0.0, "{killed}");

    let many = experiment(&["--peers", "200", "--tier1", "16", "--events", "600", "--rate", "50"])?;
    check(&many, 120_000.0);
    assert!(number(&many["join_ms"], "max") < 30_000.0, "{many}");

    // The measure itself: without relaying the server sends everything.
    let direct = experiment(&["--peers", "10", "--events", "200", "--rate", "200", "--no-relay"])?;
    check(&direct, 2_000.0);
    assert_eq!(direct["server_data_bytes"], direct["direct_data_bytes"]);
    assert_eq!(number(&direct, "offload"), 0.0);
    Ok(())
}
