//! Where peers come from decides who is whose parent, among places that are as good as each other.

use std::{fs, path::PathBuf};

use anyhow::{Context, ensure};
use tempfile::TempDir;
use tiercast_codec::{NodeKind, PeerId, Relay, Since, ToPeer};
use tiercast_signaling_server::{Config, GeoDatabase, Server, Tier1};

use crate::{client::Client, config, http_client, mmdb::database, start};

const BERLIN: [f64; 2] = [52.52, 13.405];
const SYDNEY: [f64; 2] = [-33.869, 151.209];

/// What is written to a file, which is there as long as the folder.
fn file(bytes: &[u8]) -> anyhow::Result<(TempDir, PathBuf)> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("places.mmdb");
    fs::write(&path, bytes)?;
    Ok((folder, path))
}

fn cities() -> Vec<u8> {
    let networks = [
        ("192.0.2.0/24", Some(BERLIN)),
        ("198.51.100.0/25", Some(SYDNEY)),
        ("198.51.100.128/25", None),
        ("2001:db8:7::/48", Some(SYDNEY)),
    ];
    database("Test-City", &networks)
}

/// A server behind a proxy, with two peers in tier 1.
async fn server(geo_database_file: Option<PathBuf>) -> anyhow::Result<Server> {
    let mut config = Config { behind_proxy: true, geo_database_file, ..config() };
    config.hub.tier1 = Tier1 { min: 2, max: 2 };
    start(config).await
}

/// A peer comes from an address, and takes so many children.
async fn come(server: &Server, address: &str, children_max: u16) -> anyhow::Result<Client> {
    let mut client = Client::connect_from(server.addr(), address).await?;
    let relay = Relay { node: NodeKind::Native, children_max };
    let subscribed = client.subscribe_as("events", Since::Now, Some(relay)).await?;
    subscribed.map_err(|error| anyhow::anyhow!("refused: {error:?}"))?;
    Ok(client)
}

/// Who is to feed a leaf that comes from an address.
async fn parent_of_one_from(server: &Server, address: &str) -> anyhow::Result<PeerId> {
    let mut leaf = come(server, address, 0).await?;
    loop {
        if let ToPeer::Assign(assign) = leaf.control().await? {
            return Ok(assign.parent);
        }
    }
}

#[tokio::test]
async fn peers_get_parents_that_are_near_them() -> anyhow::Result<()> {
    let (_folder, path) = file(&cities())?;
    let server = server(Some(path)).await?;
    let in_berlin = come(&server, "192.0.2.1", 9).await?;
    let in_sydney = come(&server, "198.51.100.1", 9).await?;
    for (address, near) in [
        ("198.51.100.2", &in_sydney),
        ("2001:db8:7::1", &in_sydney),
        ("10.0.0.1, 198.51.100.3", &in_sydney),
        ("::ffff:198.51.100.4", &in_sydney),
        ("192.0.2.2", &in_berlin),
        // Nobody knows where it is: it goes where there are the fewest.
        ("203.0.113.1", &in_berlin),
    ] {
        let parent = parent_of_one_from(&server, address).await?;
        ensure!(parent == near.welcome.peer, "{address} is fed by {parent}");
    }
    let metrics = http_client::get(server.addr(), "/metrics", &[]).await?.body;
    for line in [
        "tiercast_channel_links_in_one_network_total{channel=\"events\"} 4",
        "tiercast_channel_links_located_total{channel=\"events\"} 1",
        "tiercast_channel_links_km_total{channel=\"events\"} 0",
    ] {
        ensure!(metrics.contains(line), "{line}: {metrics}");
    }
    Ok(())
}

#[tokio::test]
async fn without_a_database_peers_of_one_network_are_near_each_other() -> anyhow::Result<()> {
    let server = server(None).await?;
    let (_one, other) = (come(&server, "192.0.2.1", 9).await?, come(&server, "198.51.100.1", 9).await?);
    for address in ["198.51.100.2", "198.51.100.200"] {
        let parent = parent_of_one_from(&server, address).await?;
        ensure!(parent == other.welcome.peer, "{address} is fed by {parent}");
    }
    Ok(())
}

#[test]
fn addresses_are_located_by_the_network_that_they_are_in() -> anyhow::Result<()> {
    let (_folder, path) = file(&cities())?;
    let places = GeoDatabase::open(&path)?;
    let km = |address: &str, to: [f64; 2]| {
        let to = tiercast_mesh::hub::Location::new(to[0], to[1])?;
        Some(places.locate(address.parse().ok()?)?.km(to))
    };
    for (address, place) in
        [("192.0.2.255", BERLIN), ("198.51.100.127", SYDNEY), ("2001:db8:7:ffff::1", SYDNEY)]
    {
        ensure!(km(address, place) == Some(0), "{address}: {:?}", km(address, place));
    }
    for unknown in ["198.51.100.128", "203.0.113.1", "127.0.0.1", "10.0.0.1", "2001:db8:8::1", "::1"] {
        ensure!(km(unknown, BERLIN).is_none(), "{unknown}");
    }
    Ok(())
}

#[tokio::test]
async fn a_database_that_cannot_be_used_is_said_with_its_key_and_what_to_do() -> anyhow::Result<()> {
    let whole = cities();
    let numbers = database("Test-ASN", &[("192.0.2.0/24", None)]);
    let impossible = database("Test-City", &[("192.0.2.0/24", Some([99.0, 0.0]))]);
    for (bytes, said) in [
        (&b""[..], "get the .mmdb file again"),
        (b"no database at all", "get the .mmdb file again"),
        (&whole[..whole.len() / 2], "get the .mmdb file again"),
        (&whole[whole.len() / 2..], "get the .mmdb file again"),
        (&numbers, "`Test-ASN`: take one of cities"),
        (&impossible, "`Test-City`: take one of cities"),
    ] {
        let (_folder, path) = file(bytes)?;
        let error = server(Some(path)).await.err().context("it started")?.to_string();
        ensure!(error.contains("geo_database_file") && error.contains(said), "{error}");
    }
    let error = server(Some("/nowhere/places.mmdb".into())).await.err().context("it started")?.to_string();
    ensure!(error.contains("geo_database_file /nowhere/places.mmdb") && error.contains("correct the path"));
    Ok(())
}
