//! The store: the events of an embedded channel on disk, a log in segments, with no more knowledge of the server than that.
//!
//! Below `data_dir` each channel has a folder, `NAME.channel`, and in it segments, files of records (`store/record.rs`)
//! named `EPOCH-OFFSET.log` after their first offset. A segment ends where the next begins, whatever else is in it.
//!
//! **Durable** means: the bytes of the event, and everything that is needed to find them, were written and `fdatasync` has
//! returned for them; a new file's folder was synced, too. What the kernel and the disk promise of that holds for the event:
//! it outlives a `kill -9` in any case, and a loss of power if the disk does not lie about what it has written.
//!
//! **What is lost is told.** Every record bears checksums. Where some are damaged, reading goes on behind them, and says so by
//! where a `Page` begins. At the start the newest segment is read. A last record that is there in part was never
//! confirmed, and is cut off. One that is there in full but damaged may have been: then the numbering goes on beyond what the
//! damaged bytes can have held, so that no offset is ever given twice.
//!
//! A log of ours and no database: a channel is a log, and what databases do when their own log is damaged in the middle
//! (cut it off there, or refuse) is what must not happen here.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tiercast_codec::{ChannelName, Epoch, Message, Offset, Position};
use tiercast_mesh::Time;
use tracing::{error, warn};

mod folder;
mod reader;
mod record;
mod recovery;
mod segment;
#[cfg(test)]
mod tests;

pub(crate) use folder::Folder;
use folder::{failed, sync_folder};
#[cfg(test)]
use reader::Page;
pub(crate) use reader::{PageLimits, Reader};
use segment::SegmentName;

/// What is kept of a channel, and in which pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Events that are older are removed. Default a week.
    pub max_age: Duration,
    /// With more bytes on disk the oldest are removed. Default 1 GiB.
    pub max_bytes: u64,
    /// A segment that is larger gets no more records. Only whole segments are removed. Default 16 MiB.
    pub segment_bytes: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { max_age: Duration::from_secs(7 * 86_400), max_bytes: 1 << 30, segment_bytes: 16 << 20 }
    }
}

/// Why events cannot be kept or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file or folder cannot be read or written.
    #[error("data_dir: {path}: {reason}: let the server write there, make room, or choose another folder")]
    Io {
        /// What cannot be read or written.
        path: PathBuf,
        /// Why. No `source`: whoever prints the chain of causes would say it twice.
        reason: io::Error,
    },
    /// Another process has the folder.
    #[error("data_dir: {path} is in use by another server: stop that, or choose another folder")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// Written by another version.
    #[error(
        "data_dir: {path}: `{found}` is no format that this version knows: use the version that wrote it, or choose another folder"
    )]
    UnknownFormat {
        /// The file that says the format.
        path: PathBuf,
        /// What it says.
        found: String,
    },
}

/// The events of one channel. Whoever has it appends; it gives out readers.
#[derive(Debug)]
pub(crate) struct Store {
    shared: Arc<Shared>,
    /// The newest segment.
    file: File,
    /// What the newest segment holds may not be what was confirmed: the next records begin another one.
    is_spoilt: bool,
    retention: Retention,
    /// Keeps other processes away.
    _folder: Folder,
}

/// What a store and its readers both look at.
#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    epoch: Epoch,
    index: Mutex<Index>,
}

/// Which segments there are. There is always one.
#[derive(Debug)]
struct Index {
    segments: VecDeque<Segment>,
    /// The offset after the last durable one.
    next: Offset,
    /// Stretches of damage that were come across.
    damages: u64,
    /// Times that records were made durable.
    syncs: u64,
}

/// A segment, as far as it is durable.
#[derive(Debug)]
struct Segment {
    first: Offset,
    bytes: u64,
    /// When its first record was written; of older segments that is not known.
    begun: Option<Time>,
    /// When its last record was written, about.
    written: Time,
    /// Where some of its records begin, by first offset, so that reading need not begin at the start.
    marks: BTreeMap<Offset, u64>,
    /// Its damage has been told.
    is_damaged: bool,
}

/// What there is, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) bytes: u64,
    /// The offset of the oldest event; that of the next one if there is none.
    pub(crate) oldest: Offset,
    /// Stretches of damage that were come across since the start.
    pub(crate) damages: u64,
    /// Times that records were made durable since the start.
    pub(crate) syncs: u64,
}

/// Bytes between two marks.
const MARK_BYTES: u64 = 256 << 10;

/// A segment gets no more records when its first one has this share of the age at which events are removed, so that what is
/// too old does not stay much longer because of what is not.
const AGE_SHARE: u32 = 8;

impl Store {
    /// Opens a channel's events. Where there are none a new numbering begins, in the epoch that is given then.
    pub(crate) fn open<E: From<StoreError>>(
        folder: &Folder,
        channel: &ChannelName,
        retention: Retention,
        now: Time,
        new_epoch: impl FnOnce() -> Result<Epoch, E>,
    ) -> Result<Self, E> {
        let path = folder.path.join(format!("{channel}.channel"));
        let segments = recovery::segments(&path)?;
        let epoch = segments.as_ref().map_or_else(new_epoch, |(epoch, _)| Ok(*epoch))?;
        let segments = segments.map(|(_, segments)| segments).unwrap_or_default();
        Ok(recovery::recover(folder, path, epoch, segments, retention, now)?)
    }

    /// Who reads from it.
    pub(crate) fn reader(&self) -> Reader {
        Reader::new(self.shared.clone())
    }

    /// Its last event, durable.
    pub(crate) fn position(&self) -> Position {
        Position::new(self.shared.epoch, self.shared.index().next - 1)
    }

    /// Keeps what publishers published, each of them all or nothing, in this order. When it returns all of it is durable;
    /// if that failed, none of it was published. Gives the offset of the first event; the others follow one by one.
    ///
    /// After a failure the next call begins another segment. If not even taking back what was half written succeeds, and the
    /// process ends before that next call, then the next start may find events that were refused.
    pub(crate) fn append(&mut self, now: Time, published: &[Vec<Message>]) -> Result<Offset, StoreError> {
        if self.is_due_for_another(now) {
            self.begin_segment(now)?;
        }
        let (epoch, first, place) = (self.shared.epoch, self.next(), self.newest_bytes());
        let (mut buffer, mut next) = (Vec::new(), first);
        let mut marks = Vec::new();
        for messages in published.iter().filter(|messages| !messages.is_empty()) {
            marks.push((next, place + buffer.len() as u64));
            record::encode(&mut buffer, epoch, next, now, messages);
            next += messages.len() as Offset;
        }
        let written = self.file.write_all_at(&buffer, place).and_then(|()| self.file.sync_data());
        if let Err(reason) = written {
            self.take_back(place);
            return Err(failed(&self.newest_path())(reason));
        }
        let mut index = self.shared.index();
        index.next = next;
        index.syncs += 1;
        index.newest().grow(now, buffer.len() as u64, &marks);
        Ok(first)
    }

    /// Removes what is too old or too much. Gives how many segments that were.
    pub(crate) fn retain(&mut self, now: Time) -> Result<usize, StoreError> {
        let Retention { max_age, max_bytes, .. } = self.retention;
        let is_over = |index: &Index| index.bytes() > max_bytes;
        let is_old = |segment: &Segment| now.since(segment.written) > max_age;
        let is_newest_old = |newest: &mut Segment| newest.bytes > 0 && is_old(newest);
        if is_newest_old(self.shared.index().newest()) {
            self.begin_segment(now)?;
        }
        let mut removed = Vec::new();
        let mut index = self.shared.index();
        while index.segments.len() > 1 && (is_over(&index) || is_old(&index.segments[0])) {
            removed.extend(index.segments.pop_front());
        }
        drop(index);
        for segment in &removed {
            let path = self.shared.path(segment.first);
            fs::remove_file(&path).or_else(ignore_missing).map_err(failed(&path))?;
        }
        Ok(removed.len())
    }

    fn is_due_for_another(&self, now: Time) -> bool {
        let mut index = self.shared.index();
        let newest = index.newest();
        let is_old = newest.begun.is_some_and(|begun| now.since(begun) > self.retention.max_age / AGE_SHARE);
        self.is_spoilt || newest.bytes >= self.retention.segment_bytes || is_old
    }

    fn begin_segment(&mut self, now: Time) -> Result<(), StoreError> {
        let first = self.next();
        self.file = create_segment(&self.shared.path(first))?;
        self.is_spoilt = false;
        let mut index = self.shared.index();
        // One without a record has the same name.
        if index.newest().first == first {
            index.segments.pop_back();
        }
        index.segments.push_back(Segment::new(first, now));
        Ok(())
    }

    /// Cuts off what was not confirmed.
    fn take_back(&mut self, place: u64) {
        self.is_spoilt = true;
        if let Err(error) = self.file.set_len(place).and_then(|()| self.file.sync_data()) {
            let path = self.newest_path();
            warn!(path = %path.display(), %error, "events that were refused cannot be taken back from the disk");
        }
    }

    fn next(&self) -> Offset {
        self.shared.index().next
    }

    fn newest_bytes(&self) -> u64 {
        self.shared.index().newest().bytes
    }

    fn newest_path(&self) -> PathBuf {
        self.shared.path(self.shared.index().newest().first)
    }
}

impl Shared {
    fn path(&self, first: Offset) -> PathBuf {
        self.folder.join(SegmentName { epoch: self.epoch, first }.to_string())
    }

    /// Nothing is left half done in it: whoever panicked with it in hand has spoilt nothing.
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    fn newest(&mut self) -> &mut Segment {
        self.segments.back_mut().expect("there is always one")
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }
}

impl Segment {
    fn new(first: Offset, now: Time) -> Self {
        Self { first, bytes: 0, begun: None, written: now, marks: BTreeMap::new(), is_damaged: false }
    }

    /// So many bytes were added, with records at `marks`.
    fn grow(&mut self, now: Time, bytes: u64, marks: &[(Offset, u64)]) {
        self.bytes += bytes;
        self.begun = self.begun.or(Some(now));
        self.written = now;
        marks.iter().for_each(|(offset, place)| self.mark(*offset, *place));
    }

    /// A record of `offset` begins at `place`.
    fn mark(&mut self, offset: Offset, place: u64) {
        let before = self.marks.range(..=offset).next_back().map_or(0, |(_, place)| *place);
        if place >= before + MARK_BYTES {
            self.marks.insert(offset, place);
        }
    }
}

/// An empty segment, durable.
fn create_segment(path: &Path) -> Result<File, StoreError> {
    let create = || {
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
        file.sync_all()?;
        path.parent().map_or(Ok(()), sync_folder)?;
        Ok(file)
    };
    create().map_err(failed(path))
}

fn ignore_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// Whoever operates the server reads it here; readers are told by a gap.
fn say_damaged(path: &Path, offset: Offset) {
    let path = path.display();
    error!(%path, offset, "damaged: the events from this offset on are lost, up to the next one that is whole");
}
