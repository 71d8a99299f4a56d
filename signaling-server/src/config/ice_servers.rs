//! `[[ice_servers]]`: what peers are told about STUN and TURN.

use serde::Deserialize;
use tiercast_codec::IceServer;
use toml::Table;

use super::{
    Config,
    error::{ConfigError, ConfigErrors},
    values::sections,
};

/// Reads them. `found` holds what has the wrong shape, and gets what else is wrong.
pub(super) fn read(table: &Table, config: &mut Config, found: &mut ConfigErrors) {
    for (place, section) in sections(table, "ice_servers") {
        // What stands in a section of the wrong shape is told once its shape is right.
        if found.concern(&place) {
            continue;
        }
        match IceServer::deserialize(section.clone()) {
            Ok(server) => {
                check(&place, &server, found);
                config.hub.ice_servers.push(server);
            }
            Err(error) => found.add(ConfigError::new(place, error.message())),
        }
    }
}

fn check(place: &str, server: &IceServer, found: &mut ConfigErrors) {
    let known =
        |url: &String| ["stun:", "stuns:", "turn:", "turns:"].iter().any(|scheme| url.starts_with(scheme));
    let is_turn = |url: &String| url.starts_with("turn");
    if server.urls.is_empty() || !server.urls.iter().all(known) {
        let problem = "write addresses such as [\"stun:stun.example.org:3478\"] (stun, stuns, turn or turns)";
        found.add(ConfigError::new(format!("{place}.urls"), problem));
    }
    if server.urls.iter().any(is_turn) && (server.username.is_none() || server.credential.is_none()) {
        let problem = "a TURN server needs `username` and `credential`: add them";
        found.add(ConfigError::new(place, problem));
    }
}
