//! Behaviour of the vault as its callers see it.

use crate::*;
use ledger::header::{HEADER_FORMAT, SUITE_SEALED};
use ledger::{
    ActorId, ContributionId, Hash, Header, KeyId, LeafType, LedgerId, NodeId, RecordId, SubjectId,
};
use proptest::prelude::*;
use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const GENESIS: Hash = Hash([9; 32]);

fn kek() -> KeyEncryptionKey {
    KeyEncryptionKey::from_bytes(1, &[42; 32]).unwrap()
}

fn open(dir: &Path) -> Vault {
    Vault::open(dir, kek()).unwrap()
}

/// A vault with the system's keys and one batch of its own.
fn filled(dir: &Path) -> (Vault, Vec<u8>) {
    let vault = open(dir);
    vault.add_system(&vault.mint_system().unwrap()).unwrap();
    let batch = vault.mint_batch().unwrap();
    vault.add_batch("one", &batch, BatchOrigin::ThisNode).unwrap();
    (vault, batch)
}

fn header(subject: SubjectId, key: KeyId) -> Header {
    Header {
        format: HEADER_FORMAT,
        leaf: LeafType::Record,
        suite: SUITE_SEALED,
        ledger: LedgerId::RECORDS,
        record_id: RecordId([1; 16]),
        contribution_id: ContributionId([2; 32]),
        index: 0,
        count: 1,
        subject,
        version: 1,
        previous: Hash::ZERO,
        recorded_at: 1_700_000_000_000_000,
        node: NodeId([3; 16]),
        actor: ActorId([4; 16]),
        envelope_version: 1,
        data_key: key,
        key_commitment: Hash::ZERO,
        body_length: 0,
        body_hash: Hash::ZERO,
    }
}

struct Sealed {
    header: Header,
    body: Vec<u8>,
}

fn seal(vault: &Vault, keys: PatientKeyIds, plain: &[u8]) -> Sealed {
    let mut header = header(keys.subject, keys.file);
    let key = vault.data_key(keys.file).unwrap().unwrap();
    let body = vault.seal_body(&GENESIS, &mut header, plain, &key).unwrap();
    Sealed { header, body }
}

#[test]
fn a_body_opens_to_what_was_sealed_and_its_length_is_a_class() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, _) = filled(dir.path());
    let keys = vault.take_patient().unwrap().unwrap();
    for (content, class) in [(0, 256), (252, 256), (253, 512), (LARGEST_PLAIN, 256 * 1024)] {
        let plain = vec![7; content];
        let Sealed { header, body } = seal(&vault, keys, &plain);
        assert_eq!(body.len(), 32 + class + 16, "content of {content}");
        assert_eq!(header.body_length as usize, body.len());
        assert_eq!(header.body_hash, Hash::of(&body), "the vault's hash is the ledger's");
        assert_eq!(
            vault.open_body(&GENESIS, &header, &body).unwrap(),
            Opened::Plain(plain.clone())
        );
        let handed_out = vault.hand_out(&GENESIS, &header, &body).unwrap().unwrap();
        assert_eq!(handed_out.plain, plain);
        let labelled = [b"caseledger/key-commitment/v1".as_slice(), &*handed_out.record_key];
        assert_eq!(Hash::of(&labelled.concat()), header.key_commitment);
    }
}

#[test]
fn a_vault_gives_back_every_entry_bit_for_bit_and_no_destroyed_key() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (vault, first) = filled(here.path());
    let second = vault.mint_batch().unwrap();
    vault.add_batch("two", &second, BatchOrigin::Bucket).unwrap();
    assert_eq!(vault.batches().unwrap(), ["one", "two"]);
    assert_eq!(vault.batch("one").unwrap(), Some(first.clone()));
    assert_eq!(vault.batch("two").unwrap(), Some(second));
    assert_eq!(vault.batch("three").unwrap(), None);

    let keys = vault.take_patient().unwrap().unwrap();
    vault.destroy(keys.file).unwrap();
    let given = vault.batch("one").unwrap().unwrap();
    let mut erased = KeyBatch::decode("one", &first).unwrap();
    assert!(erased.erase(keys.file));
    assert_eq!(given, erased.encode().unwrap(), "all but the destroyed key");

    // Another node takes the entries, and gives the same.
    let other = open(there.path());
    other.add_system(&vault.system_entry().unwrap().unwrap()).unwrap();
    other.add_batch("one", &given, BatchOrigin::Bucket).unwrap();
    assert_eq!(other.system_entry().unwrap(), vault.system_entry().unwrap());
    assert_eq!(other.batch("one").unwrap(), Some(given));
    assert!(matches!(other.key_state(keys.file).unwrap(), KeyState::Missing));
}

#[test]
fn a_body_over_the_limit_is_refused_and_the_limit_named() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, _) = filled(dir.path());
    let keys = vault.take_patient().unwrap().unwrap();
    let key = vault.data_key(keys.file).unwrap().unwrap();
    let mut header = header(keys.subject, keys.file);
    let plain = vec![0; LARGEST_PLAIN + 1];
    let error = vault.seal_body(&GENESIS, &mut header, &plain, &key).unwrap_err();
    assert!(error.to_string().contains(&LARGEST_PLAIN.to_string()), "{error}");
}

#[test]
fn sealing_twice_gives_different_bodies() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, _) = filled(dir.path());
    let keys = vault.take_patient().unwrap().unwrap();
    let (one, two) = (seal(&vault, keys, b"same"), seal(&vault, keys, b"same"));
    assert_ne!(one.body, two.body);
    assert_ne!(one.header.key_commitment, two.header.key_commitment);
}

#[test]
fn a_header_of_another_key_is_not_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, _) = filled(dir.path());
    let keys = vault.take_patient().unwrap().unwrap();
    let key = vault.data_key(keys.audit).unwrap().unwrap();
    let mut header = header(keys.subject, keys.file);
    let error = vault.seal_body(&GENESIS, &mut header, b"", &key).unwrap_err();
    assert!(matches!(error, VaultError::WrongKey { .. }), "{error}");
}

#[test]
fn every_header_field_before_the_sealing_is_bound_to_the_body() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, _) = filled(dir.path());
    let keys = vault.take_patient().unwrap().unwrap();
    let Sealed { header, body } = seal(&vault, keys, b"content");
    let changes: [fn(&mut Header); 9] = [
        |h| h.record_id = RecordId([8; 16]),
        |h| h.contribution_id = ContributionId([8; 32]),
        |h| h.subject = SubjectId([8; 16]),
        |h| h.version = 2,
        |h| h.previous = Hash([8; 32]),
        |h| h.recorded_at += 1,
        |h| h.node = NodeId([8; 16]),
        |h| h.actor = ActorId([8; 16]),
        |h| h.envelope_version = 2,
    ];
    for (at, change) in changes.iter().enumerate() {
        let mut changed = header.clone();
        change(&mut changed);
        let opened = vault.open_body(&GENESIS, &changed, &body);
        assert!(matches!(opened, Err(VaultError::Tampered { .. })), "change {at}: {opened:?}");
    }
    let other_ledger = vault.open_body(&Hash([1; 32]), &header, &body);
    assert!(matches!(other_ledger, Err(VaultError::Tampered { check: "commitment", .. })));
    let unknown = Header { suite: 9, ..header };
    let opened = vault.open_body(&GENESIS, &unknown, &body);
    assert!(matches!(opened, Err(VaultError::UnknownSuite { suite: 9, .. })));
}

#[test]
fn missing_and_destroyed_keys_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, _) = filled(dir.path());
    let keys = vault.take_patient().unwrap().unwrap();
    let Sealed { header, body } = seal(&vault, keys, b"content");
    let elsewhere = tempfile::tempdir().unwrap();
    let other = open(elsewhere.path());
    assert_eq!(other.open_body(&GENESIS, &header, &body).unwrap(), Opened::KeyMissing);
    vault.destroy(keys.file).unwrap();
    assert_eq!(vault.open_body(&GENESIS, &header, &body).unwrap(), Opened::KeyDestroyed);
    assert!(vault.data_key(keys.audit).unwrap().is_some(), "the audit key outlives the file's");
    assert_eq!(vault.keys_of(keys.subject).unwrap().unwrap().file, keys.file);
}

#[test]
fn a_destroyed_key_stays_destroyed_and_its_bytes_leave_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, bytes) = filled(dir.path());
    let batch = KeyBatch::decode("one", &bytes).unwrap();
    let gone = batch.entries[3].file.clone();
    let kept = batch.entries[4].file.clone();
    vault.destroy(gone.id).unwrap();
    vault.destroy(gone.id).unwrap();
    // an older revision of the entry, under its own and under another name
    vault.add_batch("one", &bytes, BatchOrigin::Bucket).unwrap();
    vault.add_batch("again", &bytes, BatchOrigin::Bucket).unwrap();
    assert!(matches!(vault.key_state(gone.id).unwrap(), KeyState::Destroyed));
    drop(vault);
    let vault = open(dir.path());
    assert!(matches!(vault.key_state(gone.id).unwrap(), KeyState::Destroyed));
    assert!(matches!(vault.key_state(kept.id).unwrap(), KeyState::Here(_)));
    assert!(!on_disk(dir.path(), &gone.ciphertext), "an old version is still on the disk");
    assert!(on_disk(dir.path(), &kept.ciphertext), "the search finds what is there");
}

fn on_disk(dir: &Path, needle: &[u8]) -> bool {
    std::fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return on_disk(&path, needle);
        }
        std::fs::read(path).unwrap().windows(needle.len()).any(|window| window == needle)
    })
}

#[test]
fn an_emptied_entry_without_a_destruction_here_takes_nothing_away() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, bytes) = filled(dir.path());
    let mut batch = KeyBatch::decode("one", &bytes).unwrap();
    let id = batch.entries[0].file.id;
    assert!(batch.erase(id));
    assert!(batch.entries[0].file.is_destroyed());
    let emptied = batch.encode().unwrap();
    // a node that never had it does not get it, until it is put back
    let elsewhere = tempfile::tempdir().unwrap();
    let other = open(elsewhere.path());
    other.add_batch("one", &emptied, BatchOrigin::Bucket).unwrap();
    assert!(matches!(other.key_state(id).unwrap(), KeyState::Missing));
    refused(&vault, "one", &emptied);
    assert!(matches!(vault.key_state(id).unwrap(), KeyState::Here(_)));
    let back = vault.batch("one").unwrap();
    assert_eq!(back.as_ref(), Some(&bytes), "to be put back bit for bit");
    other.add_batch("one", &bytes, BatchOrigin::Bucket).unwrap();
    assert!(matches!(other.key_state(id).unwrap(), KeyState::Here(_)));
    let mut system = SystemKeys::decode(&vault.system_entry().unwrap().unwrap()).unwrap();
    system.audit.ciphertext.clear();
    let error = vault.add_system(&system.encode().unwrap()).unwrap_err();
    assert!(matches!(error, VaultError::KeyConflict { .. }), "{error}");
    drop(vault);
    Inspection::open(dir.path()).unwrap().check().unwrap();
}

/// The vault takes nothing of an entry, and wants the one that it has back in its place.
fn refused(vault: &Vault, name: &str, bytes: &[u8]) {
    let error = vault.add_batch(name, bytes, BatchOrigin::Bucket).unwrap_err();
    assert!(matches!(error, VaultError::KeyConflict { .. }), "{error}");
    let known = vault.has_batch(name).unwrap();
    assert_eq!(vault.is_overwritten(name, bytes, &error).unwrap(), known);
}

#[test]
fn no_entry_gives_a_known_patient_other_keys() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, bytes) = filled(dir.path());
    let batch = KeyBatch::decode("one", &bytes).unwrap();
    let (patient, other) = (&batch.entries[0], &batch.entries[1]);
    let ids = vault.keys_of(patient.subject).unwrap();
    let mut wrong = vec![patient.clone(); 3];
    wrong[0].file.id = KeyId([7; 16]);
    wrong[1].audit.id = other.audit.id;
    wrong[2].audit = WrappedKey { id: KeyId([7; 16]), ciphertext: vec![], ..patient.audit.clone() };
    for entry in wrong {
        refused(&vault, "evil", &KeyBatch { entries: vec![entry] }.encode().unwrap());
    }
    // Its wraps are open to whoever reads the bucket.
    let system = SystemKeys::decode(&vault.system_entry().unwrap().unwrap()).unwrap();
    let (subject, file, audit) = (system.subject, system.registry, system.audit);
    let entries = vec![PatientKeys { subject, file, audit }];
    refused(&vault, "evil", &KeyBatch { entries }.encode().unwrap());
    let twice = KeyBatch { entries: vec![patient.clone(); 2] }.encode().unwrap();
    let malformed = vault.add_batch("evil", &twice, BatchOrigin::Bucket);
    assert!(matches!(malformed, Err(VaultError::MalformedBatch { .. })));
    drop(vault);
    let vault = open(dir.path());
    assert_eq!(vault.keys_of(patient.subject).unwrap(), ids);
    assert_eq!(vault.batches().unwrap(), ["one"]);

    // Where the patient was unknown, ids without keys give way to the keys.
    let elsewhere = tempfile::tempdir().unwrap();
    let fresh = open(elsewhere.path());
    let mut named = patient.clone();
    for key in [&mut named.file, &mut named.audit] {
        *key = WrappedKey { id: KeyId([7; 16]), ciphertext: vec![], ..key.clone() };
    }
    let named = KeyBatch { entries: vec![named] }.encode().unwrap();
    fresh.add_batch("evil", &named, BatchOrigin::Bucket).unwrap();
    fresh.add_batch("one", &bytes, BatchOrigin::Bucket).unwrap();
    assert_eq!(fresh.keys_of(patient.subject).unwrap(), ids);
}

#[test]
fn a_known_batch_loses_no_patient() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, bytes) = filled(dir.path());
    refused(&vault, "one", &vault.mint_batch().unwrap());
    let mut fewer = KeyBatch::decode("one", &bytes).unwrap();
    fewer.entries.remove(9);
    let fewer = fewer.encode().unwrap();
    refused(&vault, "one", &fewer);
    assert_eq!(vault.batch("one").unwrap(), Some(bytes.clone()));
    let rubbish = vault.add_batch("one", b"rubbish", BatchOrigin::Bucket).unwrap_err();
    assert!(vault.is_overwritten("one", b"rubbish", &rubbish).unwrap());
    // Who saw only what it was overwritten with takes the whole one.
    let elsewhere = tempfile::tempdir().unwrap();
    let other = open(elsewhere.path());
    other.add_batch("one", &fewer, BatchOrigin::Bucket).unwrap();
    assert_eq!(other.add_batch("one", &bytes, BatchOrigin::Bucket).unwrap().len(), 1);
    assert_eq!(other.batch("one").unwrap().as_ref(), Some(&bytes));
    // And who took another batch for it, once that other is in its place.
    let (third, two) = (tempfile::tempdir().unwrap(), vault.mint_batch().unwrap());
    let misled = open(third.path());
    misled.add_batch("one", &two, BatchOrigin::Bucket).unwrap();
    assert!(misled.add_batch("one", &bytes, BatchOrigin::Bucket).is_err());
    misled.add_batch("two", &two, BatchOrigin::Bucket).unwrap();
    misled.add_batch("one", &bytes, BatchOrigin::Bucket).unwrap();
    assert_eq!(misled.batch("one").unwrap(), Some(bytes));
}

#[test]
fn a_key_that_does_not_unwrap_is_not_taken_and_bars_none_that_does() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_, bytes) = filled(dir.path());
    let mut junk = KeyBatch::decode("one", &bytes).unwrap();
    junk.entries[0].file.ciphertext[0] ^= 1;
    let key = junk.entries[0].file.clone();
    let other = open(elsewhere.path());
    let refused = other.add_batch("one", &junk.encode().unwrap(), BatchOrigin::Bucket);
    assert!(matches!(refused, Err(VaultError::WrapTampered { .. })));
    assert!(!other.has_batch("one").unwrap());
    // A node of before kept it.
    let row = postcard::to_stdvec(&crate::database::KeyRow::Wrapped(key.clone())).unwrap();
    let mut write = rocksdb::WriteBatch::default();
    write.put_cf(other.database.table(crate::database::KEYS).unwrap(), key.id.0, row);
    other.database.write(write).unwrap();
    other.add_batch("one", &bytes, BatchOrigin::Bucket).unwrap();
    assert!(matches!(other.key_state(key.id).unwrap(), KeyState::Here(_)));
    assert_eq!(other.batch("one").unwrap(), Some(bytes));
}

#[test]
fn another_key_under_a_known_id_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, bytes) = filled(dir.path());
    let mut batch = KeyBatch::decode("one", &bytes).unwrap();
    batch.entries[0].file.ciphertext[0] ^= 1;
    let result = vault.add_batch("two", &batch.encode().unwrap(), BatchOrigin::Bucket);
    assert!(matches!(result, Err(VaultError::KeyConflict { .. })));
    assert!(!vault.has_batch("two").unwrap());
}

#[test]
fn a_wrap_is_bound_to_id_subject_purpose_version_and_key() {
    let dir = tempfile::tempdir().unwrap();
    let (_, bytes) = filled(dir.path());
    let wrapped = KeyBatch::decode("one", &bytes).unwrap().entries[0].file.clone();
    let ring = KeyRing::from(kek());
    assert!(ring.unwrap_key(&wrapped).is_ok());
    let changed = [
        WrappedKey { id: KeyId([1; 16]), ..wrapped.clone() },
        WrappedKey { subject: SubjectId([1; 16]), ..wrapped.clone() },
        WrappedKey { purpose: KeyPurpose::Audit, ..wrapped.clone() },
        WrappedKey { nonce: [0; 12], ..wrapped.clone() },
    ];
    for key in &changed {
        assert!(matches!(ring.unwrap_key(key), Err(VaultError::WrapTampered { .. })));
    }
    let second = KeyRing::from(KeyEncryptionKey::from_bytes(2, &[42; 32]).unwrap());
    let error = second.unwrap_key(&wrapped).unwrap_err();
    assert!(matches!(error, VaultError::OtherKeyVersion { wrapped: 1, .. }));
    let other = KeyRing::from(KeyEncryptionKey::from_bytes(1, &[43; 32]).unwrap());
    assert!(matches!(other.unwrap_key(&wrapped), Err(VaultError::WrapTampered { .. })));
}

#[test]
fn a_patient_is_given_out_once_whatever_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, bytes) = filled(dir.path());
    assert_eq!(vault.unused(), KEYS_PER_BATCH);
    let mut seen = HashSet::new();
    for _ in 0..10 {
        assert!(seen.insert(vault.take_patient().unwrap().unwrap().subject));
    }
    assert_eq!(vault.unused(), KEYS_PER_BATCH - 10);
    drop(vault);
    let vault = open(dir.path());
    // those set apart before the restart are not given out again
    assert_eq!(vault.unused(), KEYS_PER_BATCH - 64);
    // neither does the entry read back from the bucket, nor our own call repeated, bring them back
    vault.add_batch("one", &bytes, BatchOrigin::Bucket).unwrap();
    vault.add_batch("one", &bytes, BatchOrigin::ThisNode).unwrap();
    while let Some(patient) = vault.take_patient().unwrap() {
        assert!(seen.insert(patient.subject), "given out twice");
    }
    assert_eq!(vault.unused(), 0);
    vault.add_batch("two", &vault.mint_batch().unwrap(), BatchOrigin::ThisNode).unwrap();
    assert_eq!(vault.unused(), KEYS_PER_BATCH);
    while let Some(patient) = vault.take_patient().unwrap() {
        assert!(seen.insert(patient.subject), "given out twice");
    }
    assert_eq!(seen.len(), 10 + (KEYS_PER_BATCH - 64) + KEYS_PER_BATCH);
}

#[test]
fn patients_of_the_bucket_are_known_but_never_given_out() {
    let dir = tempfile::tempdir().unwrap();
    let vault = open(dir.path());
    let bytes = vault.mint_batch().unwrap();
    let batch = KeyBatch::decode("one", &bytes).unwrap();
    let new = vault.add_batch("one", &bytes, BatchOrigin::Bucket).unwrap();
    assert_eq!(new.len(), KEYS_PER_BATCH);
    assert!(vault.has_batch("one").unwrap());
    assert!(vault.take_patient().unwrap().is_none());
    let ids = vault.keys_of(batch.entries[7].subject).unwrap().unwrap();
    assert_eq!((ids.file, ids.audit), (batch.entries[7].file.id, batch.entries[7].audit.id));
    // seen on the bucket before our own call: ours all the same
    assert!(vault.add_batch("one", &bytes, BatchOrigin::ThisNode).unwrap().is_empty());
    assert_eq!(vault.unused(), KEYS_PER_BATCH);
}

#[test]
fn terms_and_digests_are_keyed_and_keep_their_parts_apart() {
    let dir = tempfile::tempdir().unwrap();
    let vault = open(dir.path());
    assert!(matches!(vault.index_term("mrn", &[b"1"]), Err(VaultError::NoSystemKeys)));
    let system = vault.mint_system().unwrap();
    vault.add_system(&system).unwrap();
    vault.add_system(&system).unwrap();
    let term = vault.index_term("mrn", &[b"ab", b"c"]).unwrap();
    assert_eq!(term, vault.index_term("mrn", &[b"ab", b"c"]).unwrap());
    assert_ne!(term, vault.index_term("mrn", &[b"a", b"bc"]).unwrap());
    assert_ne!(term, vault.index_term("nhs", &[b"ab", b"c"]).unwrap());
    assert_ne!(vault.digest("mrn", b"abc").unwrap().0, vault.index_term("mrn", &[b"abc"]).unwrap());
    let another = vault.mint_system().unwrap();
    assert!(matches!(vault.add_system(&another), Err(VaultError::KeyConflict { .. })));
    let before = vault.system().unwrap();
    drop(vault);
    let vault = open(dir.path());
    assert_eq!(vault.system().unwrap(), before);
    assert_eq!(vault.index_term("mrn", &[b"ab", b"c"]).unwrap(), term);
    assert!(vault.data_key(before.unwrap().registry).unwrap().is_some());
}

#[test]
fn a_view_row_opens_under_its_own_key_and_place_only() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, _) = filled(dir.path());
    let ids = vault.take_patient().unwrap().unwrap();
    let key = vault.data_key(ids.file).unwrap().unwrap();
    let row = key.seal_view(b"place", b"content").unwrap();
    assert_eq!(key.open_view(b"place", &row).unwrap(), b"content");
    assert!(matches!(key.open_view(b"other", &row), Err(VaultError::ViewTampered)));
    let audit = vault.data_key(ids.audit).unwrap().unwrap();
    assert!(matches!(audit.open_view(b"place", &row), Err(VaultError::ViewTampered)));
    for at in 0..row.len() {
        let mut changed = row.clone();
        changed[at] ^= 1;
        assert!(key.open_view(b"place", &changed).is_err(), "byte {at}");
    }
    assert!(key.open_view(b"place", &row[..5]).is_err());
}

#[test]
fn the_key_file_must_be_private_and_hold_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kek");
    std::fs::write(&path, format!("{}\n", "2a".repeat(32))).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(KeyEncryptionKey::from_file(&path, 1).is_ok());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = KeyEncryptionKey::from_file(&path, 1).unwrap_err();
    assert!(matches!(error, VaultError::KeyFileMode { mode: 0o640, .. }), "{error}");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&path, "not a key").unwrap();
    let error = KeyEncryptionKey::from_file(&path, 1).unwrap_err();
    assert!(matches!(error, VaultError::KeyFileContent { .. }), "{error}");
}

#[test]
fn nothing_secret_is_printed() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, _) = filled(dir.path());
    let ids = vault.take_patient().unwrap().unwrap();
    let key = vault.data_key(ids.file).unwrap().unwrap();
    let printed = format!("{key:?} {:?} {vault:?}", kek());
    assert!(!printed.contains("42, 42"), "the key-encryption key");
    assert!(!printed.contains("secret"), "a data key's bytes");
}

#[test]
fn batches_are_refused_when_malformed() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, bytes) = filled(dir.path());
    for bad in [&b""[..], b"rubbish", &bytes[..bytes.len() - 1], &[&bytes[..], &[0]].concat()] {
        let result = vault.add_batch("bad", bad, BatchOrigin::Bucket);
        assert!(matches!(result, Err(VaultError::MalformedBatch { .. })));
    }
    let mut swapped = KeyBatch::decode("one", &bytes).unwrap();
    let entry = &mut swapped.entries[0];
    std::mem::swap(&mut entry.file, &mut entry.audit);
    let result = vault.add_batch("bad", &swapped.encode().unwrap(), BatchOrigin::Bucket);
    assert!(matches!(result, Err(VaultError::MalformedBatch { .. })));
}

/// One vault for all cases: opening one costs more than a case.
fn shared() -> &'static (Vault, PatientKeyIds) {
    static SHARED: std::sync::OnceLock<(Vault, PatientKeyIds)> = std::sync::OnceLock::new();
    SHARED.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let (vault, _) = filled(dir.path());
        let keys = vault.take_patient().unwrap().unwrap();
        (vault, keys)
    })
}

proptest! {
    #[test]
    fn any_content_comes_back_and_any_flipped_bit_is_refused(
        plain in proptest::collection::vec(any::<u8>(), 0..2_000),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let (vault, keys) = shared();
        let Sealed { header, mut body } = seal(vault, *keys, &plain);
        prop_assert_eq!(
            vault.open_body(&GENESIS, &header, &body).unwrap(),
            Opened::Plain(plain)
        );
        let at = at.index(body.len());
        body[at] ^= 1 << bit;
        let opened = vault.open_body(&GENESIS, &header, &body);
        let refused = matches!(opened, Err(VaultError::Tampered { check: "hash", .. }));
        prop_assert!(refused);
        // and when the header's hash was changed along with it
        let forged = Header { body_hash: Hash::of(&body), ..header };
        let opened = vault.open_body(&GENESIS, &forged, &body);
        let refused = matches!(opened, Err(VaultError::Tampered { .. }));
        prop_assert!(refused);
    }

    #[test]
    fn a_class_is_the_smallest_power_of_two_that_fits(content in 0..LARGEST_PLAIN) {
        let class = size_class(content).unwrap();
        prop_assert!(class >= content + 4);
        prop_assert!(class == SMALLEST_SIZE_CLASS || class / 2 < content + 4);
        prop_assert!(class.is_power_of_two() && class <= LARGEST_SIZE_CLASS);
    }
}

#[test]
fn subjects_whose_keys_came_are_to_be_folded_until_they_are() {
    let [here, there] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (here, there) = (open(here.path()), open(there.path()));
    let batch = here.mint_batch().unwrap();
    here.add_batch("one", &batch, BatchOrigin::ThisNode).unwrap();
    assert!(here.to_fold().is_empty(), "nobody is on file under keys that are just made");
    let patient = here.take_patient().unwrap().unwrap().subject;
    assert!(!there.is_to_fold(patient));
    let new = there.add_batch("one", &batch, BatchOrigin::Bucket).unwrap();
    assert!(there.is_to_fold(patient) && there.to_fold().len() == new.len());
    there.note_folded(patient);
    there.add_batch("one", &batch, BatchOrigin::Bucket).unwrap();
    assert!(!there.is_to_fold(patient), "nothing is new");
    there.note_to_fold([patient]);
    assert!(there.is_to_fold(patient));
}
