//! A page of a simulation: the figures, and plots over time.

use anyhow::{Result, anyhow};
use plotters::{
    chart::ChartBuilder,
    prelude::{IntoDrawingArea, SVGBackend},
    series::LineSeries,
    style::{RGBColor, TRANSPARENT},
};

use crate::{measure::Second, simulation::Outcome};

const SIZE: (u32, u32) = (900, 220);
const LINE: RGBColor = RGBColor(0x33, 0x77, 0xcc);
const AXIS: RGBColor = RGBColor(0x88, 0x88, 0x88);

/// The page, as HTML that needs nothing else.
pub(crate) fn html(outcome: &Outcome, command: &str) -> Result<String> {
    let seconds = &outcome.seconds;
    let verdict = match &outcome.wrong {
        Some(wrong) => format!("Wrong: {wrong}"),
        None => "Everything that must hold held.".to_owned(),
    };
    let plots = [
        ("Latest event, ms", plot(seconds, |second| second.latest.as_secs_f64() * 1_000.0)?),
        ("Bytes a second from the server", plot(seconds, |second| second.server_bytes as f64)?),
        ("Bytes a second on links", plot(seconds, |second| second.link_bytes as f64)?),
        ("Peers fed by the server", plot(seconds, |second| second.fed_by_server as f64)?),
        ("Peers", plot(seconds, |second| second.peers as f64)?),
    ];
    let plots: String = plots
        .iter()
        .map(|(title, svg)| format!("<figure><figcaption>{title}</figcaption>{svg}</figure>"))
        .collect();
    let (figures, verdict, command) =
        (escape(&outcome.figures.to_string()), escape(&verdict), escape(command));
    Ok(format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>Tiercast simulation</title><style>{STYLE}</style>\
         <h1>Simulation</h1><p>{verdict}</p><pre>{figures}</pre>{plots}<p><code>{command}</code></p></html>\n"
    ))
}

const STYLE: &str = "\
:root { color-scheme: light dark }\
body { font: 16px system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }\
pre, code { font-size: 14px; overflow-x: auto; overflow-wrap: anywhere; white-space: pre-wrap }\
figure { margin: 1.5rem 0 } svg { width: 100%; height: auto }";

/// A line over the seconds of a simulation.
fn plot(seconds: &[Second], value: impl Fn(&Second) -> f64) -> Result<String> {
    let values: Vec<_> = seconds.iter().map(value).collect();
    let highest = values.iter().copied().fold(1.0, f64::max);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let failed = |error: &dyn std::fmt::Display| anyhow!("drawing: {error}");
        area.fill(&TRANSPARENT).map_err(|error| failed(&error))?;
        let mut chart = ChartBuilder::on(&area)
            .margin(5)
            .x_label_area_size(25)
            .y_label_area_size(70)
            .build_cartesian_2d(0..seconds.len(), 0.0..highest * 1.05)
            .map_err(|error| failed(&error))?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .disable_y_mesh()
            .axis_style(AXIS)
            .label_style(("sans-serif", 12, &AXIS))
            .x_desc("s")
            .draw()
            .map_err(|error| failed(&error))?;
        chart
            .draw_series(LineSeries::new(values.into_iter().enumerate(), &LINE))
            .map_err(|error| failed(&error))?;
        area.present().map_err(|error| failed(&error))?;
    }
    // It is as wide as the page: the size is that of its coordinates.
    let (width, height) = SIZE;
    let size = format!("width=\"{width}\" height=\"{height}\" ");
    Ok(svg.replacen(&size, "", 1))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
