//! Golden bytes: every kind of item and message, and malformed ones with the error each must give.
//!
//! The cases are built here, in code, and compared with the files in `codec/vectors`, which implementations
//! in other languages read too. `UPDATE_VECTORS=1 cargo test -p tiercast-codec --test vectors` writes them.

mod chunks;
mod document;
mod files;
mod frames;
mod heads;
mod json;
mod limits;
mod lossy;
mod malformed;
mod malformed_messages;
mod messages;
mod nacks;
mod ranges;
mod raw;
mod signatures;
mod texts;

use std::collections::BTreeSet;

use tiercast_codec::{Ed25519, Signer, SigningKey, Verifier};

/// A vector file that is not made here, and the source whose tests read it.
const READ_BY_A_UNIT_TEST: (&str, &str) = ("patterns.json", include_str!("../../src/pattern.rs"));

/// Signs every vector.
fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

fn public_key() -> String {
    json::hex(&key().public_key())
}

#[test]
fn every_vector_file_is_read_by_a_test() {
    let directory = std::fs::read_dir(files::path("")).unwrap();
    let there: BTreeSet<_> =
        directory.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let others = ["README.md", READ_BY_A_UNIT_TEST.0];
    let expected = files::ALL.iter().copied().chain(others).map(str::to_owned).collect();
    assert_eq!(there, expected);
    let (file, source) = READ_BY_A_UNIT_TEST;
    assert!(source.contains(&format!("include_str!(\"../vectors/{file}\")")), "nobody reads {file}");
}

#[test]
fn every_vector_file_is_explained() {
    let readme = std::fs::read_to_string(files::path("README.md")).unwrap();
    for file in files::ALL.into_iter().chain([READ_BY_A_UNIT_TEST.0]) {
        assert!(readme.contains(&format!("`{file}`")), "README.md does not mention {file}");
    }
}

#[test]
fn every_kind_of_decode_error_has_a_vector() {
    const NAMES: [&str; 14] = [
        "empty",
        "unknown_kind",
        "truncated",
        "unknown_version",
        "unknown_flags",
        "unknown_dictionary",
        "out_of_range",
        "too_large",
        "bad_payload",
        "bad_events",
        "bad_signature",
        "unknown_message",
        "bad_message",
        "trailing_bytes",
    ];
    let mut seen = BTreeSet::new();
    for file in ["malformed.json", "signatures.json"] {
        for case in files::committed(file) {
            seen.insert(case["error"].as_str().unwrap_or("none").to_owned());
        }
    }
    for name in NAMES {
        assert!(seen.contains(name), "no vector gives {name}");
    }
}

#[test]
fn ed25519_agrees_with_rfc_8032() {
    // Section 7.1, test 2.
    let seed = json::unhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
    let public = json::unhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    let signature = json::unhex(concat!(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da",
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    ));
    let key = SigningKey::from_seed(&seed.try_into().unwrap());
    assert_eq!(key.public_key().as_slice(), public);
    assert_eq!(key.sign(&[0x72]).as_slice(), signature);
    assert!(Ed25519.verify(&key.public_key(), &[0x72], &signature.try_into().unwrap()));
}
