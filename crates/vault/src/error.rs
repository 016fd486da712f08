//! What can go wrong with keys and bodies. No message holds key material or patient data.

use ledger::{KeyId, RecordId};
use std::path::PathBuf;

/// A failure of the vault.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The key-encryption key's file cannot be read or written.
    #[error("the key-encryption key file {path} cannot be used; check that it exists and is yours")]
    KeyFile {
        /// Where the file was looked for.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// Others than the owner may read the key-encryption key's file.
    #[error("the key-encryption key file {path} has mode {mode:o}; set it to 600")]
    KeyFileMode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key-encryption key's file does not hold 64 hexadecimal digits.
    #[error("the key-encryption key file {path} does not hold 64 hexadecimal digits")]
    KeyFileContent {
        /// The file.
        path: PathBuf,
    },
    /// The environment variable of the key-encryption key is not there or holds something else.
    #[error("the key-encryption key's environment variable {name} {why}")]
    KeyVariable {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Where a key-encryption key comes from is written in no form that is known.
    #[error("'{given}' says of no key-encryption key where it is: {why}")]
    KeySource {
        /// As given.
        given: String,
        /// What is wrong with it.
        why: String,
    },
    /// A PKCS#11 module, or what it opens.
    #[error(transparent)]
    Module(#[from] Box<crate::ModuleError>),
    /// There is no key-encryption key at all.
    #[error("no key-encryption key is given")]
    NoKek,
    /// Two key-encryption keys of one version.
    #[error("two key-encryption keys are given as version {version}")]
    KekTwice {
        /// Their version.
        version: u32,
    },
    /// Keys kept here are under a version of the key-encryption key that was not given.
    #[error(
        "keys of this node are wrapped under version {version} of the key-encryption key, and it knows \
         version {known} only: name version {version} in `kek` of its configuration, too; if that version \
         is no more, because this is a copy from before a rotation, move the folder `keys` of the node's data \
         away, and its keys come again from the bucket of keys"
    )]
    UnknownKek {
        /// The version that is needed.
        version: u32,
        /// The versions that were given.
        known: String,
    },
    /// A key is wrapped under a version of the key-encryption key that this node does not know.
    #[error(
        "key {key} is wrapped under version {wrapped} of the key-encryption key, and this node knows \
         version {known} only: name version {wrapped} in `kek` of its configuration, too"
    )]
    OtherKeyVersion {
        /// The wrapped key.
        key: KeyId,
        /// The version it names.
        wrapped: u32,
        /// The versions that this node knows.
        known: String,
    },
    /// A wrapped key does not unwrap: wrong key-encryption key, or the row was changed.
    #[error(
        "key {key} does not unwrap; it was changed, or the key-encryption key is not the one that wrapped it"
    )]
    WrapTampered {
        /// The wrapped key.
        key: KeyId,
    },
    /// An entry of the key bucket exchanges, empties or leaves out a key that is kept here.
    #[error("batch {batch} says otherwise of key {key} than what is kept here")]
    KeyConflict {
        /// The id in question.
        key: KeyId,
        /// The batch that says so.
        batch: String,
    },
    /// An entry of the key bucket cannot be decoded.
    #[error("the key batch {batch} is malformed: {why}")]
    MalformedBatch {
        /// Name of the entry.
        batch: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A body does not match its header: `check` names the check that failed.
    #[error("the body of record {record} was changed: its {check} does not match")]
    Tampered {
        /// The record.
        record: RecordId,
        /// Which check failed: length, hash, commitment, seal, padding.
        check: &'static str,
    },
    /// A view row does not open under its key and place.
    #[error("a view row was changed: its seal does not match")]
    ViewTampered,
    /// The header names a cipher suite that this version does not know.
    #[error("record {record} uses cipher suite {suite}, which this version does not know")]
    UnknownSuite {
        /// The record.
        record: RecordId,
        /// The suite it names.
        suite: u8,
    },
    /// A body is larger than the largest size class.
    #[error("a body of {size} bytes is too large, the limit is {limit}; file it in parts")]
    BodyTooLarge {
        /// Bytes to seal.
        size: usize,
        /// The limit, [`crate::LARGEST_PLAIN`].
        limit: usize,
    },
    /// The header was built for another key than the one given to seal with.
    #[error("the header names key {named}, the body was to be sealed with {given}")]
    WrongKey {
        /// Key id in the header.
        named: KeyId,
        /// Key id of the key given.
        given: KeyId,
    },
    /// The system's keys (index, audit, registry, view) have not arrived at this node.
    #[error(
        "the system keys are not on this node yet; they come with the key bucket's entry `system`"
    )]
    NoSystemKeys,
    /// A row of the key database cannot be decoded.
    #[error("the key database is damaged in {table} at {key}")]
    Damaged {
        /// Column family.
        table: &'static str,
        /// The row's key in hexadecimal.
        key: String,
    },
    /// RocksDB failed.
    #[error("the key database could not {action}")]
    Database {
        /// What was being done.
        action: &'static str,
        /// What RocksDB said.
        #[source]
        source: rocksdb::Error,
    },
    /// The operating system's random source or the cryptographic library refused.
    #[error("the cryptographic library refused to {0}")]
    Crypto(&'static str),
    /// A lock was poisoned by a thread that panicked.
    #[error("a part of the vault stopped after a panic; restart the node")]
    Poisoned,
}

impl VaultError {
    /// Whether the bytes of the key database are wrong: then it is set aside and made anew from the
    /// key bucket. Not when it is in use or its keys do not unwrap.
    #[must_use]
    #[expect(clippy::wildcard_enum_match_arm, reason = "nothing else is about bytes on disk")]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Database { source, .. } => source.kind() == rocksdb::ErrorKind::Corruption,
            _ => false,
        }
    }
}
