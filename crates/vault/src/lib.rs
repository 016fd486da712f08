//! Keys and bodies: data keys and the database that holds them, sealing and opening record
//! bodies, encrypting view rows, keyed index terms and digests, and destroying a patient's keys.
//!
//! Deliberately not here: what a body *means* (`schema`), when a key may be destroyed (two
//! officers' control record, `engine`), how wrapped keys travel (`journal`'s bucket), and where
//! records or views are stored (`store`). Nothing here reads a clock.
//!
//! Every key is random, 256 bits, and leaves this crate only wrapped by the key-encryption key.
//! `store` opens bodies and seals views through [`Vault`]; `engine` seals bodies, mints batches of
//! keys ahead and puts them into the bucket; `server` hands in the key-encryption key.
//!
//! | what | how |
//! |---|---|
//! | wrapped key | AES-256-GCM under the key-encryption key, bound to id, subject, purpose, version |
//! | record body | fresh salt, HKDF-SHA-256 → key, nonce; SHA-256 → commitment; AES-256-GCM; padded to a class |
//! | view row | AES-256-GCM under a key derived from the patient's, bound to the row's own key |
//! | index term, digest | HMAC-SHA-256 under the system's index key |

mod batch;
mod body;
mod cache;
mod data_key;
mod database;
mod error;
mod inspection;
mod key_encryption;
mod keystore;
mod system;
#[cfg(test)]
mod tests;

pub use batch::{KEYS_PER_BATCH, KeyBatch, KeyPurpose, PatientKeys, SystemKeys, WrappedKey};
pub use body::{
    LARGEST_PLAIN, LARGEST_SIZE_CLASS, OpenedBody, RECORD_KEY, SMALLEST_SIZE_CLASS, body_hash,
    size_class,
};
pub use data_key::DataKey;
pub use error::VaultError;
pub use inspection::{Holder, Inspection, KeysSeen};
pub use key_encryption::KeyEncryptionKey;
pub use keystore::{BatchOrigin, KeyState, Opened, PatientKeyIds, SubjectKeyIds, Vault};
pub use system::SystemKeyIds;
