//! The start: what of a channel's newest segment was confirmed, and which offset comes next.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::UNIX_EPOCH,
};

use tiercast_codec::{Epoch, Offset};
use tiercast_mesh::Time;
use tracing::warn;

use super::{
    Folder, Index, Retention, Segment, Shared, Store, StoreError, create_segment,
    folder::{failed, sync_folder},
    say_damaged,
    segment::{Found, Scan, SegmentName},
};

/// The segments of the latest epoch, oldest first. None if there are none. The folder is made if it is not there.
pub(super) fn segments(folder: &Path) -> Result<Option<(Epoch, VecDeque<Segment>)>, StoreError> {
    if !folder.exists() {
        let made = fs::create_dir(folder).and_then(|()| folder.parent().map_or(Ok(()), sync_folder));
        made.map_err(failed(folder))?;
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let entry = entry.map_err(failed(folder))?;
        match entry.file_name().to_str().and_then(SegmentName::parse) {
            Some(name) => names.push(name),
            None => warn!(path = %entry.path().display(), "this is no segment of events: left alone"),
        }
    }
    names.sort_unstable();
    let Some(epoch) = names.last().map(|newest| newest.epoch) else { return Ok(None) };
    let latest = names.into_iter().filter(|name| name.epoch == epoch);
    let segments = latest.map(|name| found(folder, name)).collect::<Result<_, _>>()?;
    Ok(Some((epoch, segments)))
}

/// A segment that is there.
fn found(folder: &Path, name: SegmentName) -> Result<Segment, StoreError> {
    let path = folder.join(name.to_string());
    let metadata = path.metadata().map_err(failed(&path))?;
    let since_epoch = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let written = Time(since_epoch.unwrap_or_default().as_micros() as u64);
    Ok(Segment { bytes: metadata.len(), ..Segment::new(name.first, written) })
}

/// Where a segment really ends.
#[derive(Debug)]
struct End {
    next: Offset,
    /// The numbering cannot go on in this segment: what is damaged at its end may have been confirmed.
    is_damaged: bool,
}

/// The store, ready for what comes next.
pub(super) fn recover(
    folder: &Folder,
    path: PathBuf,
    epoch: Epoch,
    mut segments: VecDeque<Segment>,
    retention: Retention,
    now: Time,
) -> Result<Store, StoreError> {
    let name = |first| path.join(SegmentName { epoch, first }.to_string());
    let (mut next, mut damages, mut file) = (0, 0, None);
    if let Some(newest) = segments.back_mut() {
        let path = name(newest.first);
        let end = scan(&path, epoch, newest, &mut damages)?;
        next = end.next;
        let synced = sync(&path).map_err(failed(&path))?;
        file = Some(synced).filter(|_| !end.is_damaged);
    }
    let file = match file {
        Some(file) => file,
        None => {
            segments.push_back(Segment::new(next, now));
            create_segment(&name(next))?
        }
    };
    let index = Mutex::new(Index { segments, next, damages, syncs: 0 });
    let shared = Arc::new(Shared { folder: path, epoch, index });
    Ok(Store { shared, file, is_spoilt: false, retention, _folder: folder.clone() })
}

/// Reads the newest segment from its beginning to its end, and cuts off what was never confirmed.
fn scan(path: &Path, epoch: Epoch, segment: &mut Segment, damages: &mut u64) -> Result<End, StoreError> {
    let scanned = Scan::open(path, epoch, segment.first, 0, segment.bytes);
    let mut scan = scanned.map_err(failed(path))?;
    let mut damage = 0;
    loop {
        match scan.next().map_err(failed(path))? {
            Found::Record(at, record) => {
                let (first, time) = (record.header.first, record.header.time);
                segment.begun = segment.begun.or(Some(time));
                segment.written = time;
                segment.mark(first, at);
                damage = 0;
            }
            Found::Damage(bytes) => {
                say_damaged(path, scan.next_offset());
                segment.is_damaged = true;
                *damages += 1;
                damage = bytes;
            }
            Found::Torn(at) => {
                let (path_shown, bytes) = (path.display(), segment.bytes - at);
                warn!(path = %path_shown, bytes, "the last write was interrupted and never confirmed: cut off");
                cut_off(path, at)?;
                segment.bytes = at;
            }
            // Each event takes a byte and more: beyond so many no offset has been given.
            Found::End => {
                let next = scan.next_offset().saturating_add_unsigned(damage);
                return Ok(End { next, is_damaged: damage > 0 });
            }
        }
    }
}

/// Makes durable what was read: a killed server may have written it without having come to its sync.
fn sync(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.sync_all()?;
    Ok(file)
}

fn cut_off(path: &Path, at: u64) -> Result<(), StoreError> {
    let cut = OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(at));
    cut.map_err(failed(path))
}
