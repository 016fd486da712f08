//! Keys and bodies: data keys and the database that holds them, sealing and opening record
//! bodies, encrypting view rows, keyed index terms and digests, and destroying a patient's keys.
//!
//! Deliberately not here: what a body *means* (`schema`), when a key may be destroyed (two
//! officers' control record, `engine`), how wrapped keys travel (`journal`'s bucket), and where
//! records or views are stored (`store`). Nothing here reads a clock.
//!
//! Every key is random, 256 bits, and leaves this crate only wrapped by the key-encryption key.
//! `store` opens bodies and seals views through [`Vault`]; `engine` seals bodies, mints batches of
//! keys ahead and puts them into the bucket; `server` says where key-encryption keys are.
//!
//! Keys in the clear are wiped when they are dropped: those of this crate, and those that the
//! cryptographic library expanded. What bodies and views say once they are open is not: it goes through
//! many hands, as text, until an answer has left.
//!
//! | what | how |
//! |---|---|
//! | wrapped key | AES-256-GCM under the key-encryption key, bound to id, subject, purpose, version |
//! | record body | fresh salt, HKDF-SHA-256 → key, nonce; SHA-256 → commitment; AES-256-GCM; padded to a class |
//! | view row | AES-256-GCM under a key derived from the patient's, bound to the row's own key |
//! | index term, digest | HMAC-SHA-256 under the system's index key |

mod arrival;
mod batch;
mod body;
mod cache;
mod data_key;
mod database;
mod entries;
mod error;
mod inspection;
mod key_encryption;
mod keystore;
mod pkcs11;
mod report;
mod rewrap;
mod source;
mod system;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wiping;

pub use batch::{
    KEYS_PER_BATCH, KeyBatch, KeyPurpose, PatientKeys, SYSTEM_ENTRY, SystemKeys, WrappedKey,
};
pub use body::{
    LARGEST_PLAIN, LARGEST_SIZE_CLASS, OpenedBody, RECORD_KEY, SMALLEST_SIZE_CLASS, body_hash,
    size_class,
};
pub use data_key::DataKey;
pub use database::{damage_dealt_with, damage_met};
pub use entries::BatchOrigin;
pub use error::VaultError;
pub use inspection::{Holder, Inspection, KeysSeen};
pub use key_encryption::{KeyEncryptionKey, KeyRing, KnownKek};
pub use keystore::{KeyState, Opened, PatientKeyIds, SubjectKeyIds, Vault};
pub use pkcs11::{ModuleError, ModuleKey, SealedKey};
pub use report::KekReport;
pub use rewrap::wrapped_under;
pub use source::KekSource;
pub use system::SystemKeyIds;
