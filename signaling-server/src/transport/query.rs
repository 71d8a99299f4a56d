//! What a request asks for in its query: `since`, `match`, and what its transport takes besides.

use std::{ops::RangeInclusive, str::FromStr};

use axum::http::StatusCode;
use tiercast_codec::{Code, Pattern, Since};

use crate::{api_error::ApiError, visitor::KEY};

/// The query parameters that the log tells of.
pub(crate) const SINCE: &str = "since";
pub(crate) const EXCHANGE: &str = "exchange";

/// The parameters of a query, each taken by who knows it. What nobody took is refused in the end, with what there is.
#[derive(Debug)]
pub(super) struct Query {
    left: Vec<(String, String)>,
    known: Vec<&'static str>,
}

impl Query {
    pub(super) fn parse(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        // Who shows a key there has been admitted by it.
        let left = pairs.into_owned().filter(|(name, _)| name != KEY).collect();
        Self { left, known: Vec::new() }
    }

    /// All values of a parameter.
    pub(super) fn all(&mut self, name: &'static str) -> Vec<String> {
        self.known.push(name);
        self.left.extract_if(.., |(key, _)| key == name).map(|(_, value)| value).collect()
    }

    /// A parameter that is given once, or not at all.
    pub(super) fn one(&mut self, name: &'static str) -> Result<Option<String>, ApiError> {
        let mut values = self.all(name);
        match values.len() {
            0 | 1 => Ok(values.pop()),
            _ => Err(bad(
                format!("the query parameter {name} is given {} times", values.len()),
                "give it once",
            )),
        }
    }

    /// A parameter that is read in the way of its type.
    pub(super) fn read<T: FromStr<Err: ToString>>(
        &mut self,
        name: &'static str,
        fix: &str,
    ) -> Result<Option<T>, ApiError> {
        let read = |text: String| {
            text.parse().map_err(|error: T::Err| bad(format!("{name}={text}: {}", error.to_string()), fix))
        };
        self.one(name)?.map(read).transpose()
    }

    /// A whole number within bounds.
    pub(super) fn number(
        &mut self,
        name: &'static str,
        bounds: RangeInclusive<u64>,
    ) -> Result<Option<u64>, ApiError> {
        let fix = format!("write a whole number from {} to {}", bounds.start(), bounds.end());
        match self.read(name, &fix)? {
            Some(number) if !bounds.contains(&number) => {
                Err(bad(format!("{name}={number} is out of bounds"), &fix))
            }
            number => Ok(number),
        }
    }

    /// Where to begin.
    pub(super) fn since(&mut self) -> Result<Option<Since>, ApiError> {
        self.read(SINCE, "write `now`, `earliest`, or a position that an event or an answer named")
    }

    /// Which events: every `match` is a topic pattern.
    pub(super) fn patterns(&mut self, patterns_max: usize) -> Result<Vec<Pattern>, ApiError> {
        let patterns = patterns(&self.all("match"), patterns_max);
        patterns.map_err(|reason| bad(reason, "correct or leave out `match`"))
    }

    /// Refuses what nobody took.
    pub(super) fn end(self) -> Result<(), ApiError> {
        let Some((name, _)) = self.left.first() else { return Ok(()) };
        Err(bad(
            format!("there is no query parameter {name}"),
            &format!("there are: {}", self.known.join(", ")),
        ))
    }
}

/// So many patterns at most; or what is wrong with them.
pub(crate) fn patterns(texts: &[String], patterns_max: usize) -> Result<Vec<Pattern>, String> {
    if texts.len() > patterns_max {
        return Err(format!("{} patterns are more than {patterns_max} (limits.patterns_max)", texts.len()));
    }
    texts.iter().map(|text| text.parse::<Pattern>().map_err(|error| error.to_string())).collect()
}

pub(super) fn bad(error: String, fix: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, error).code(Code::BAD_REQUEST).fix(fix)
}
