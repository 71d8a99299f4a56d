//! What holds whatever happens to the files: nothing that was confirmed is given wrongly, or missing without a word.

use std::{ops::RangeInclusive, os::unix::fs::FileExt};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const EVERYTHING: PageLimits = PageLimits { events: usize::MAX, bytes: usize::MAX };

const NOW: Time = Time(1_790_000_000_000_000);

/// A folder, and the channel `events` in it.
struct Disk {
    folder: TempDir,
    retention: Retention,
}

impl Disk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), retention: Retention::default() }
    }

    fn try_open(&self) -> Result<Store, StoreError> {
        let folder = Folder::open(self.folder.path())?;
        Store::open(&folder, &"events".parse().unwrap(), self.retention, NOW, || Ok(7))
    }

    fn open(&self) -> Store {
        self.try_open().unwrap()
    }

    /// Its segments, oldest first.
    fn segments(&self) -> Vec<PathBuf> {
        let folder = self.folder.path().join("events.channel");
        let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }

    fn newest(&self) -> PathBuf {
        self.segments().pop().unwrap()
    }

    /// A store with so many events, each a record.
    fn with_events(&self, count: Offset) -> Store {
        let mut store = self.open();
        (0..count).for_each(|offset| assert_eq!(publish(&mut store, offset), offset));
        store
    }
}

/// The message that these tests publish under an offset.
fn message(offset: Offset) -> Message {
    Message {
        routing_key: format!("key.{offset}"),
        body: format!("body {offset}").into(),
        ..Message::default()
    }
}

fn publish(store: &mut Store, offset: Offset) -> Offset {
    store.append(NOW, &[vec![message(offset)]]).unwrap()
}

/// Everything after an offset, as one who takes page after page gets it: the offsets, with gaps left out.
fn read(store: &Store, mut after: Offset) -> Vec<Offset> {
    let (reader, mut offsets) = (store.reader(), Vec::new());
    loop {
        let page = reader.read(after, PageLimits { events: 3, bytes: usize::MAX }).unwrap();
        assert!(page.after >= after);
        let begin = page.after;
        for (event, offset) in page.events.iter().zip(begin + 1..) {
            assert_eq!((event.offset, &event.message), (offset, &message(offset)), "wrong data");
            offsets.push(offset);
        }
        if page.events.is_empty() {
            assert_eq!(page.after, store.position().offset.max(after), "it ends where the store ends");
            return offsets;
        }
        after = page.last();
    }
}

fn all(offsets: RangeInclusive<Offset>) -> Vec<Offset> {
    offsets.collect()
}

#[test]
fn offsets_and_epoch_go_on_after_each_start() {
    let disk = Disk::new();
    let mut store = disk.open();
    assert_eq!(store.position(), Position::new(7, -1));
    assert_eq!(store.append(NOW, &[vec![message(0), message(1)], vec![message(2)]]).unwrap(), 0);
    drop(store);
    let folder = Folder::open(disk.folder.path()).unwrap();
    let channel = "events".parse().unwrap();
    let open = || {
        Store::open(&folder, &channel, disk.retention, NOW, || -> Result<_, StoreError> { unreachable!() })
    };
    let mut store = open().unwrap();
    assert_eq!(store.position(), Position::new(7, 2));
    assert_eq!(publish(&mut store, 3), 3);
    assert_eq!(read(&store, -1), all(0..=3));
    assert_eq!(read(&store, 1), all(2..=3));
    assert!(read(&store, 3).is_empty());
    assert_eq!(store.reader().read(99, EVERYTHING).unwrap(), Page { after: 99, events: Vec::new() });
}

#[test]
fn each_channel_has_a_numbering_of_its_own_whatever_it_is_called() {
    let disk = Disk::new();
    let folder = Folder::open(disk.folder.path()).unwrap();
    for (nth, name) in ["a", "..", ".", "lock", "format"].into_iter().enumerate() {
        let open = || {
            Store::open(&folder, &name.parse().unwrap(), disk.retention, NOW, || {
                Ok::<_, StoreError>(nth as u64)
            })
        };
        let mut store = open().unwrap();
        assert_eq!((store.position().epoch, publish(&mut store, 0)), (nth as u64, 0), "{name}");
    }
}

#[test]
fn a_page_ends_at_either_limit_and_holds_one_event_at_least() {
    let disk = Disk::new();
    let reader = disk.with_events(10).reader();
    let limits = |events, bytes| reader.read(-1, PageLimits { events, bytes }).unwrap().events.len();
    let one = message(0).bytes();
    assert_eq!(
        (limits(4, usize::MAX), limits(0, 0), limits(100, 3 * one), limits(100, 3 * one - 1)),
        (4, 1, 3, 2)
    );
}

#[test]
fn regression_a_write_that_ends_at_any_byte_was_never_confirmed_and_the_rest_is_as_it_was() {
    let disk = Disk::new();
    drop(disk.with_events(3));
    let before = fs::metadata(disk.newest()).unwrap().len();
    let mut store = disk.open();
    publish(&mut store, 3);
    drop(store);
    let whole = fs::read(disk.newest()).unwrap();
    for length in before as usize..whole.len() {
        fs::write(disk.newest(), &whole[..length]).unwrap();
        let mut store = disk.open();
        assert_eq!(store.position().offset, 2, "cut at {length}");
        assert_eq!(publish(&mut store, 3), 3);
        assert_eq!(read(&store, -1), all(0..=3), "cut at {length}");
        assert_eq!(disk.segments().len(), 1);
    }
}

#[test]
fn a_flipped_byte_anywhere_is_a_gap_that_is_told_and_no_offset_is_given_twice() {
    let disk = Disk::new();
    drop(disk.with_events(4));
    let (path, whole) = (disk.newest(), fs::read(disk.newest()).unwrap());
    let record_bytes = whole.len() / 4;
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x10;
        disk.segments().iter().for_each(|path| fs::remove_file(path).unwrap());
        fs::write(&path, &bytes).unwrap();
        let mut store = disk.open();
        let (lost, next) = ((place / record_bytes) as Offset, store.position().offset + 1);
        assert_eq!(store.reader().extent().damages, 1, "flipped at {place}");
        assert!(if lost == 3 { next > 4 } else { next == 4 }, "flipped at {place}: {next}");
        publish(&mut store, next);
        let mut expected = all(0..=3);
        expected.remove(lost as usize);
        expected.push(next);
        assert_eq!(read(&store, -1), expected, "flipped at {place}");
        drop(store);
        assert_eq!(read(&disk.open(), -1), expected, "flipped at {place}, after another start");
    }
}

#[test]
fn damage_to_an_older_segment_is_met_when_that_is_read() {
    let mut disk = Disk::new();
    disk.retention.segment_bytes = 300;
    drop(disk.with_events(20));
    let segments = disk.segments();
    assert!(segments.len() >= 4, "{segments:?}");
    let first =
        |path: &PathBuf| SegmentName::parse(path.file_name().unwrap().to_str().unwrap()).unwrap().first;
    let (begin, end) = (first(&segments[2]), first(&segments[3]));
    let store = disk.open();
    fs::write(&segments[2], vec![0xff; 1_000]).unwrap();
    let expected: Vec<_> = (0..20).filter(|offset| !(begin..end).contains(offset)).collect();
    assert_eq!((read(&store, -1), store.reader().extent().damages), (expected.clone(), 1));
    drop(store);
    for damage in [|path: &PathBuf| fs::remove_file(path), |path: &PathBuf| fs::write(path, "")] {
        damage(&segments[2]).unwrap();
        let store = disk.open();
        assert_eq!((read(&store, -1), store.reader().extent().damages), (expected.clone(), 1));
    }
}

#[test]
fn what_is_too_much_or_too_old_is_removed_and_the_gap_is_told() {
    let mut disk = Disk::new();
    disk.retention.segment_bytes = 300;
    disk.retention.max_bytes = 1_000;
    let mut store = disk.with_events(40);
    let before = disk.segments().len();
    assert_eq!(store.retain(NOW).unwrap(), before - disk.segments().len());
    let Extent { bytes, oldest, .. } = store.reader().extent();
    assert!(bytes <= 1_000 && bytes > 500, "{bytes}");
    assert_eq!(read(&store, -1), all(oldest..=39));
    assert_eq!(store.retain(NOW).unwrap(), 0);

    let later = NOW + disk.retention.max_age + Duration::from_secs(1);
    assert!(store.retain(later).unwrap() > 0);
    assert_eq!(store.reader().extent(), Extent { bytes: 0, oldest: 40, damages: 0, syncs: 40 });
    drop(store);
    let mut store = disk.open();
    assert_eq!(publish(&mut store, 40), 40, "the numbering goes on");
    assert_eq!(read(&store, -1), [40]);
}

#[test]
fn what_is_old_does_not_stay_because_of_what_is_new() {
    let disk = Disk::new();
    let mut store = disk.with_events(1);
    let (age, message) = (disk.retention.max_age, |offset| [vec![message(offset)]]);
    store.append(NOW + age / 4, &message(1)).unwrap();
    store.append(NOW + age + Duration::from_secs(1), &message(2)).unwrap();
    store.retain(NOW + age + Duration::from_secs(1)).unwrap();
    assert_eq!(read(&store, -1), [1, 2]);
}

#[test]
fn a_second_server_is_refused_until_the_first_has_ended() {
    let disk = Disk::new();
    let store = disk.open();
    let error = disk.try_open().unwrap_err().to_string();
    assert!(error.contains("in use by another server") && error.contains("data_dir"), "{error}");
    drop(store);
    disk.open();
}

#[test]
fn an_unknown_format_is_refused_and_left_as_it_is() {
    let disk = Disk::new();
    drop(disk.with_events(1));
    let path = disk.folder.path().join("format");
    let ours = fs::read_to_string(&path).unwrap();
    fs::write(&path, "tiercast events, format 2\n").unwrap();
    let error = disk.try_open().unwrap_err().to_string();
    assert!(
        error.contains("`tiercast events, format 2`") && error.contains("use the version that wrote it"),
        "{error}"
    );
    fs::write(&path, &ours[..10]).unwrap();
    assert_eq!(read(&disk.open(), -1), [0], "a first start that was interrupted is no other format");
}

#[test]
fn a_folder_that_cannot_be_written_is_named_with_what_to_do() {
    let disk = Disk::new();
    let path = disk.folder.path().join("file");
    fs::write(&path, "").unwrap();
    let error = Folder::open(&path.join("below")).unwrap_err().to_string();
    assert!(error.contains("data_dir") && error.contains("choose another folder"), "{error}");
}

/// Makes every write fail, as a full disk does.
fn break_writing(store: &mut Store, path: &Path) {
    store.file = File::open(path).unwrap();
}

#[test]
fn a_write_that_fails_publishes_nothing_and_the_next_one_begins_a_segment() {
    let disk = Disk::new();
    let mut store = disk.with_events(3);
    // What a failed write may leave: a whole record that nobody was told of.
    let mut refused = Vec::new();
    record::encode(&mut refused, 7, 3, NOW, &[Message::default()]);
    let place = store.newest_bytes();
    store.file.write_all_at(&refused, place).unwrap();
    break_writing(&mut store, &disk.newest());
    let error = store.append(NOW, &[vec![message(3)]]).unwrap_err().to_string();
    assert!(error.contains("data_dir") && error.contains("make room"), "{error}");
    assert_eq!((store.position().offset, read(&store, -1)), (2, all(0..=2)));
    assert_eq!(publish(&mut store, 3), 3);
    assert_eq!(read(&store, -1), all(0..=3));
    drop(store);
    assert_eq!((read(&disk.open(), -1), disk.segments().len()), (all(0..=3), 2));
}

#[test]
fn what_publishers_write_is_never_taken_for_a_record() {
    let disk = Disk::new();
    let mut store = disk.open();
    let mut forged = Vec::new();
    record::encode(&mut forged, 7, 50, NOW, &[message(50)]);
    let body = Message { body: forged.into(), ..Message::default() };
    store.append(NOW, &[vec![body]]).unwrap();
    publish(&mut store, 1);
    drop(store);
    let store = disk.open();
    assert_eq!((store.position().offset, read(&store, 0)), (1, vec![1]));
}

#[test]
fn the_newest_bytes_begin_with_a_segment() {
    let mut disk = Disk::new();
    disk.retention.segment_bytes = 300;
    let store = disk.with_events(40);
    let reader = store.reader();
    let bytes = |after| {
        let reading = reader.read(after, EVERYTHING).unwrap();
        reading.events.iter().map(|event| event.message.bytes() as u64).sum::<u64>()
    };
    assert_eq!((reader.newest(u64::MAX), reader.newest(0)), (-1, reader.newest(1)));
    let after = reader.newest(1_000);
    assert!((0..30).contains(&after) && bytes(after) > 500, "{after}");
}

/// Something that happens to the files between two starts: at a place in thousandths of all their bytes.
#[derive(Debug, Clone)]
enum Accident {
    Flip(usize),
    Overwrite(usize, usize),
    Remove(usize),
}

fn accidents() -> impl Strategy<Value = Vec<Accident>> {
    let accident = prop_oneof![
        (0..1_000_usize).prop_map(Accident::Flip),
        (0..1_000_usize, 1..300_usize).prop_map(|(at, bytes)| Accident::Overwrite(at, bytes)),
        (0..1_000_usize).prop_map(Accident::Remove),
    ];
    prop::collection::vec(accident, 0..4)
}

/// Does it. The newest segment is not removed: that it was there is nowhere else.
fn befall(disk: &Disk, accident: &Accident) {
    let segments = disk.segments();
    let (Accident::Flip(at) | Accident::Overwrite(at, _) | Accident::Remove(at)) = accident;
    let path = &segments[at * segments.len() / 1_000];
    let mut bytes = fs::read(path).unwrap();
    let within = (at * segments.len() % 1_000) * bytes.len() / 1_000;
    match accident {
        Accident::Remove(_) if *path == disk.newest() => return,
        Accident::Remove(_) => return fs::remove_file(path).unwrap(),
        Accident::Flip(_) => bytes.iter_mut().skip(within).take(1).for_each(|byte| *byte ^= 0x55),
        Accident::Overwrite(_, count) => {
            bytes.iter_mut().skip(within).take(*count).for_each(|byte| *byte = 0)
        }
    }
    fs::write(path, bytes).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn whatever_happens_to_the_files_nothing_is_given_wrongly_and_no_offset_twice(
        starts in prop::collection::vec((prop::collection::vec(1..5_usize, 0..12), accidents()), 1..5),
    ) {
        let mut disk = Disk::new();
        disk.retention.segment_bytes = 300;
        let mut next = 0;
        for (batches, accidents) in starts {
            let mut store = disk.open();
            prop_assert!(store.position().offset + 1 >= next, "{} after {next}", store.position());
            for count in batches {
                next = store.position().offset + 1;
                let messages = (next..next + count as Offset).map(message).collect();
                prop_assert_eq!(store.append(NOW, &[messages]).unwrap(), next);
                next += count as Offset;
            }
            read(&store, -1);
            drop(store);
            accidents.iter().for_each(|accident| befall(&disk, accident));
        }
        let store = disk.open();
        prop_assert!(store.position().offset + 1 >= next, "{} after {next}", store.position());
        read(&store, -1);
    }
}
