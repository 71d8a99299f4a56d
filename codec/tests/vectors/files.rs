//! The vector files: written with `UPDATE_VECTORS=1`, otherwise compared.

use std::path::PathBuf;

use serde_json::Value;

/// Every vector file. A file that is not named here fails a test, and so does a name without a file.
pub const ALL: [&str; 13] = [
    "channels.json",
    "chunks.json",
    "codes.json",
    "frames.json",
    "heads.json",
    "limits.json",
    "lossy.json",
    "malformed.json",
    "messages.json",
    "names.json",
    "nacks.json",
    "positions.json",
    "signatures.json",
];

pub fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file)
}

pub fn is_updating() -> bool {
    std::env::var_os("UPDATE_VECTORS").is_some()
}

/// The cases of a file, as committed.
pub fn committed(file: &str) -> Vec<Value> {
    assert!(ALL.contains(&file), "{file} is not in the list of vector files");
    let text = std::fs::read_to_string(path(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Writes `built`, or checks that the file holds exactly these cases. Gives what the file holds.
///
/// `same` says whether a committed case is still good where its bytes may differ from the built one.
pub fn golden(file: &str, built: Vec<Value>, same: impl Fn(&Value, &Value) -> bool) -> Vec<Value> {
    if is_updating() {
        let mut text = serde_json::to_string_pretty(&built).unwrap();
        text.push('\n');
        std::fs::write(path(file), text).unwrap();
        return built;
    }
    let golden = committed(file);
    let names =
        |cases: &[Value]| -> Vec<String> { cases.iter().map(|case| case["name"].to_string()).collect() };
    assert_eq!(names(&golden), names(&built), "{file} is stale: run with UPDATE_VECTORS=1");
    for (golden, built) in golden.iter().zip(&built) {
        assert!(same(golden, built), "{file} is stale: run with UPDATE_VECTORS=1\n{golden:#}\n{built:#}");
    }
    golden
}

/// Every byte counts.
pub fn exactly(golden: &Value, built: &Value) -> bool {
    golden == built
}

/// Everything counts but `fields`, which hang on what a compressor does.
pub fn except(fields: &[&str]) -> impl Fn(&Value, &Value) -> bool {
    move |golden, built| {
        let without = |case: &Value| {
            let mut case = case.clone();
            for field in fields {
                *case.pointer_mut(field).unwrap_or_else(|| panic!("{field} is there")) = Value::Null;
            }
            case
        };
        without(golden) == without(built)
    }
}
