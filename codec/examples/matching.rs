//! What it costs to hold a routing key against many topic patterns.
//!
//! `cargo run --release -p tiercast-codec --example matching`

use std::{hint::black_box, time::Instant};

use tiercast_codec::PatternSet;

/// How many patterns a set has.
const SIZES: [usize; 4] = [1, 256, 5_000, 50_000];

/// Keys that are held against each set.
const KEYS: usize = 100_000;

/// Patterns and keys of a kind, by number.
type Kind = (&'static str, fn(usize) -> String, fn(usize) -> String);

const KINDS: [Kind; 4] = [
    ("build.N.#", |nth| format!("build.{nth}.#"), |nth| format!("build.{nth}.rust.done")),
    ("build.*.N", |nth| format!("build.*.{nth}"), |nth| format!("build.rust.{nth}")),
    ("*.N.done", |nth| format!("*.{nth}.done"), |nth| format!("build.{nth}.done")),
    ("#.N", |nth| format!("#.{nth}"), |nth| format!("build.rust.linux.{nth}")),
];

/// Microseconds for a key; half of the keys match.
fn cost_us(size: usize, (_, pattern, key): Kind) -> f64 {
    let set = PatternSet::new((0..size).map(|nth| pattern(nth).parse().expect("a pattern")).collect());
    let keys: Vec<_> = (0..KEYS).map(|nth| key(nth % (2 * size))).collect();
    let begun = Instant::now();
    let matched = keys.iter().filter(|key| set.matches(black_box(key))).count();
    let spent = begun.elapsed();
    black_box(matched);
    spent.as_secs_f64() * 1e6 / KEYS as f64
}

fn main() {
    println!("microseconds to hold a routing key against so many patterns");
    print!("{:<12}", "patterns");
    SIZES.iter().for_each(|size| print!("{size:>10}"));
    println!();
    for kind in KINDS {
        print!("{:<12}", kind.0);
        SIZES.iter().for_each(|size| print!("{:>10.2}", cost_us(*size, kind)));
        println!();
    }
}
