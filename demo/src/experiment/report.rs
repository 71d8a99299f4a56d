//! The page of an experiment: its figures, and plots over time.

use tiercast_sim::page::{Plot, document};

use super::{ExperimentOptions, figures, figures::Figures, measure::Second, run::Outcome, verdicts};

/// The page, as HTML that needs nothing else.
pub(super) fn html(options: &ExperimentOptions, outcomes: &[(&str, Outcome)]) -> anyhow::Result<String> {
    let columns: Vec<_> = outcomes.iter().map(|(title, outcome)| (*title, &outcome.figures)).collect();
    let plots = [
        plot("Latency p50, ms", outcomes, |second| second.latency_ms.p50),
        plot("Latency p99, ms", outcomes, |second| second.latency_ms.p99),
        plot("Latest event, ms", outcomes, |second| second.latency_ms.max),
        plot("Bytes a second from the server", outcomes, |second| second.server_bytes as f64),
        plot("Peers fed by the server", outcomes, |second| second.fed_by_server as f64),
        plot("Peers", outcomes, |second| second.peers as f64),
    ];
    let figures = format!("{}\n\n{}", figures::title(options, &columns), Figures::table(&columns));
    let command = command();
    document(&command, &verdicts(&columns), &figures, &plots, &command)
}

/// A line for each run; what went wrong in the first is marked.
fn plot(title: &str, outcomes: &[(&str, Outcome)], value: impl Fn(&Second) -> f64) -> Plot {
    let names: Vec<_> = outcomes.iter().zip(["blue", "orange"]).collect();
    let legend = names.iter().map(|((name, _), colour)| format!("{name} {colour}"));
    let legend = match names.len() {
        1 => String::new(),
        _ => format!(" ({})", legend.collect::<Vec<_>>().join(", ")),
    };
    let first = outcomes.first().map(|(_, outcome)| &outcome.figures.incidents);
    Plot {
        title: format!("{title}{legend}"),
        lines: outcomes.iter().map(|(_, outcome)| outcome.seconds.iter().map(&value).collect()).collect(),
        marks: first.into_iter().flatten().map(|incident| incident.at_s).collect(),
    }
}

/// How this was asked for; without the source, which may hold a password.
fn command() -> String {
    let mut arguments: Vec<_> = std::env::args().skip(1).collect();
    for index in 0..arguments.len() {
        if arguments[index] == "--source"
            && arguments.get(index + 1).is_some_and(|source| source != "embedded")
        {
            arguments[index + 1] = "amqp://...".to_owned();
        } else if arguments[index].starts_with("--source=amqp") {
            arguments[index] = "--source=amqp://...".to_owned();
        }
    }
    format!("tiercast-demo {}", arguments.join(" "))
}
