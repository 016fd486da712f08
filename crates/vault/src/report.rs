//! What a node tells the others of key-encryption keys: an entry of its own in the key bucket.
//!
//! Named `kek.` and the node's id; postcard of [`KekReport`]. It holds no key and nothing secret, and
//! nodes decide nothing by it: it is there so that a rotation is not begun before every node knows the
//! new version, and the old one not taken away before every node is done.

use crate::{KnownKek, VaultError};
use ledger::NodeId;
use serde::{Deserialize, Serialize};

const PREFIX: &str = "kek.";

/// Versions of the key-encryption key at one node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KekReport {
    /// Those it was given, ascending.
    pub known: Vec<KnownKek>,
    /// Those that keys in its database are wrapped under, ascending.
    pub held: Vec<u32>,
}

impl KekReport {
    /// The versions that it was given, ascending.
    #[must_use]
    pub fn versions(&self) -> Vec<u32> {
        self.known.iter().map(|known| known.version).collect()
    }

    /// The name of a node's entry.
    #[must_use]
    pub fn name(node: NodeId) -> String {
        format!("{PREFIX}{node}")
    }

    /// Whether the entry of this name is a report and holds no keys.
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        name.starts_with(PREFIX)
    }

    /// The entry's bytes.
    ///
    /// # Errors
    /// Never in practice; the encoder has no failing field.
    pub fn encode(&self) -> Result<Vec<u8>, VaultError> {
        postcard::to_stdvec(self).map_err(|_| VaultError::Crypto("encode a report"))
    }

    /// Reads an entry; `name` is only for the error.
    ///
    /// # Errors
    /// When the bytes are no report.
    pub fn decode(name: &str, bytes: &[u8]) -> Result<Self, VaultError> {
        crate::batch::decode_whole(name, bytes)
    }
}
