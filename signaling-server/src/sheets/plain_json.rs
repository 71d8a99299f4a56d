//! JSON that somebody published, to be put into JSON of ours: in one line, and known to survive being parsed and written
//! again, or known not to.

use serde_json::Value;

/// A JSON text without white space between its parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PlainJson {
    pub(super) text: String,
    /// Whether whoever parses it and writes it again as JavaScript's `JSON.stringify` does has exactly what was published.
    pub(super) is_exact: bool,
}

/// A JSON text of somebody else's, if it is one.
pub(super) fn parse(bytes: &[u8]) -> Option<PlainJson> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    let published = std::str::from_utf8(bytes).ok()?;
    let text = without_space(published);
    let written = serde_json::to_string(&value).ok()?;
    let is_exact = text.len() == published.len() && written == text && is_written_alike(&value);
    Some(PlainJson { text, is_exact })
}

/// Takes out the white space that stands outside of strings.
fn without_space(json: &str) -> String {
    let (mut in_string, mut is_escaped) = (false, false);
    let keep = |c: &char| {
        match (in_string, *c) {
            (true, _) if is_escaped => is_escaped = false,
            (true, '\\') => is_escaped = true,
            (_, '"') => in_string = !in_string,
            _ => {}
        }
        in_string || !matches!(c, ' ' | '\t' | '\n' | '\r')
    };
    json.chars().filter(keep).collect()
}

/// Whether JavaScript writes all parts of a value as we do: it writes 1.0 as 1 and 1e21 as 1e+21, has no integers beyond
/// 2^53, and puts keys that are numbers first.
fn is_written_alike(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => true,
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.unsigned_abs() < 1 << 53,
            (None, Some(float)) => float.fract() != 0.0 && (1e-5..1e15).contains(&float.abs()),
            (None, None) => false,
        },
        Value::Array(items) => items.iter().all(is_written_alike),
        Value::Object(entries) => entries
            .iter()
            .all(|(key, value)| !key.starts_with(|c: char| c.is_ascii_digit()) && is_written_alike(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_goes_but_not_from_strings() {
        let parsed = parse(b" { \"a b\" : [ 1 ,\n\t\"c \\\" d\" ] } ").unwrap();
        assert_eq!(parsed.text, "{\"a b\":[1,\"c \\\" d\"]}");
        assert!(!parsed.is_exact);
        assert_eq!(parse(b"{} {}"), None);
        assert_eq!(parse(b"\"\xff\""), None);
    }

    #[test]
    fn only_what_is_surely_written_alike_everywhere_is_exact() {
        for exact in [
            "{}",
            "[1,-2,0.5]",
            "\"\\n\\u0001\\\"\"",
            "{\"b\":1,\"a\":null}",
            "9007199254740991",
            "123.25",
            "\"\u{fc}\"",
        ] {
            assert!(parse(exact.as_bytes()).unwrap().is_exact, "{exact}");
        }
        for other in [
            "1.0",
            "1e3",
            "-0",
            "1e21",
            "0.0000001",
            "9007199254740993",
            "[1, 2]",
            "\"\\u00fc\"",
            "\"\\/\"",
            "{\"a\":1,\"a\":2}",
            "{\"2\":1,\"1\":2}",
            "123456789012345678901234567890",
            "\"\\u000A\"",
        ] {
            assert!(!parse(other.as_bytes()).unwrap().is_exact, "{other}");
        }
    }
}
