//! A whole data folder against itself: intact as the node wrote it, and whatever is changed in it by
//! somebody who writes to the closed databases is found and named.

mod tamper;

use crate::access::show;
use crate::commitments::grow;
use crate::world::{
    ACCESS, Draft, NODE, RECORDS, World, added, amended, assigned, copy, draft, files, retracted,
};
use ledger::checkpoint::Checkpoint;
use ledger::commitment::EVERY;
use ledger::cosigned::{cosigner_name, sign};
use ledger::note::SignedNote;
use ledger::{
    Base, Block, Content, Control, Hash, Item, KeyId, LedgerId, NodeId, NodeKeys, SigningKey,
    SubjectId,
};
use std::fs;
use std::path::{Path, PathBuf};
use store::{Finding, Fsck, Intact, LedgerPin, Verdict, fsck};
use tempfile::TempDir;

/// A copy of a closed world's data folder.
struct Folder {
    dir: TempDir,
    pins: [LedgerPin; 2],
}

impl Folder {
    fn of(world: &World) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["ledger", "spool", "keys"] {
            copy(&world.dir.path().join(name), &dir.path().join(name));
        }
        let position = "position.json";
        fs::copy(world.dir.path().join(position), dir.path().join(position)).unwrap();
        Self { dir, pins: world.pins }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn check(&self) -> Result<Intact, Finding> {
        self.check_with(&[])
    }

    fn check_with(&self, kept: &[(SignedNote, Checkpoint)]) -> Result<Intact, Finding> {
        let wanted = Fsck { dir: self.dir.path(), ledgers: &self.pins, node: Some(NODE), kept };
        fsck(&wanted, |_| {})
    }

    /// What is found, and that it means this.
    fn found(&self, verdict: Verdict) -> Finding {
        let found = self.check().unwrap_err();
        assert_eq!(found.verdict, verdict, "{found}");
        found
    }

    /// Puts the older database of another folder in the place of this one's.
    fn put_back(&self, older: &Self) {
        fs::remove_dir_all(self.path("ledger")).unwrap();
        copy(&older.path("ledger"), &self.path("ledger"));
    }
}

/// What somebody does to a world.
type Change = fn(&mut World);

/// What this node signs of a ledger as it is now.
fn checkpoint(world: &World, ledger: LedgerId) -> Checkpoint {
    let state = world.store().state(ledger).unwrap();
    Checkpoint { origin: state.state().origin(), size: state.size, root: state.root() }
}

/// This node's signatures under it.
fn signed(checkpoint: &Checkpoint, time: u64) -> SignedNote {
    let name = checkpoint.origin.rsplitn(3, '/').nth(2).unwrap();
    let name = cosigner_name(name, NODE);
    let [as_log, cosigner] = [3, 5].map(|seed| SigningKey::from_bytes(&[seed; 32]));
    sign(checkpoint, &as_log, (&name, &cosigner), time).unwrap()
}

/// A block with this node's checkpoint.
fn give_checkpoint(world: &mut World, ledger: LedgerId, checkpoint: &Checkpoint, time: u64) {
    let note = signed(checkpoint, time);
    let block = world.block(ledger, vec![Item::Checkpoint(note.to_string().into_bytes())]);
    world.give(ledger, block);
}

fn sign_now(world: &mut World, ledger: LedgerId, time: u64) -> Checkpoint {
    let checkpoint = checkpoint(world, ledger);
    world.store().set_last_checkpoint(ledger, &checkpoint).unwrap();
    give_checkpoint(world, ledger, &checkpoint, time);
    checkpoint
}

/// Admits a node with keys of these seeds.
fn admit(world: &mut World, node: NodeId, seeds: [u8; 3]) {
    let keys = seeds.map(|seed| SigningKey::from_bytes(&[seed; 32]).verifying_key());
    let [block, checkpoint, cosigner] = keys.map(|key| key.to_bytes());
    let (keys, signatures) = (NodeKeys { block, checkpoint, cosigner }, Vec::new());
    let control = Control::NodeAdmitted { node, keys, signatures };
    assert_eq!(world.control(control).records.len(), 1);
}

/// Both ledgers with everything in them that a message can do, and every table filled.
fn rich(records: u64) -> World {
    let mut world = World::new();
    let (one, two) = (world.patient_with_file(), world.patient_with_file());
    world.file(one, &[amended(1, "worse"), retracted(2)]);
    world.registry(SubjectId([5; 16]), &[assigned("4711", one.subject)]);
    let accepted = world.contribution(RECORDS, &[draft(one, &added(3, "rash"))]);
    let stale = world.contribution(RECORDS, &[draft(one, &added(4, "late"))]);
    let items = vec![
        Item::Checkpoint(b"a note".to_vec()),
        Item::Contribution(accepted.clone()),
        Item::Abandonment(ledger::ContributionId([9; 32])),
        Item::Contribution(stale),
        Item::Contribution(accepted),
    ];
    let block = world.block(RECORDS, items);
    world.give(RECORDS, block);
    world.give(RECORDS, b"junk".to_vec());
    admit(&mut world, NodeId([9; 16]), [31, 32, 33]);
    let control = Control::KeyDestroyed {
        key: KeyId([66; 16]),
        subject: SubjectId([67; 16]),
        signatures: Vec::new(),
    };
    assert_eq!(world.control(control).destroyed.len(), 1);
    sign_now(&mut world, RECORDS, 100);
    grow(&mut world, records);
    for _ in 0..300 {
        show(&mut world, &[one, two]);
    }
    let newest = sign_now(&mut world, RECORDS, 200);
    let note = signed(&newest, 200);
    world.store().set_newest_checkpoint(RECORDS, newest.size, Some(&note)).unwrap();
    assert_eq!(world.store().witnessed(RECORDS).unwrap(), Some(note));
    sign_now(&mut world, ACCESS, 150);
    spool(&mut world, one.subject, one.audit);
    world.store().keep_foreign(RECORDS, 7, b"another past").unwrap();
    world.store().set_known_end(ACCESS, 5_000).unwrap();
    world
}

/// Two access blocks that wait, the second behind the first.
fn spool(world: &mut World, subject: SubjectId, key: KeyId) {
    let chain = SubjectId(NODE.0);
    let draft = || Draft { chain, subject, key, plain: vec![7; 300] };
    let both = world.contribution(ACCESS, &[draft(), draft()]);
    let head = world.store().head(ACCESS, chain).unwrap().unwrap();
    let block = world.block(ACCESS, vec![Item::Contribution(both)]);
    world.store().spool().put(1, &block, head.version + 2).unwrap();
    world.store().rely_on_spool().unwrap();
}

/// All files below a folder with what is in them and when that was written.
fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>, std::time::SystemTime)> {
    let told = |path: PathBuf| {
        let written = fs::metadata(&path).unwrap().modified().unwrap();
        (path.clone(), fs::read(path).unwrap(), written)
    };
    files(dir).into_iter().map(told).collect()
}

#[test]
fn what_the_node_wrote_is_intact_and_stays_as_it_was() {
    let mut world = rich(EVERY + 300);
    let states = [RECORDS, ACCESS].map(|ledger| world.store().state(ledger).unwrap());
    world.close();
    let folder = Folder::of(&world);
    let log = files(&folder.path("ledger")).into_iter();
    let log = log.filter(|path| path.extension().is_some_and(|it| it == "log"));
    assert!(log.map(|path| fs::metadata(path).unwrap().len()).max() > Some(10_000), "a full log");
    let before = contents(folder.dir.path());
    let intact = folder.check().unwrap();
    assert!(contents(folder.dir.path()) == before, "the folder is as it was");
    for (seen, state) in intact.ledgers.iter().zip(&states) {
        assert_eq!(
            (seen.sequence, seen.size, seen.root),
            (state.sequence, state.size, state.root())
        );
        assert_eq!(seen.checkpoints, 1);
    }
    assert!(states[0].size > EVERY && states[1].size > 600);
    assert_eq!((intact.spooled, intact.keys.batches), (1, 1));
    assert_eq!(intact.unchecked.len(), 2, "{:?}", intact.unchecked);
}

#[test]
fn a_folder_is_intact_before_anything_was_applied_and_behind_block_one() {
    let mut world = World::empty();
    world.close();
    fs::write(world.dir.path().join("position.json"), EMPTY_POSITION).unwrap();
    assert_eq!(Folder::of(&world).check().unwrap().ledgers[0].size, 0);
    let mut world = World::new();
    world.close();
    assert_eq!(Folder::of(&world).check().unwrap().ledgers[0].size, 2);
}

const EMPTY_POSITION: &str = r#"{"format": 1, "ledgers": {}, "spooled": 0, "lost": 0}"#;

#[test]
fn views_that_are_still_to_be_made_are_told_of() {
    let mut world = rich(0);
    world.store().drop_views().unwrap();
    world.close();
    let unchecked = Folder::of(&world).check().unwrap().unchecked;
    assert_eq!(unchecked.iter().filter(|what| what.contains("views of")).count(), 2);
}

#[test]
fn a_database_of_before_there_was_a_view_is_checked_all_the_same() {
    let mut world = rich(0);
    world.close();
    let without = |folder: &Folder| {
        let path = folder.path("ledger");
        let options = rocksdb::Options::default();
        let tables = rocksdb::DB::list_cf(&options, &path).unwrap();
        let mut db = rocksdb::DB::open_cf(&options, &path, tables).unwrap();
        db.drop_cf("terms").unwrap();
    };
    let folder = Folder::of(&world);
    without(&folder);
    let found = folder.found(Verdict::Damaged);
    assert_eq!((found.table, found.what.as_str()), ("terms", "the table is missing"));
    world.reopen();
    world.store().drop_views().unwrap();
    world.close();
    let folder = Folder::of(&world);
    without(&folder);
    let unchecked = folder.check().unwrap().unchecked;
    assert_eq!(unchecked.iter().filter(|what| what.contains("views of")).count(), 2);
}

/// Earlier versions kept a file's rows in three tables.
#[test]
fn tables_of_earlier_views_are_checked_past_and_dropped_at_the_next_start() {
    let mut world = rich(0);
    world.close();
    let path = world.dir.path().join("ledger");
    let options = rocksdb::Options::default();
    let tables = || rocksdb::DB::list_cf(&options, &path).unwrap();
    let now = tables();
    let mut db = rocksdb::DB::open_cf(&options, &path, now.clone()).unwrap();
    for name in ["authors", "entries"] {
        db.create_cf(name, &options).unwrap();
        db.put_cf(db.cf_handle(name).unwrap(), b"a row", b"sealed").unwrap();
    }
    drop(db);
    Folder::of(&world).check().unwrap();
    world.reopen();
    // An earlier version that is put back makes its views, too.
    assert!(!world.store().views_ready().unwrap());
    world.close();
    assert_eq!(tables(), now);
}

#[test]
fn another_genesis_is_not_this_ledger() {
    let mut world = rich(0);
    world.close();
    for ledger in [0, 1] {
        let mut folder = Folder::of(&world);
        folder.pins[ledger].genesis = Hash([1; 32]);
        let found = folder.found(Verdict::Damaged);
        assert_eq!(found.table, "blocks");
        assert_eq!(found.place, Some(store::Place::Sequence(1)));
        assert!(found.what.contains("does not hold the genesis"), "{found}");
    }
}

#[test]
fn an_older_database_is_behind_what_the_node_told_and_what_somebody_kept() {
    let mut world = rich(0);
    world.close();
    let older = Folder::of(&world);
    world.reopen();
    let keys = world.patient_with_file();
    let kept = sign_now(&mut world, RECORDS, 300);
    world.file(keys, &[added(9, "later")]);
    world.close();
    let folder = Folder::of(&world);
    let file = |of: &Checkpoint| [(signed(of, 300), of.clone())];
    folder.check_with(&file(&kept)).unwrap();
    folder.put_back(&older);
    let found = folder.found(Verdict::Other);
    assert_eq!((found.table, found.ledger), ("position.json", Some(RECORDS)));
    // With the older position.json beside it nothing in the folder tells; the checkpoint does.
    older.check().unwrap();
    let found = older.check_with(&file(&kept)).unwrap_err();
    assert_eq!((found.verdict, found.table), (Verdict::Other, "checkpoint"), "{found}");
    let fork = Checkpoint { root: Hash([4; 32]), ..kept.clone() };
    let found = Folder::of(&world).check_with(&file(&fork)).unwrap_err();
    assert_eq!((found.verdict, found.table), (Verdict::Other, "checkpoint"), "{found}");
    let elsewhere = Checkpoint { origin: "another/records.0.0/00".to_owned(), ..kept };
    let found = Folder::of(&world).check_with(&file(&elsewhere)).unwrap_err();
    assert_eq!((found.verdict, found.table), (Verdict::Other, "checkpoint"), "{found}");
}

/// Who signed the end is gone with it.
#[test]
fn an_older_database_does_not_call_spoilt_what_a_later_node_signed() {
    let mut world = rich(0);
    world.close();
    let older = Folder::of(&world);
    world.reopen();
    let (later, seeds) = (NodeId([8; 16]), [41, 42, 43]);
    admit(&mut world, later, seeds);
    let kept = checkpoint(&world, RECORDS);
    let name = cosigner_name(&world.store().state(RECORDS).unwrap().state().name, later);
    world.close();
    let [_, as_log, cosigner] = seeds.map(|seed| SigningKey::from_bytes(&[seed; 32]));
    let file = [(sign(&kept, &as_log, (&name, &cosigner), 300).unwrap(), kept)];
    Folder::of(&world).check_with(&file).unwrap();
    let found = older.check_with(&file).unwrap_err();
    assert_eq!((found.verdict, found.table), (Verdict::Other, "checkpoint"), "{found}");
    assert!(found.what.contains("with who signed, is gone"), "{found}");
}

/// Neither on this ledger nor on another.
#[test]
fn a_kept_checkpoint_that_was_spoilt_accuses_nobody() {
    let mut world = rich(0);
    let kept = sign_now(&mut world, RECORDS, 300);
    world.close();
    let folder = Folder::of(&world);
    let spoilt = [
        Checkpoint { root: Hash([4; 32]), ..kept.clone() },
        Checkpoint { size: kept.size + 1, ..kept.clone() },
        Checkpoint { origin: format!("{}0", kept.origin), ..kept },
    ];
    let mut files = Vec::from(spoilt.map(|text| {
        let mut note = text.to_note().unwrap();
        note.signatures = signed(&kept, 300).signatures;
        (note, text)
    }));
    let mut stranger = kept.to_note().unwrap();
    stranger.sign(&kept.origin, &SigningKey::from_bytes(&[77; 32]));
    files.push((stranger, kept.clone()));
    for file in &files {
        let found = folder.check_with(std::slice::from_ref(file)).unwrap_err();
        assert_eq!((found.verdict, found.table), (Verdict::Unread, "checkpoint"), "{found}");
        assert!(found.what.contains("another copy"), "{found}");
    }
    // Nor does it keep another file from being compared.
    let fork = Checkpoint { root: Hash([4; 32]), ..kept.clone() };
    let found = folder.check_with(&[files.swap_remove(0), (signed(&fork, 300), fork)]).unwrap_err();
    assert_eq!(found.verdict, Verdict::Other, "{found}");
    folder.check_with(&[(signed(&kept, 300), kept)]).unwrap();
}

/// The same ledgers with another history, whole in itself.
#[test]
fn another_history_is_not_where_the_node_was() {
    let (mut world, mut other) = (rich(0), rich(0));
    world.close();
    other.close();
    let folder = Folder::of(&other);
    let position = "position.json";
    fs::copy(world.dir.path().join(position), folder.path(position)).unwrap();
    let found = folder.found(Verdict::Other);
    assert_eq!(found.table, position);
}

#[test]
fn a_checkpoint_that_is_not_of_the_tree_or_not_the_nodes_is_found() {
    let told: [(&str, Change); 5] = [
        ("another tree", |world| {
            let mut fork = checkpoint(world, RECORDS);
            fork.root = Hash([3; 32]);
            give_checkpoint(world, RECORDS, &fork, 400);
        }),
        ("last is of another tree", |world| {
            let mut fork = checkpoint(world, RECORDS);
            fork.root = Hash([3; 32]);
            world.store().set_last_checkpoint(RECORDS, &fork).unwrap();
        }),
        ("another ledger", |world| {
            let other = checkpoint(world, ACCESS);
            world.store().set_last_checkpoint(RECORDS, &other).unwrap();
        }),
        ("newest size", |world| {
            let size = world.store().state(RECORDS).unwrap().size;
            world.store().set_newest_checkpoint(RECORDS, size + 1, None).unwrap();
        }),
        ("witnesses cosigned last is of another tree", |world| {
            let mut fork = sign_now(world, RECORDS, 400);
            fork.root = Hash([3; 32]);
            let (size, note) = (fork.size, signed(&fork, 400));
            world.store().set_newest_checkpoint(RECORDS, size, Some(&note)).unwrap();
        }),
    ];
    for (what, change) in told {
        let mut world = rich(0);
        change(&mut world);
        world.close();
        let found = Folder::of(&world).found(Verdict::Damaged);
        assert!(found.what.contains(what), "{what}: {found}");
    }
    let mut world = rich(0);
    let ahead = Checkpoint { size: 9_999, ..checkpoint(&world, RECORDS) };
    world.store().set_last_checkpoint(RECORDS, &ahead).unwrap();
    world.close();
    assert!(Folder::of(&world).found(Verdict::Other).what.contains("is behind"));
}

/// What another node files is that node's affair: the folder is as its messages make it.
#[test]
fn a_wrong_checkpoint_of_another_node_is_told_and_damages_nothing() {
    let mut world = rich(0);
    let other = NodeId([9; 16]);
    let state = world.store().state(RECORDS).unwrap();
    let name = cosigner_name(&state.state().name, other);
    let [block, as_log, cosigner] = [31, 32, 33].map(|seed| SigningKey::from_bytes(&[seed; 32]));
    let checkpoint = checkpoint(&world, RECORDS);
    let fork = Checkpoint { root: Hash([3; 32]), size: state.size - 1, ..checkpoint.clone() };
    let notes = [
        sign(&checkpoint, &cosigner, (&name, &as_log), 400).unwrap(),
        sign(&fork, &as_log, (&name, &cosigner), 400).unwrap(),
    ];
    let items = notes.map(|note| Item::Checkpoint(note.to_string().into_bytes())).to_vec();
    let base = Base { sequence: state.sequence, stream_hash: state.stream_hash };
    let content = Content { sealed_at: world.now(), base, items };
    let message = Block::seal(RECORDS, other, &content, &block, &world.genesis(RECORDS)).unwrap();
    world.give(RECORDS, message);
    world.close();
    let intact = Folder::of(&world).check().unwrap();
    let told = |what| {
        intact.unchecked.iter().any(|line| line.contains(&other.to_string()) && line.contains(what))
    };
    assert!(told("another tree") && told("not signed"), "{:?}", intact.unchecked);
}

#[test]
fn what_is_gone_cannot_be_read() {
    let mut world = rich(0);
    world.close();
    for gone in ["ledger", "spool", "keys"] {
        let folder = Folder::of(&world);
        fs::remove_dir_all(folder.path(gone)).unwrap();
        assert_eq!(folder.found(Verdict::Unread).table, gone);
    }
    let folder = Folder::of(&world);
    fs::remove_file(folder.path("position.json")).unwrap();
    assert_eq!(folder.found(Verdict::Unread).table, "position.json");
    fs::write(folder.path("position.json"), "{").unwrap();
    assert_eq!(folder.found(Verdict::Damaged).table, "position.json");
    let folder = Folder::of(&world);
    fs::write(folder.path("ledger.damage"), "the database is damaged in heads at 01").unwrap();
    assert_eq!(folder.found(Verdict::Damaged).table, "ledger.damage");
}

#[test]
fn a_spool_that_lost_something_shows() {
    let mut world = rich(0);
    world.close();
    let open = |folder: &Folder| {
        let options = rocksdb::Options::default();
        rocksdb::DB::open_cf(&options, folder.path("spool"), ["default", "newest"]).unwrap()
    };
    // the block is gone: answers relied on it
    let folder = Folder::of(&world);
    open(&folder).delete(1_u64.to_be_bytes()).unwrap();
    assert_eq!(folder.found(Verdict::Other).table, "position.json");
    // it was changed
    let folder = Folder::of(&world);
    let spool = open(&folder);
    let mut block = spool.get(1_u64.to_be_bytes()).unwrap().unwrap();
    let middle = block.len() / 2;
    block[middle] ^= 1;
    spool.put(1_u64.to_be_bytes(), block).unwrap();
    drop(spool);
    assert_eq!(folder.found(Verdict::Damaged).table, "spool");
    // more was spooled than is there, and nobody was answered on it
    let folder = Folder::of(&world);
    let spool = open(&folder);
    spool.put_cf(spool.cf_handle("newest").unwrap(), [], 5_000_u64.to_be_bytes()).unwrap();
    drop(spool);
    assert_eq!(folder.found(Verdict::Damaged).table, "spool");
}

#[test]
fn a_key_that_is_gone_is_named() {
    let mut world = rich(0);
    let keys = world.patient_with_file();
    world.close();
    let open = |folder: &Folder| {
        let names = ["default", "keys", "subjects", "batches", "unused", "meta"];
        rocksdb::DB::open_cf(&rocksdb::Options::default(), folder.path("keys"), names).unwrap()
    };
    let folder = Folder::of(&world);
    let database = open(&folder);
    database.delete_cf(database.cf_handle("keys").unwrap(), keys.file.0).unwrap();
    drop(database);
    let found = folder.found(Verdict::Damaged);
    assert_eq!((found.table, found.key), ("keys: keys", keys.file.to_string()));
    assert!(found.what.contains("neither here nor destroyed"), "{}", found.what);
    // destroyed, and no record says so
    world.vault.destroy(keys.file).unwrap();
    let found = Folder::of(&world).found(Verdict::Damaged);
    assert!(found.what.contains("no record says so"), "{}", found.what);
}
