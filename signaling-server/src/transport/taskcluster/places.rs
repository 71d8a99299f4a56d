//! Where a client is in each of its exchanges, and how the ids of events say so.

use std::fmt;

use tiercast_codec::Position;

/// One position for each exchange, in the order of their names. Of one exchange the id is the position itself; of several it is
/// all of them and a checksum, with dots between them, by which an id of other exchanges is told, and one that has lost its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places {
    /// A checksum of the exchanges' names.
    names: u32,
    positions: Vec<Position>,
}

impl Places {
    pub(super) fn new<'a>(
        exchanges: impl IntoIterator<Item = &'a String>,
        positions: impl IntoIterator<Item = Position>,
    ) -> Self {
        // No name holds a null.
        let add =
            |sum, name: &String| crc32c::crc32c_append(crc32c::crc32c_append(sum, name.as_bytes()), &[0]);
        let names = exchanges.into_iter().fold(0, add);
        Self { names, positions: positions.into_iter().collect() }
    }

    /// What an id says; nothing if it is not of these exchanges.
    pub(super) fn read<'a>(
        exchanges: impl IntoIterator<Item = &'a String, IntoIter: ExactSizeIterator>,
        id: &str,
    ) -> Option<Self> {
        let exchanges = exchanges.into_iter();
        let count = exchanges.len();
        let positions: Result<Vec<Position>, _> = id.split('.').take(count).map(str::parse).collect();
        let places = Self::new(exchanges, positions.ok()?);
        (places.positions.len() == count && places.to_string() == id).then_some(places)
    }

    /// In the order of the exchanges' names.
    pub(super) fn positions(&self) -> &[Position] {
        &self.positions
    }

    /// It is here now in this exchange.
    pub(super) fn set(&mut self, nth: usize, position: Position) {
        self.positions[nth] = position;
    }
}

impl fmt::Display for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.positions.iter().map(Position::to_string).collect();
        let text = texts.join(".");
        match self.positions.len() {
            1 => f.write_str(&text),
            _ => write!(f, "{text}.{:08x}", crc32c::crc32c_append(self.names, text.as_bytes())),
        }
    }
}

#[cfg(test)]
mod tests {
    use tiercast_codec::BEFORE_FIRST;

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn an_id_says_where_one_is_in_each_exchange() {
        let exchanges = names(&["a", "b"]);
        let mut places = Places::new(&exchanges, [Position::new(7, 41), Position::new(9, BEFORE_FIRST)]);
        assert!(places.to_string().starts_with("7-41.9--1."), "{places}");
        places.set(1, Position::new(9, 3));
        assert_eq!(Places::read(&exchanges, &places.to_string()), Some(places));
        let one = Places::new(&exchanges[..1], [Position::new(7, 41)]);
        assert_eq!(one.to_string(), "7-41");
        assert_eq!(Places::read(&exchanges[..1], "7-41"), Some(one));
    }

    #[test]
    fn an_id_of_other_exchanges_and_one_that_has_lost_its_end_are_none() {
        let exchanges = names(&["a", "b"]);
        let id = Places::new(&exchanges, [Position::new(7, 41), Position::new(9, 5)]).to_string();
        for other in [names(&["a"]), names(&["a", "c"]), names(&["ab", ""]), names(&["a", "b", "c"])] {
            assert_eq!(Places::read(&other, &id), None, "{other:?}");
        }
        for length in 0..id.len() {
            assert_eq!(Places::read(&exchanges, &id[..length]), None, "{length}");
        }
        for wrong in [format!("{id}0"), id.replace("41", "42"), id.replace('.', ",")] {
            assert_eq!(Places::read(&exchanges, &wrong), None, "{wrong}");
        }
    }
}
