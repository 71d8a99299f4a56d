//! Cards: what became of each incident, as the swarm has measured it.

use std::{
    collections::VecDeque,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

use crate::{
    experiment::{figures::IncidentFigures, measure::Measure},
    villain::Misdeed,
};

/// Most cards; the oldest go.
const CARDS_MAX: usize = 20;

/// What became of an incident, or is becoming.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Card {
    number: u64,
    unix_ms: u64,
    #[serde(flatten)]
    title: Title,
    state: State,
    #[serde(flatten)]
    figures: IncidentFigures,
}

/// What was done, and to whom.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Title {
    pub(super) fault: &'static str,
    /// How many of whom, as the command line would say it.
    pub(super) who: Option<String>,
    pub(super) lie: Option<Misdeed>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Recovering,
    Over,
    /// The next began before it was over.
    CutShort,
}

/// The newest first.
#[derive(Debug, Default)]
pub(super) struct Cards {
    cards: VecDeque<Card>,
    numbers: u64,
}

impl Cards {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Card> {
        self.cards.iter()
    }

    /// The latest incident has a card from now on; the one before it, if it goes on, is no longer measured.
    pub(super) fn add(&mut self, title: Title, measure: &mut Measure) {
        measure.incidents.drain(..measure.incidents.len().saturating_sub(1));
        let Some(latest) = measure.incidents.last() else { return };
        let figures = IncidentFigures::of(measure, latest);
        if let Some(before) = self.cards.front_mut().filter(|before| before.state == State::Recovering) {
            before.state = State::CutShort;
        }
        self.numbers += 1;
        let unix_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        self.cards.push_front(Card {
            number: self.numbers,
            unix_ms,
            title,
            state: State::Recovering,
            figures,
        });
        self.cards.truncate(CARDS_MAX);
    }

    /// Takes what is known now of the incident that goes on. What is over is said for good, and forgotten.
    pub(super) fn refresh(&mut self, measure: &mut Measure) {
        let Some(card) = self.cards.front_mut().filter(|card| card.state == State::Recovering) else {
            return;
        };
        let Some(incident) = measure.incidents.last() else { return };
        card.figures = IncidentFigures::of(measure, incident);
        if incident.recovered.is_some() {
            card.state = State::Over;
            measure.incidents.clear();
        }
    }
}
