//! An entry of the key bucket under another version of the key-encryption key.
//!
//! The keys in it stay the same, and so does everything that is encrypted under them: only what they are
//! wrapped in is new. Whoever once had the old version and the wrapped keys of that time can still open
//! them; a rotation is against that, from now on, somebody has both.

use crate::batch::{KeyBatch, SystemKeys, WrappedKey};
use crate::key_encryption::KeyRing;
use crate::{SYSTEM_ENTRY, Vault, VaultError};

/// What an entry holds.
enum Entry {
    System(Box<SystemKeys>),
    Batch(KeyBatch),
}

impl Entry {
    fn decode(name: &str, bytes: &[u8]) -> Result<Self, VaultError> {
        if name == SYSTEM_ENTRY {
            SystemKeys::decode(bytes).map(Box::new).map(Self::System)
        } else {
            KeyBatch::decode(name, bytes).map(Self::Batch)
        }
    }

    fn encode(&self) -> Result<Vec<u8>, VaultError> {
        match self {
            Self::System(keys) => keys.encode(),
            Self::Batch(batch) => batch.encode(),
        }
    }

    fn keys(&mut self) -> Vec<&mut WrappedKey> {
        match self {
            Self::System(keys) => keys.all_mut().into(),
            Self::Batch(batch) => {
                batch.entries.iter_mut().flat_map(|one| [&mut one.file, &mut one.audit]).collect()
            }
        }
    }
}

/// The lowest version of the key-encryption key that an entry's keys are wrapped under; `None` when all
/// of them are destroyed.
///
/// # Errors
/// When the bytes are not what an entry of that name holds.
pub fn wrapped_under(name: &str, bytes: &[u8]) -> Result<Option<u32>, VaultError> {
    let mut entry = Entry::decode(name, bytes)?;
    let keys = entry.keys().into_iter().filter(|key| !key.is_destroyed());
    Ok(keys.map(|key| key.kek_version).min())
}

impl Vault {
    /// Whether an entry of the bucket that was refused with `why` stands in the place of one that is kept
    /// here, so that this one is to be put back.
    ///
    /// Not when what is kept does not open here, or when the other is under a newer version of the
    /// key-encryption key than the system's keys: then it may be this node that has a wrong one. What a
    /// later version writes in another form needs another name: to this one it is no entry.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn is_overwritten(
        &self,
        name: &str,
        bytes: &[u8],
        why: &VaultError,
    ) -> Result<bool, VaultError> {
        let of_the_entry = matches!(
            why,
            VaultError::KeyConflict { .. }
                | VaultError::MalformedBatch { .. }
                | VaultError::OtherKeyVersion { .. }
                | VaultError::WrapTampered { .. }
        );
        let kept = match name {
            SYSTEM_ENTRY => self.system_entry()?,
            name => self.batch(name)?,
        };
        let (true, Some(kept), Some(wanted)) = (of_the_entry, kept, self.kek_version()?) else {
            return Ok(false);
        };
        let newer = |key: &&mut WrappedKey| !key.is_destroyed() && key.kek_version > wanted;
        if Entry::decode(name, bytes).is_ok_and(|mut entry| entry.keys().iter().any(newer)) {
            return Ok(false);
        }
        let mut kept = Entry::decode(name, &kept)?;
        Ok(kept.keys().iter().all(|key| key.is_destroyed() || self.keks.check(key).is_ok()))
    }
}

impl KeyRing {
    /// The entry with all its keys under this version, as the bucket is to hold it; `None` when none is
    /// under an older one.
    ///
    /// # Errors
    /// When the bytes are not what an entry of that name holds, or a key does not unwrap.
    pub fn rewrap(
        &self,
        name: &str,
        bytes: &[u8],
        version: u32,
    ) -> Result<Option<Vec<u8>>, VaultError> {
        if wrapped_under(name, bytes)?.is_none_or(|oldest| oldest >= version) {
            return Ok(None);
        }
        let mut entry = Entry::decode(name, bytes)?;
        for key in entry.keys() {
            *key = self.rewrap_key(key, version)?;
        }
        entry.encode().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchOrigin, Inspection, KEYS_PER_BATCH, KeyEncryptionKey, KeyState};
    use std::collections::BTreeMap;
    use std::path::Path;

    fn kek(version: u32) -> KeyEncryptionKey {
        let byte = u8::try_from(version).unwrap();
        KeyEncryptionKey::from_bytes(version, &[byte; 32]).unwrap()
    }

    fn both() -> KeyRing {
        KeyRing::new([kek(1), kek(2)]).unwrap()
    }

    fn secret(vault: &Vault, id: ledger::KeyId) -> Vec<u8> {
        vault.data_key(id).unwrap().unwrap().secret().to_vec()
    }

    /// A vault with the system's keys and a batch under version 1, and those entries.
    fn filled(dir: &Path, keks: KeyRing) -> (Vault, Vec<u8>, Vec<u8>) {
        let first = Vault::open(dir, kek(1)).unwrap();
        let (system, batch) = (first.mint_system().unwrap(), first.mint_batch().unwrap());
        first.add_system(&system).unwrap();
        first.add_batch("one", &batch, BatchOrigin::ThisNode).unwrap();
        drop(first);
        (Vault::open(dir, keks).unwrap(), system, batch)
    }

    #[test]
    fn entries_wrapped_anew_hold_the_same_keys_and_no_older_one_takes_their_place() {
        let dir = tempfile::tempdir().unwrap();
        let (vault, system, batch) = filled(dir.path(), both());
        assert_eq!(vault.rewrap("one", &batch).unwrap(), None, "nothing was begun");
        assert_eq!(wrapped_under("one", &vault.mint_batch().unwrap()).unwrap(), Some(1));
        let patient = vault.take_patient().unwrap().unwrap();
        let (term, file) =
            (vault.index_term("mrn", &[b"1"]).unwrap(), secret(&vault, patient.file));

        let new_system = both().rewrap(SYSTEM_ENTRY, &system, 2).unwrap().unwrap();
        vault.add_system(&new_system).unwrap();
        assert_eq!(vault.kek_version().unwrap(), Some(2));
        assert_eq!(wrapped_under("two", &vault.mint_batch().unwrap()).unwrap(), Some(2));
        let new_batch = vault.rewrap("one", &batch).unwrap().unwrap();
        assert_eq!(vault.held_keks().unwrap(), [1, 2]);
        let unused = vault.unused();
        assert!(vault.add_batch("one", &new_batch, BatchOrigin::Bucket).unwrap().is_empty());
        assert_eq!(vault.unused(), unused, "the spare patients are still this node's");
        // The bucket shows what was before once more, or another node's wraps.
        vault.add_batch("one", &batch, BatchOrigin::Bucket).unwrap();
        vault.add_system(&system).unwrap();
        assert_eq!(vault.batch("one").unwrap(), Some(new_batch));
        let theirs = both().rewrap("one", &batch, 2).unwrap().unwrap();
        vault.add_batch("one", &theirs, BatchOrigin::Bucket).unwrap();
        assert_eq!(vault.batch("one").unwrap(), Some(theirs.clone()), "the bucket's count");
        assert_eq!(vault.held_keks().unwrap(), [2]);
        assert_eq!(vault.rewrap("one", &theirs).unwrap(), None, "done");

        vault.purge_old_wraps().unwrap();
        drop(vault);
        let seen = Inspection::open(dir.path()).unwrap().check().unwrap();
        assert_eq!(seen.by_version, BTreeMap::from([(2, 516)]));
        let alone = Vault::open(dir.path(), kek(2)).unwrap();
        assert_eq!(secret(&alone, patient.file), file);
        assert_eq!(alone.index_term("mrn", &[b"1"]).unwrap(), term);
    }

    #[test]
    fn a_vault_opens_only_with_every_version_that_its_keys_are_under() {
        let dir = tempfile::tempdir().unwrap();
        let (vault, system, batch) = filled(dir.path(), both());
        vault.add_system(&both().rewrap(SYSTEM_ENTRY, &system, 2).unwrap().unwrap()).unwrap();
        drop(vault);
        for (given, needed) in [(1, 2), (2, 1)] {
            let error = Vault::open(dir.path(), kek(given)).unwrap_err();
            assert!(matches!(error, VaultError::UnknownKek { version, .. } if version == needed));
            assert!(error.to_string().contains(&format!("name version {needed}")), "{error}");
            assert!(
                error.to_string().contains("move the folder `keys`"),
                "or it is no more: {error}"
            );
        }
        // A node that was not given version 2 goes on with what it has.
        let elsewhere = tempfile::tempdir().unwrap();
        let old = Vault::open(elsewhere.path(), kek(1)).unwrap();
        old.add_system(&system).unwrap();
        old.add_batch("one", &batch, BatchOrigin::Bucket).unwrap();
        let anew = both().rewrap("one", &batch, 2).unwrap().unwrap();
        let refused = old.add_batch("one", &anew, BatchOrigin::Bucket);
        assert!(matches!(refused, Err(VaultError::OtherKeyVersion { wrapped: 2, .. })));
        assert_eq!(old.batch("one").unwrap(), Some(batch));
    }

    #[test]
    fn an_entry_is_under_the_lowest_version_of_its_keys_until_all_are_wrapped_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (vault, system, batch) = filled(dir.path(), both());
        let anew = both().rewrap("one", &batch, 2).unwrap().unwrap();
        let [mut mixed, mut junk] = [(); 2].map(|()| KeyBatch::decode("one", &anew).unwrap());
        junk.entries[0].file.ciphertext[0] ^= 1;
        let junk = junk.encode().unwrap();
        let refused = vault.add_batch("one", &junk, BatchOrigin::Bucket).unwrap_err();
        assert!(matches!(refused, VaultError::KeyConflict { .. }), "{refused}");
        let overwritten = |vault: &Vault| vault.is_overwritten("one", &junk, &refused).unwrap();
        assert!(!overwritten(&vault), "this node's version 2 may be a wrong one");

        vault.add_system(&both().rewrap(SYSTEM_ENTRY, &system, 2).unwrap().unwrap()).unwrap();
        assert!(overwritten(&vault));
        let last = KEYS_PER_BATCH - 1;
        mixed.entries[last] = KeyBatch::decode("one", &batch).unwrap().entries.remove(last);
        vault.add_batch("one", &mixed.encode().unwrap(), BatchOrigin::Bucket).unwrap();
        assert_eq!(vault.held_keks().unwrap(), [1, 2]);
        drop(vault);
        let vault = Vault::open(dir.path(), both()).unwrap();
        assert_eq!(vault.held_keks().unwrap(), [1, 2]);
        vault.add_batch("one", &anew, BatchOrigin::Bucket).unwrap();
        assert_eq!(vault.held_keks().unwrap(), [2]);
    }

    #[test]
    fn a_destroyed_key_stays_destroyed_when_its_batch_is_wrapped_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (vault, system, batch) = filled(dir.path(), both());
        let patient = vault.take_patient().unwrap().unwrap();
        vault.destroy(patient.file).unwrap();
        vault.add_system(&both().rewrap(SYSTEM_ENTRY, &system, 2).unwrap().unwrap()).unwrap();
        let anew = vault.rewrap("one", &batch).unwrap().unwrap();
        vault.add_batch("one", &anew, BatchOrigin::Bucket).unwrap();
        assert!(matches!(vault.key_state(patient.file).unwrap(), KeyState::Destroyed));
        assert!(matches!(vault.key_state(patient.audit).unwrap(), KeyState::Here(_)));
        let mut erased = KeyBatch::decode("one", &batch).unwrap();
        erased.erase(patient.file);
        let anew = vault.rewrap("one", &erased.encode().unwrap()).unwrap().unwrap();
        let anew = KeyBatch::decode("one", &anew).unwrap();
        let gone = anew.entries.iter().find(|one| one.subject == patient.subject).unwrap();
        assert!(gone.file.is_destroyed() && gone.file.kek_version == 2);
    }
}
