//! That keys leave no copy of themselves in memory.
//!
//! Looked at is the whole memory of this process, as the kernel shows it, but for stacks: what stood on
//! one is overwritten by the next calls, and nobody can say when.

use crate::key_encryption::{KeyRing, blank, fill_random};
use crate::{BatchOrigin, KekSource, KeyEncryptionKey, Vault};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;

/// How often these bytes stand in this process's heap. They are given as their complement, so that what is
/// looked for is not itself found.
fn copies(complement: &[u8]) -> usize {
    let wanted = |window: &[u8]| window.iter().zip(complement).all(|(byte, other)| *byte == !other);
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut memory = File::open("/proc/self/mem").unwrap();
    let mut found = 0;
    for line in maps.lines().filter(|line| line.contains(" rw-p ") && !line.contains("[stack]")) {
        let range = line.split_whitespace().next().unwrap();
        let (from, to) = range.split_once('-').unwrap();
        let [from, to] = [from, to].map(|text| u64::from_str_radix(text, 16).unwrap());
        let mut bytes = zeroize::Zeroizing::new(vec![0; usize::try_from(to - from).unwrap()]);
        memory.seek(SeekFrom::Start(from)).unwrap();
        // A guard page that looks readable is not.
        if memory.read_exact(&mut bytes).is_ok() {
            found += bytes.windows(complement.len()).filter(|window| wanted(window)).count();
        }
    }
    found
}

/// Of a key's second half: the allocator writes its own notes into the first half of what is freed.
fn complement(bytes: &[u8]) -> Vec<u8> {
    bytes[16..].iter().map(|byte| !byte).collect()
}

/// Runs on a thread of its own, whose stack is given back before anybody looks.
fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap())
}

#[test]
fn what_is_dropped_without_being_wiped_is_seen() {
    let looked_for = apart(|| {
        let mut key = blank();
        fill_random(&mut key).unwrap();
        // Many, since some room is used again at once.
        drop((0..64).map(|_| key.to_vec().into_boxed_slice()).collect::<Vec<_>>());
        complement(&key)
    });
    assert!(copies(&looked_for) > 0);
}

#[test]
fn keys_that_are_dropped_are_not_in_memory_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kek");
    let looked_for = apart(|| {
        let mut kek = blank();
        fill_random(&mut kek).unwrap();
        let text = zeroize::Zeroizing::new(hex::encode(&*kek));
        std::fs::write(&file, text.as_bytes()).unwrap();
        complement(&kek)
    });
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let ring = apart(|| KeyRing::from(KekSource::File(file.clone()).load(1).unwrap()));
    assert!(copies(&looked_for) > 0, "the key in use is seen, so a copy would be");

    let (vault, data_key) = apart(|| {
        let vault = Vault::open(dir.path(), ring).unwrap();
        vault.add_system(&vault.mint_system().unwrap()).unwrap();
        vault.add_batch("one", &vault.mint_batch().unwrap(), BatchOrigin::ThisNode).unwrap();
        let patient = vault.take_patient().unwrap().unwrap();
        let key = vault.data_key(patient.file).unwrap().unwrap();
        let data_key = complement(key.secret());
        (vault, data_key)
    });
    assert!(copies(&data_key) > 0, "the cached key is seen");
    apart(|| drop(vault));
    assert_eq!(copies(&data_key), 0, "data keys, also of the cache");
    assert_eq!(copies(&looked_for), 0, "the key-encryption key");
    drop(KeyEncryptionKey::from_file(&file, 1).unwrap());
    assert_eq!(copies(&looked_for), 0, "one that was read from its file again");
}
