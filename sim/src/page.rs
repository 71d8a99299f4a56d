//! A page of figures and of plots over time.

use anyhow::{Result, anyhow};
use plotters::{
    chart::ChartBuilder,
    prelude::{IntoDrawingArea, SVGBackend},
    series::{DashedLineSeries, LineSeries},
    style::{RGBColor, TRANSPARENT},
};

use crate::{measure::Second, simulation::Outcome};

/// The size of a plot, in the units of its letters: small enough for them to be read on a phone.
const SIZE: (u32, u32) = (560, 200);
const LINES: [RGBColor; 2] = [RGBColor(0x33, 0x77, 0xcc), RGBColor(0xd0, 0x6a, 0x10)];
const AXIS: RGBColor = RGBColor(0x88, 0x88, 0x88);
const MARK: RGBColor = RGBColor(0xcc, 0x44, 0x44);

/// The page of a simulation.
pub(crate) fn html(scenario: &str, outcome: &Outcome, command: &str) -> Result<String> {
    let verdict = match &outcome.wrong {
        Some(wrong) => format!("Wrong: {wrong}"),
        None => "Everything that must hold held.".to_owned(),
    };
    let lines = |value: &dyn Fn(&Second) -> f64| vec![outcome.seconds.iter().map(value).collect()];
    let plots = [
        ("Latest event, ms", lines(&|second| second.latest.as_secs_f64() * 1_000.0)),
        ("Bytes a second from the server", lines(&|second| second.server_bytes as f64)),
        ("Bytes a second on links", lines(&|second| second.link_bytes as f64)),
        ("Peers fed by the server", lines(&|second| second.fed_by_server as f64)),
        ("Peers", lines(&|second| second.peers as f64)),
    ];
    let plots = plots.map(|(title, lines)| Plot { title: title.to_owned(), lines, marks: Vec::new() });
    document(&format!("Simulation of {scenario}"), &verdict, &outcome.figures.to_string(), &plots, command)
}

/// Lines over the seconds of something, at most two: the first is blue, the second orange.
#[derive(Debug, Clone)]
pub struct Plot {
    /// What is shown, with its unit.
    pub title: String,
    /// A value for each second.
    pub lines: Vec<Vec<f64>>,
    /// Seconds in which something happened.
    pub marks: Vec<f64>,
}

/// A page, as HTML that needs nothing else.
pub fn document(title: &str, verdict: &str, figures: &str, plots: &[Plot], command: &str) -> Result<String> {
    let figure = |plot: &Plot| {
        Ok(format!("<figure><figcaption>{}</figcaption>{}</figure>", escape(&plot.title), plot.svg()?))
    };
    let has_marks = plots.iter().any(|plot| !plot.marks.is_empty());
    let legend = if has_marks { "<p>Dashed red lines: something went wrong there.</p>" } else { "" };
    let plots: String = plots.iter().map(figure).collect::<Result<_>>()?;
    let [title, verdict, figures, command] = [title, verdict, figures, command].map(escape);
    Ok(format!(
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width,initial-scale=1\">\
         <title>Tiercast: {title}</title><style>{STYLE}</style>\
         <h1>{title}</h1><p>{verdict}</p><pre>{figures}</pre>{legend}{plots}<p><code>{command}</code></p></html>\n"
    ))
}

const STYLE: &str = "\
:root { color-scheme: light dark }\
body { font: 16px system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }\
p { white-space: pre-line }\
h1 { font-size: 1.5rem; overflow-wrap: anywhere }\
pre { font-size: 13px; overflow-wrap: anywhere; white-space: pre-wrap }\
code { font-size: 14px; overflow-wrap: anywhere; white-space: pre-wrap }\
figure { margin: 1.5rem 0 } svg { width: 100%; height: auto }";

impl Plot {
    fn svg(&self) -> Result<String> {
        let values = self.lines.iter().flatten().copied();
        let highest = values.fold(1.0, f64::max) * 1.05;
        let seconds = self.lines.iter().map(Vec::len).max().unwrap_or(0) as f64;
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
            let failed = |error: &dyn std::fmt::Display| anyhow!("drawing: {error}");
            area.fill(&TRANSPARENT).map_err(|error| failed(&error))?;
            let mut chart = ChartBuilder::on(&area)
                .margin(5)
                .margin_right(15)
                .x_label_area_size(40)
                .y_label_area_size(75)
                .build_cartesian_2d(0.0..seconds.max(1.0), 0.0..highest)
                .map_err(|error| failed(&error))?;
            chart
                .configure_mesh()
                .disable_x_mesh()
                .disable_y_mesh()
                .axis_style(AXIS)
                .label_style(("sans-serif", 17, &AXIS))
                .y_labels(5)
                .x_label_formatter(&|second| format!("{second:.0}"))
                .y_label_formatter(&|value| short(*value))
                .x_desc("s")
                .draw()
                .map_err(|error| failed(&error))?;
            for (line, colour) in self.lines.iter().zip(&LINES) {
                // What a second brought is known at its end.
                let points = (1_u32..).zip(line).map(|(second, value)| (f64::from(second), *value));
                chart.draw_series(LineSeries::new(points, colour)).map_err(|error| failed(&error))?;
            }
            for mark in &self.marks {
                let points = [(*mark, 0.0), (*mark, highest)];
                chart
                    .draw_series(DashedLineSeries::new(points, 4, 4, MARK.into()))
                    .map_err(|error| failed(&error))?;
            }
            area.present().map_err(|error| failed(&error))?;
        }
        // It is as wide as the page: the size is that of its coordinates.
        let (width, height) = SIZE;
        let size = format!("width=\"{width}\" height=\"{height}\" ");
        Ok(svg.replacen(&size, "", 1))
    }
}

/// A number with at most four digits and the unit's prefix.
fn short(value: f64) -> String {
    let (scaled, prefix) = match value {
        value if value >= 1e9 => (value / 1e9, " G"),
        value if value >= 1e6 => (value / 1e6, " M"),
        value if value >= 1e4 => (value / 1e3, " k"),
        value => (value, ""),
    };
    let digits = usize::from(scaled < 10.0 && scaled.fract() != 0.0);
    format!("{scaled:.digits$}{prefix}")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_on_an_axis_are_short() {
        let cases = [
            (0.0, "0"),
            (0.5, "0.5"),
            (250.0, "250"),
            (9_000.0, "9000"),
            (45_000.0, "45 k"),
            (2.5e6, "2.5 M"),
        ];
        for (value, text) in cases {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn what_is_written_on_a_page_is_no_html() -> Result<()> {
        let plot = Plot { title: "<b>".into(), lines: vec![vec![1.0, 2.0], vec![2.0]], marks: vec![0.5] };
        let page = document("A & B", "<i>", "<u>", &[plot], "<s>")?;
        assert!(page.contains("Dashed red lines"), "{page}");
        assert!(page.contains("A &amp; B") && page.contains("&lt;b&gt;") && page.contains("<svg"), "{page}");
        assert!(!["<b>", "<i>", "<u>", "<s>"].iter().any(|tag| page.contains(tag)), "{page}");
        Ok(())
    }
}
