//! What is called how on the broker and in a state directory.

use journal::{Journal, KeyBucket, LedgerStream, StreamSpec};
use ledger::{LedgerId, LedgerKind};

/// The bucket of wrapped keys.
const BUCKET: &str = "CASELEDGER_KEYS";

/// The file in the data directory that holds the address actually served, for port 0.
pub const ADDRESS_FILE: &str = "listen.addr";

/// The file in the data directory that says which emergency credentials were used here.
pub const EMERGENCY_FILE: &str = "emergency.json";

/// The ledgers of a node.
pub const LEDGERS: [LedgerId; 2] = [LedgerId::RECORDS, LedgerId::ACCESS];

/// A ledger's stream. The first shard and period have the plain names; a later one will carry its
/// numbers.
#[must_use]
pub fn stream(journal: &Journal, ledger: LedgerId, replicas: u8) -> LedgerStream {
    let (name, subject) = match ledger.kind {
        LedgerKind::Records => ("CASELEDGER_RECORDS", "caseledger.records"),
        LedgerKind::Access => ("CASELEDGER_ACCESS", "caseledger.access"),
    };
    journal.stream(StreamSpec {
        name: name.to_owned(),
        subject: subject.to_owned(),
        replicas: usize::from(replicas),
    })
}

/// The bucket of wrapped keys.
#[must_use]
pub fn bucket(journal: &Journal, replicas: u8) -> KeyBucket {
    journal.bucket(BUCKET, usize::from(replicas))
}
