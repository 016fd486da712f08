//! Flipped bits, torn tails, lost logs: noticed and named, nothing wrong answered, and made whole
//! again from the messages.

use crate::commitments::grow;
use crate::records::shown;
use crate::world::{ACCESS, RECORDS, World, added, copy, files};
use ledger::commitment::EVERY;
use rocksdb::{DB, IteratorMode, Options};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{OpenError, Store, StoreError};
use tempfile::TempDir;

/// A copy of a closed world's database, to be damaged and opened: opening changes files, also when
/// it ends in a refusal.
struct Damaged<'a> {
    world: &'a World,
    dir: TempDir,
}

impl<'a> Damaged<'a> {
    fn copy(world: &'a World) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy(&world.database(), &dir.path().join("ledger"));
        fs::copy(world.dir.path().join("position.json"), dir.path().join("position.json")).unwrap();
        Self { world, dir }
    }

    /// The files of RocksDB with this ending, the largest last.
    fn files(&self, ending: &str) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = files(&self.dir.path().join("ledger"))
            .into_iter()
            .filter(|path| path.extension().is_some_and(|e| e == ending))
            .collect();
        found.sort_by_key(|path| fs::metadata(path).unwrap().len());
        found
    }

    fn log(&self) -> PathBuf {
        self.files("log").pop().unwrap()
    }

    /// As somebody does who can write to the closed database.
    fn change(&self, change: impl FnOnce(&DB)) {
        let path = self.dir.path().join("ledger");
        let names = DB::list_cf(&Options::default(), &path).unwrap();
        change(&DB::open_cf(&Options::default(), &path, names).unwrap());
    }

    fn open(&self) -> Result<Store, OpenError> {
        Store::open(self.dir.path(), &self.world.pins, Arc::clone(&self.world.vault))
    }
}

/// Flips one bit at `part` of 64 of the file.
fn flip(path: &Path, part: usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.len() * part / 64;
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

fn cut(path: &Path, keep: impl FnOnce(usize) -> usize) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..keep(bytes.len())]).unwrap();
}

/// Everything the store can say, compared with what was filed. True when all of it was answered,
/// false when something was named as damaged; anything else panics.
fn all_intact(world: &World, store: &Store, expected: &Expected) -> bool {
    let reader = store.reader();
    for (sequence, message) in (1..).zip(&world.messages[0]) {
        match reader.message(RECORDS, sequence) {
            Ok(found) => assert_eq!(found.as_ref(), Some(message), "a wrong message"),
            Err(StoreError::Damaged { what, .. }) => {
                assert!(!what.is_empty());
                return false;
            }
            Err(other) => panic!("damage not named: {other}"),
        }
    }
    let folded = match reader.fold(expected.subject, u64::MAX - 1) {
        Ok(folded) => folded,
        Err(StoreError::Damaged { .. }) => return false,
        Err(other) => panic!("damage not named: {other}"),
    };
    assert_eq!(folded.file, expected.file, "a wrong file");
    true
}

/// Whether opening noticed that something is wrong: it set the database aside, or misses what the
/// node had.
fn noticed(store: &Store) -> bool {
    let behind = store.floor(RECORDS).unwrap().is_some() || store.floor(ACCESS).unwrap().is_some();
    for set_aside in store.set_aside() {
        assert_eq!(set_aside.name, "ledger");
        assert!(!set_aside.why.is_empty());
        assert!(set_aside.kept.as_ref().unwrap().is_dir(), "it is kept");
    }
    behind || !store.set_aside().is_empty()
}

/// Gives the messages that are missing, as the stream does, and finds everything there again.
fn heals(world: &World, store: &Store, expected: &Expected) {
    for (ledger, messages) in [RECORDS, ACCESS].into_iter().zip(&world.messages) {
        let applied = store.state(ledger).unwrap().sequence;
        for (sequence, message) in (1..).zip(messages).filter(|(at, _)| *at > applied) {
            store.apply(ledger, &[(sequence, message)]).unwrap();
        }
        assert_eq!(store.floor(ledger).unwrap(), None, "it is back where it was");
    }
    assert_eq!(store.state(RECORDS).unwrap().root(), expected.root);
    assert!(all_intact(world, store, expected));
}

struct Expected {
    subject: ledger::SubjectId,
    file: domain::PatientFile,
    root: ledger::Hash,
}

fn filed() -> (World, Expected) {
    let mut world = World::new();
    let keys = world.patient_with_file();
    for number in 3..20 {
        world.file(keys, &[added(number, "entry")]);
    }
    let file = shown(world.store(), keys.subject);
    let root = world.store().state(RECORDS).unwrap().root();
    (world, Expected { subject: keys.subject, file, root })
}

#[test]
fn a_flipped_bit_in_the_log_is_noticed_wherever_it_is() {
    let (mut world, expected) = filed();
    world.close();
    for part in 0..64 {
        let damaged = Damaged::copy(&world);
        let log = damaged.log();
        assert!(fs::metadata(&log).unwrap().len() > 10_000, "the records are in the log");
        flip(&log, part);
        let store = damaged.open().unwrap();
        assert!(noticed(&store), "part {part} went unnoticed");
        heals(&world, &store, &expected);
    }
    assert!(all_intact(&world, &Damaged::copy(&world).open().unwrap(), &expected));
}

#[test]
fn a_flipped_bit_in_a_table_is_named_and_nothing_wrong_is_answered() {
    let (mut world, expected) = filed();
    // a rebuild flushes everything into tables
    world.store().rebuild_views(|_, _| ControlFlow::Continue(())).unwrap();
    world.close();
    let tables = Damaged::copy(&world).files("sst").len();
    assert!(tables > 5, "there are tables: {tables}");
    let (mut at_once, mut later) = (0, 0);
    for table in 0..tables {
        for part in [0, 20, 40, 63] {
            let damaged = Damaged::copy(&world);
            flip(&damaged.files("sst")[table], part);
            let store = damaged.open().unwrap();
            if noticed(&store) {
                heals(&world, &store, &expected);
                at_once += 1;
            } else if !all_intact(&world, &store, &expected) {
                // met later: the next start deals with it
                assert!(store.damage().is_some(), "table {table} part {part} is not put down");
                drop(store);
                let store = damaged.open().unwrap();
                assert!(noticed(&store), "table {table} part {part} is forgotten");
                heals(&world, &store, &expected);
                later += 1;
            }
            // else the bit lies where nothing is read
        }
    }
    assert!(at_once + later > tables, "only {at_once} + {later} of {} noticed", tables * 4);
    assert!(later > 0, "some are met only by reading");
    assert!(all_intact(&world, &Damaged::copy(&world).open().unwrap(), &expected));
}

/// What a power failure leaves of a write that nobody was told of.
#[test]
fn a_torn_last_write_opens_when_nobody_was_told_of_it() {
    let (mut world, _) = filed();
    world.close();
    let told = fs::read(world.dir.path().join("position.json")).unwrap();
    world.reopen();
    let keys = world.patient_with_file();
    world.file(keys, &[added(30, "torn")]);
    world.close();
    let damaged = Damaged::copy(&world);
    fs::write(damaged.dir.path().join("position.json"), told).unwrap();
    cut(&damaged.log(), |length| length - 200);
    let store = damaged.open().unwrap();
    assert_eq!(store.state(RECORDS).unwrap().sequence + 1, world.messages[0].len() as u64);
    // and goes on with the message it lost
    let (sequence, message) = (world.messages[0].len() as u64, world.messages[0].last().unwrap());
    assert_eq!(store.apply(RECORDS, &[(sequence, message)]).unwrap().len(), 1);
}

#[test]
fn a_log_cut_behind_what_was_told_or_lost_is_missed() {
    let (mut world, expected) = filed();
    world.close();
    let damaged = Damaged::copy(&world);
    cut(&damaged.log(), |length| length / 2);
    let store = damaged.open().unwrap();
    assert!(store.floor(RECORDS).unwrap().is_some());
    heals(&world, &store, &expected);
    let damaged = Damaged::copy(&world);
    fs::remove_file(damaged.log()).unwrap();
    let store = damaged.open().unwrap();
    assert_eq!(store.state(RECORDS).unwrap().sequence, 0);
    assert!(noticed(&store));
    heals(&world, &store, &expected);
}

/// A row of which no start knows anything.
#[test]
fn a_version_that_is_gone_from_its_chain_is_put_down_for_the_next_start() {
    let (mut world, expected) = filed();
    world.close();
    let damaged = Damaged::copy(&world);
    let key = [&RECORDS.to_bytes()[..], &expected.subject.0, &2_u64.to_be_bytes()].concat();
    damaged.change(|db| db.delete_cf(db.cf_handle("chains").unwrap(), key).unwrap());
    let store = damaged.open().unwrap();
    assert!(!noticed(&store) && store.damage().is_none());
    let read = store.reader().fold(expected.subject, 9);
    assert!(matches!(read, Err(StoreError::Damaged { .. })), "{read:?}");
    assert!(store.damage().is_some_and(|met| met.contains("a version is missing")));
    drop(store);
    let store = damaged.open().unwrap();
    assert!(noticed(&store));
    heals(&world, &store, &expected);
}

#[test]
fn rows_behind_the_last_commitment_are_compared_with_their_tiles() {
    let mut world = World::new();
    grow(&mut world, EVERY + 20);
    let keys = world.patient();
    // More messages than a start puts together again.
    for number in 0..20 {
        let events: Vec<_> = (0..25).map(|_| added(number + 1, "entry")).collect();
        world.file(keys, &events);
    }
    world.close();
    let key = |position: u64| [&RECORDS.to_bytes()[..], &position.to_be_bytes()].concat();
    let (at, next) = (key(EVERY + 10), key(EVERY + 11));
    let changes: [&dyn Fn(&DB); 3] = [
        &|db| db.delete_cf(db.cf_handle("records").unwrap(), &at).unwrap(),
        &|db| {
            let records = db.cf_handle("records").unwrap();
            let other = db.get_cf(records, &next).unwrap().unwrap();
            db.put_cf(records, &at, other).unwrap();
        },
        // A subject twice, which no tree of subjects can hold.
        &|db| {
            let subjects = db.cf_handle("subjects").unwrap();
            let (key, row) = db.iterator_cf(subjects, IteratorMode::Start).next().unwrap().unwrap();
            db.put_cf(subjects, [&key[..], &[0]].concat(), row).unwrap();
        },
    ];
    for (which, change) in changes.into_iter().enumerate() {
        let damaged = Damaged::copy(&world);
        damaged.change(change);
        assert!(noticed(&damaged.open().unwrap()), "change {which}");
    }
    assert!(!noticed(&Damaged::copy(&world).open().unwrap()));
}
