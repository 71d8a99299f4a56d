//! Where on the earth an address is, as a MaxMind database says. An address is looked up when its session begins, and neither
//! it nor what is found is logged or shown to anybody.

use std::{
    fmt, io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use maxminddb::{LookupResult, MaxMindDbError, Reader};
use serde::Deserialize;
use tiercast_mesh::hub::Location;

/// So many networks are looked at for one that has a location. In a database of cities next to all have.
const LOOKED_AT: usize = 1_000;

/// A database of locations, in memory.
pub struct GeoDatabase(Reader<Vec<u8>>);

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GeoDatabaseError {
    /// The file cannot be read.
    #[error("geo_database_file {path}: {reason}: correct the path, or leave geo_database_file out")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why. No `source`: whoever prints the chain of causes would say it twice.
        reason: io::Error,
    },
    /// The file is no database, or only a part of one.
    #[error(
        "geo_database_file {path}: {reason}: get the .mmdb file again, unpacked, or leave geo_database_file out"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: MaxMindDbError,
    },
    /// A database of something else.
    #[error(
        "geo_database_file {path}: no locations in a database of type `{kind}`: take one of cities, such as GeoLite2-City, or leave geo_database_file out"
    )]
    NoLocations {
        /// The file.
        path: PathBuf,
        /// Its type, as it says itself.
        kind: String,
    },
}

/// What is read of a network's record.
#[derive(Deserialize)]
struct Record {
    location: Option<Coordinates>,
}

#[derive(Deserialize)]
struct Coordinates {
    latitude: Option<f64>,
    longitude: Option<f64>,
}

impl GeoDatabase {
    /// Reads a file of the format `.mmdb`.
    pub fn open(path: &Path) -> Result<Self, GeoDatabaseError> {
        let reader = Reader::open_readfile(path).map_err(|error| match error {
            MaxMindDbError::Io(reason) => GeoDatabaseError::Io { path: path.to_owned(), reason },
            reason => GeoDatabaseError::Damaged { path: path.to_owned(), reason },
        })?;
        if has_locations(&reader) {
            return Ok(Self(reader));
        }
        let kind = reader.metadata().database_type.clone();
        Err(GeoDatabaseError::NoLocations { path: path.to_owned(), kind })
    }

    /// Where an address is, if that is known.
    pub fn locate(&self, address: IpAddr) -> Option<Location> {
        location(&self.0.lookup(address.to_canonical()).ok()?)
    }
}

impl fmt::Debug for GeoDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GeoDatabase").field(self.0.metadata()).finish()
    }
}

fn has_locations(reader: &Reader<Vec<u8>>) -> bool {
    let networks = reader.networks(Default::default()).into_iter().flatten();
    networks.take(LOOKED_AT).flatten().any(|found| location(&found).is_some())
}

fn location(found: &LookupResult<'_, Vec<u8>>) -> Option<Location> {
    let Coordinates { latitude, longitude } = found.decode::<Record>().ok()??.location?;
    Location::new(latitude?, longitude?)
}
