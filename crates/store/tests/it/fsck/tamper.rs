//! Rows changed by somebody who can write to the closed database.

use super::{Folder, rich};
use crate::world::{ACCESS, RECORDS};
use ledger::commitment::EVERY;
use ledger::stream_hash;
use rocksdb::{DB, IteratorMode, Options, WriteBatch};
use std::fs;
use store::{Finding, Verdict};

/// A random number generator with a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) >> 1).unwrap() % end
    }
}

/// Tables whose rows messages make, and where a change of theirs may show first.
type Tables = [(&'static str, &'static [&'static str])];

/// What was filed.
const FILED: &Tables = &[
    ("records", &["records", "blocks"]),
    ("blocks", &["blocks", "records"]),
    ("tiles", &["tiles"]),
    ("subjects", &["subjects"]),
];

/// What the next message is judged by.
const JUDGED_BY: &Tables = &[
    ("chains", &["chains"]),
    ("heads", &["heads"]),
    ("settled", &["settled"]),
    ("destroyed", &["destroyed"]),
    ("checkpoints", &["checkpoints", "meta"]),
    ("meta", &["meta", "checkpoints"]),
];

/// What accesses are found by.
const FOUND_BY: &Tables =
    &[("by_subject", &["by_subject"]), ("by_actor", &["by_actor"]), ("by_time", &["by_time"])];

/// A row: key and value.
type Row = (Vec<u8>, Vec<u8>);

fn open(folder: &Folder) -> DB {
    let path = folder.path("ledger");
    let names = DB::list_cf(&Options::default(), &path).unwrap();
    DB::open_cf(&Options::default(), &path, names).unwrap()
}

fn rows(db: &DB, table: &str) -> Vec<Row> {
    let rows = db.iterator_cf(db.cf_handle(table).unwrap(), IteratorMode::Start);
    rows.map(|row| row.map(|(key, row)| (key.into_vec(), row.into_vec())).unwrap()).collect()
}

/// Rows of `meta` that follow from nothing in the folder: the views' version, what the node signed and
/// what witnesses cosigned last (a database made anew from the stream has neither), a known end.
fn is_free((key, _): &Row) -> bool {
    key.len() == 6 && matches!(key[5], 2 | 3 | 5 | 7)
}

/// Puts rows in the place of others, has the folder checked, and makes it as it was.
fn with(folder: &Folder, table: &str, remove: &[&Row], put: &[Row]) -> Finding {
    let db = open(folder);
    let of = db.cf_handle(table).unwrap();
    // A changed key may be that of another row.
    let kept = |(key, _): &Row| db.get_cf(of, key).unwrap().map(|row| (key.clone(), row));
    let before: Vec<Row> = remove.iter().copied().chain(put).filter_map(kept).collect();
    let mut batch = WriteBatch::default();
    remove.iter().for_each(|(key, _)| batch.delete_cf(of, key));
    put.iter().for_each(|(key, row)| batch.put_cf(of, key, row));
    db.write(batch).unwrap();
    drop(db);
    let found = folder.check();
    let db = open(folder);
    let of = db.cf_handle(table).unwrap();
    let mut batch = WriteBatch::default();
    put.iter().for_each(|(key, _)| batch.delete_cf(of, key));
    before.iter().for_each(|(key, row)| batch.put_cf(of, key, row));
    db.write(batch).unwrap();
    match found {
        Ok(_) => panic!("{table}: not found, {remove:?} in place of {put:?}"),
        Err(found) => found,
    }
}

/// It is damage, and it is named where it is.
fn names(found: &Finding, table: &str, shows: &[&str], what: &str) {
    assert_eq!(found.verdict, Verdict::Damaged, "{what} in {table}: {found}");
    assert!(shows.contains(&found.table), "{what} in {table}: {found}");
    assert!(!found.key.is_empty() && found.ledger.is_some(), "{what} in {table}: {found}");
}

/// Changes, removes, adds and swaps rows of these tables at random places; how many.
fn tampered(tables: &Tables, records: u64, each: usize) -> usize {
    let mut world = rich(records);
    world.close();
    let (folder, mut random, mut places) = (Folder::of(&world), Random(1), 0);
    for (table, shows) in tables {
        let all: Vec<Row> = rows(&open(&folder), table);
        let all: Vec<&Row> = all.iter().filter(|row| *table != "meta" || !is_free(row)).collect();
        assert!(!all.is_empty(), "{table} has rows");
        for _ in 0..each {
            let row = all[random.below(all.len())];
            let (mut key, mut value) = row.clone();
            // Of rows without a value the key is all there is. Its ledger stays.
            let bytes = if value.is_empty() { &mut key[5..] } else { &mut value };
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
            let found = with(&folder, table, &[row], &[(key, value)]);
            names(&found, table, shows, "a flipped bit");
            places += 1;
        }
        for _ in 0..each.div_ceil(3) {
            let row = all[random.below(all.len())];
            names(&with(&folder, table, &[row], &[]), table, shows, "a removed row");
            let mut more = row.clone();
            more.0.push(7);
            names(&with(&folder, table, &[], &[more]), table, shows, "an added row");
            let other = all[random.below(all.len())];
            places += 2;
            if row.1 != other.1 {
                let swapped = [(row.0.clone(), other.1.clone()), (other.0.clone(), row.1.clone())];
                let found = with(&folder, table, &[row, other], &swapped);
                names(&found, table, shows, "two swapped rows");
                places += 1;
            }
        }
    }
    assert!(folder.check().is_ok(), "all is put back");
    places
}

#[test]
fn any_change_of_what_was_filed_is_found() {
    assert!(tampered(FILED, EVERY + 300, 12) >= 80);
}

#[test]
fn any_change_of_what_messages_are_judged_by_is_found() {
    assert!(tampered(JUDGED_BY, 0, 9) >= 90);
}

/// What the node signed last binds it as long as it is known.
#[test]
fn any_flipped_bit_in_what_the_node_signed_last_is_found() {
    let mut world = rich(0);
    world.close();
    let (folder, mut random) = (Folder::of(&world), Random(2));
    let all = rows(&open(&folder), "meta");
    for row in all.iter().filter(|(key, _)| key[5] == 3) {
        for _ in 0..6 {
            let mut value = row.1.clone();
            let at = random.below(value.len());
            value[at] ^= 1 << random.below(8);
            let found = with(&folder, "meta", &[row], &[(row.0.clone(), value)]);
            assert_ne!(found.verdict, Verdict::Unread, "{found}");
            assert_eq!(found.table, "meta", "{found}");
        }
    }
}

#[test]
fn any_change_of_what_accesses_are_found_by_is_found() {
    assert!(tampered(FOUND_BY, 0, 9) >= 45);
}

#[test]
fn a_row_of_no_ledger_is_found_in_every_table() {
    let mut world = rich(0);
    world.close();
    let folder = Folder::of(&world);
    let names = DB::list_cf(&Options::default(), folder.path("ledger")).unwrap();
    for table in names.iter().filter(|name| *name != "default") {
        for prefix in [[0; 5], [1, 0, 0, 0, 1], [3, 0, 0, 0, 0], [0xff; 5]] {
            let row = (prefix.to_vec(), vec![1]);
            let found = with(&folder, table, &[], &[row]);
            assert_eq!((found.verdict, found.table), (Verdict::Damaged, table.as_str()), "{found}");
        }
    }
}

/// Sealed rows cannot be read here; that they are of nobody shows.
#[test]
fn a_sealed_row_of_nobody_is_found() {
    let mut world = rich(0);
    world.close();
    let folder = Folder::of(&world);
    for table in ["files", "terms", "unfolded"] {
        let mut row = match rows(&open(&folder), table).first() {
            Some(row) => row.clone(),
            None => ([RECORDS.to_bytes().as_slice(), &[0; 24]].concat(), vec![0; 8]),
        };
        row.0[9] ^= 1;
        let found = with(&folder, table, &[], &[row]);
        assert_eq!((found.verdict, found.table), (Verdict::Damaged, table), "{found}");
    }
}

/// The last messages are gone with their blocks, and the state is as before them; their records and
/// the rest are still there.
#[test]
fn a_tail_that_was_cut_off_is_found_with_the_state_put_back() {
    let mut world = rich(0);
    world.close();
    let older = Folder::of(&world);
    let before = rows(&open(&older), "meta");
    world.reopen();
    let keys = world.patient_with_file();
    world.file(keys, &[crate::world::added(9, "later")]);
    world.close();
    let folder = Folder::of(&world);
    {
        let db = open(&folder);
        let (meta, blocks) = (db.cf_handle("meta").unwrap(), db.cf_handle("blocks").unwrap());
        let of_records: Vec<Row> = rows(&db, "blocks");
        let of_records = of_records.iter().filter(|(key, _)| key.starts_with(&RECORDS.to_bytes()));
        for (key, _) in of_records.rev().take(2) {
            db.delete_cf(blocks, key).unwrap();
        }
        before.iter().for_each(|(key, row)| db.put_cf(meta, key, row).unwrap());
    }
    let found = folder.found(Verdict::Damaged);
    assert_eq!(found.table, "records");
    assert!(found.what.contains("no message makes"), "{found}");
    // without the state put back
    let folder = Folder::of(&world);
    let all = rows(&open(&folder), "blocks");
    let last = all.iter().rfind(|(key, _)| key.starts_with(&RECORDS.to_bytes())).unwrap();
    names(&with(&folder, "blocks", &[last], &[]), "blocks", &["records"], "the last block gone");
}

/// Somebody writes another message into the stream's past and makes every stream hash behind it anew.
/// What nodes signed they cannot make.
#[test]
fn a_replaced_block_is_found_with_all_stream_hashes_made_anew() {
    let mut world = rich(0);
    world.close();
    let folder = Folder::of(&world);
    let all = rows(&open(&folder), "blocks");
    for replaced in [3, 5, world.messages[0].len()] {
        let (mut removed, mut put, mut hash) = (Vec::new(), Vec::new(), ledger::Hash::ZERO);
        for ((sequence, message), row) in (1..).zip(&world.messages[0]).zip(&all) {
            let at = usize::try_from(sequence).unwrap();
            let message = if at == replaced { b"nothing happened".as_slice() } else { message };
            hash = stream_hash(&hash, sequence, message);
            // whole, or the pieces as they were
            let form = match at == replaced {
                true => [&[0, u8::try_from(message.len()).unwrap()], message].concat(),
                false => row.1[32..].to_vec(),
            };
            removed.push(row);
            put.push((row.0.clone(), [hash.0.as_slice(), &form].concat()));
        }
        let found = with(&folder, "blocks", &removed, &put);
        assert_ne!(found.verdict, Verdict::Unread, "{found}");
        let shows = ["records", "blocks", "meta"];
        assert!(shows.contains(&found.table), "block {replaced}: {found}");
    }
    folder.check().expect("all is put back");
}

/// An access, with every row by which it would be found.
#[test]
fn an_access_that_was_dropped_with_all_its_rows_is_found() {
    let mut world = rich(0);
    world.close();
    let folder = Folder::of(&world);
    {
        let db = open(&folder);
        let position = 40_u64.to_be_bytes();
        for table in ["records", "by_subject", "by_actor", "by_time", "chains"] {
            let of = db.cf_handle(table).unwrap();
            let mut gone = 0;
            for (key, row) in rows(&db, table) {
                let its = if table == "chains" {
                    row.starts_with(&position)
                } else {
                    key.ends_with(&position)
                };
                if key.starts_with(&ACCESS.to_bytes()) && its {
                    db.delete_cf(of, key).unwrap();
                    gone += 1;
                }
            }
            assert_eq!(gone, 1, "{table}");
        }
    }
    let found = folder.found(Verdict::Damaged);
    assert_eq!((found.table, found.ledger), ("records", Some(ACCESS)));
    assert_eq!(found.place, Some(store::Place::Position(40)));
}

/// A damaged or lost file of RocksDB is damage; one that is there and cannot be read may be whole.
#[test]
fn damaged_and_unreadable_files_are_told_apart() {
    let mut world = rich(0);
    world.close();
    let folder = Folder::of(&world);
    drop(open(&folder));
    folder.check().expect("intact in tables");
    let found = crate::world::files(&folder.path("ledger")).into_iter();
    let tables = found.filter(|path| path.extension().is_some_and(|it| it == "sst"));
    let largest = tables.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let before = fs::read(&largest).unwrap();
    let mut bytes = before.clone();
    bytes[before.len() / 2] ^= 4;
    fs::write(&largest, bytes).unwrap();
    folder.found(Verdict::Damaged);
    fs::remove_file(&largest).unwrap();
    folder.found(Verdict::Damaged);
    fs::write(&largest, before).unwrap();
    folder.check().expect("intact again");
    let current = folder.path("ledger").join("CURRENT");
    fs::remove_file(&current).unwrap();
    fs::create_dir(&current).unwrap();
    folder.found(Verdict::Unread);
}
