//! A segment: a file of records, named by epoch and first offset. Reading it tells records from what is damaged.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use tiercast_codec::{Epoch, Offset};

use super::record::{HEADER_BYTES, Header, Record};

const BUFFER_BYTES: usize = 256 << 10;

/// What begins a segment, as its file's name says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SegmentName {
    pub(super) epoch: Epoch,
    pub(super) first: Offset,
}

impl SegmentName {
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (epoch, first) = name.strip_suffix(".log")?.split_once('-')?;
        Some(Self { epoch: epoch.parse().ok()?, first: first.parse().ok().filter(|first| *first >= 0)? })
    }
}

impl std::fmt::Display for SegmentName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{:016}.log", self.epoch, self.first)
    }
}

/// What stands at a place of a segment.
#[derive(Debug)]
pub(super) enum Found {
    /// A whole record, and where it begins.
    Record(u64, Record),
    /// So many bytes that are no record, or no longer one, up to the next record or the end.
    Damage(u64),
    /// From this place to the end: the beginning of a record, whose writing was interrupted.
    Torn(u64),
    /// Nothing more.
    End,
}

/// Reads a segment from one record to the next.
#[derive(Debug)]
pub(super) struct Scan {
    file: BufReader<File>,
    epoch: Epoch,
    place: u64,
    length: u64,
    /// The offset that comes next if nothing is missing.
    next: Offset,
}

impl Scan {
    /// Reads from `place`, where a record of `next` begins, up to `length` at most.
    pub(super) fn open(path: &Path, epoch: Epoch, next: Offset, place: u64, length: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len().min(length);
        let place = file.seek(SeekFrom::Start(place.min(length)))?;
        Ok(Self { file: BufReader::with_capacity(BUFFER_BYTES, file), epoch, place, length, next })
    }

    /// The offset after the last record.
    pub(super) fn next_offset(&self) -> Offset {
        self.next
    }

    pub(super) fn next(&mut self) -> io::Result<Found> {
        let (at, rest) = (self.place, self.length - self.place);
        if rest == 0 {
            return Ok(Found::End);
        }
        if rest < HEADER_BYTES as u64 {
            return Ok(self.torn());
        }
        let mut head = [0; HEADER_BYTES];
        self.file.read_exact(&mut head)?;
        let header = Header::parse(&head).filter(|header| self.may_come(header, u64::MAX));
        match header {
            Some(header) if header.record_bytes() > rest => Ok(self.torn()),
            Some(header) => {
                let mut payload = vec![0; header.payload_bytes()];
                self.file.read_exact(&mut payload)?;
                match header.with(payload) {
                    Some(record) => Ok(self.record(at, record)),
                    None => self.damage(),
                }
            }
            None => self.damage(),
        }
    }

    fn record(&mut self, at: u64, record: Record) -> Found {
        self.place = at + record.header.record_bytes();
        self.next = record.header.last() + 1;
        Found::Record(at, record)
    }

    fn torn(&mut self) -> Found {
        Found::Torn(std::mem::replace(&mut self.place, self.length))
    }

    /// Whether a record may stand here if `skipped` bytes before it are no records. Each event takes a byte and more.
    fn may_come(&self, header: &Header, skipped: u64) -> bool {
        let most = self.next.saturating_add_unsigned(skipped);
        header.epoch == self.epoch
            && (self.next..=most).contains(&header.first)
            && header.last() >= header.first
    }

    /// Looks for the next record. What a publisher wrote into a body is not taken for one unless it stands in damage and
    /// bears this epoch, a possible offset and both checksums: only who may publish anyway can bring that about.
    fn damage(&mut self) -> io::Result<Found> {
        let at = self.place;
        let mut rest = vec![0; (self.length - at) as usize];
        self.file.seek(SeekFrom::Start(at))?;
        self.file.read_exact(&mut rest)?;
        let is_record = |skipped: &usize| self.is_record(&rest[*skipped..], *skipped as u64);
        let skipped = (1..rest.len()).find(is_record).unwrap_or(rest.len()) as u64;
        self.place = at + skipped;
        self.file.seek(SeekFrom::Start(self.place))?;
        Ok(Found::Damage(skipped))
    }

    fn is_record(&self, bytes: &[u8], skipped: u64) -> bool {
        // Most places are ruled out by the epoch, which costs next to nothing.
        let has_epoch = bytes.get(8..16) == Some(&self.epoch.to_be_bytes());
        let Some((head, rest)) = bytes.split_first_chunk().filter(|_| has_epoch) else { return false };
        let header = Header::parse(head).filter(|header| self.may_come(header, skipped));
        header.is_some_and(|header| {
            rest.get(..header.payload_bytes()).is_some_and(|payload| header.fits(payload))
        })
    }
}
