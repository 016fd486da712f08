//! What calls answer with.

use bytes::Bytes;
use domain::{EntryId, EntryState, Event, Finding, Identity, PatientId, Stamp};
use ledger::{Hash, Header, LedgerId, NodeId};
use schema::AccessRecord;

use crate::Failure;
use crate::masking::{Class, Masked};

/// A receipt for what was shown: the hash (RFC 6962 leaf) of the access record of the showing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt(pub Hash);

/// A rendered answer whose access record is durable.
#[derive(Clone, Debug)]
pub struct Shown<T> {
    /// The answer as rendered.
    pub answer: T,
    /// The receipt the caller can keep.
    pub receipt: Receipt,
    /// What the answer reflects: the count of records applied, of `access` in an answer about the
    /// audit trail, else of `records`.
    pub position: u64,
}

/// A change that is on file.
#[derive(Clone, Debug)]
pub struct Filed {
    /// Whose file.
    pub patient: PatientId,
    /// The file's version after the change.
    pub version: u64,
    /// The position after the contribution's last record: ask any node for "at least" this.
    pub position: u64,
    /// Entries that the changes named or made, in the order of the changes.
    pub entries: Vec<EntryId>,
    /// False when this is the first outcome of a repeated request.
    pub first: bool,
    /// Registration found the patient on file already; nothing was filed.
    pub existed: bool,
    /// Remarks the code checks made.
    pub remarks: Vec<Finding>,
    /// There are remarks, and they are not told because that could not be put on the trail. The
    /// file has them.
    pub remarks_withheld: bool,
    /// Present when the reply shows something of the file (remarks, an existing patient).
    pub receipt: Option<Receipt>,
}

impl Filed {
    /// Once it is known whether the telling of the remarks is on the trail: without a record they
    /// do not leave (invariant 7), but that the change is on file, its caller must know (invariant
    /// 4), and an acknowledgement shows nothing of the file.
    pub(crate) fn told(mut self, recorded: Result<Receipt, Failure>) -> Self {
        match recorded {
            Ok(receipt) => self.receipt = Some(receipt),
            Err(failure) => {
                tracing::error!(?failure, "remarks on what was filed are withheld");
                self.remarks.clear();
                self.remarks_withheld = true;
            }
        }
        self
    }
}

/// What became of a request whose outcome was unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It is on file.
    Filed {
        /// Position of its first record.
        position: u64,
        /// Number of its records.
        count: u16,
    },
    /// It never will be.
    Abandoned,
}

/// A file's query.
#[derive(Clone, Debug)]
pub struct FileQuery {
    /// Whose file.
    pub patient: PatientId,
    /// Which state of it.
    pub as_of: crate::AsOf,
    /// Answer only once this node has applied at least this many records (read your writes).
    pub at_least: Option<u64>,
    /// Only these kinds; empty means all.
    pub kinds: Vec<domain::Kind>,
    /// Entries a page, 1 to 200.
    pub page_size: usize,
    /// Where the page before ended.
    pub after: Option<Vec<u8>>,
    /// Whether entries entered in error are listed.
    pub include_retracted: bool,
}

/// A page of a patient's file.
#[derive(Clone, Debug)]
pub struct FileAnswer {
    /// Whose file.
    pub patient: PatientId,
    /// The file's version.
    pub version: u64,
    /// Who the patient is.
    pub identity: Identity,
    /// When and by whom the identity was filed last.
    pub identity_stamp: Stamp,
    /// Entries by kind and id, then those that are masked, by id.
    pub entries: Vec<ShownEntry>,
    /// Where the next page starts.
    pub next: Option<Vec<u8>>,
    /// Positions whose content cannot be opened (key destroyed or not here yet).
    pub unreadable: Vec<u64>,
}

/// An entry of a file as its reader may see it.
#[derive(Clone, Debug)]
pub enum ShownEntry {
    /// All of it.
    Whole(Box<EntryState>),
    /// That there is one with this id.
    Masked(EntryId),
}

/// A page of a file, rendered.
#[derive(Debug)]
pub struct FilePage {
    /// The answer as rendered.
    pub bytes: Bytes,
    /// Where the next page starts.
    pub next: Option<Vec<u8>>,
    pub(crate) version: u64,
    /// Entries on it.
    pub(crate) count: u32,
    /// Keyed, of the bytes.
    pub(crate) digest: Hash,
    /// Every class of entry that matters to who may see what of the page before masking.
    pub(crate) classes: Vec<Class>,
    /// Those that are masked on it.
    pub(crate) masked: Masked,
}

/// A page of a file's history, oldest first.
#[derive(Clone, Debug)]
pub struct HistoryAnswer {
    /// Whose.
    pub patient: PatientId,
    /// Records applied when it was read.
    pub position: u64,
    /// The records.
    pub items: Vec<HistoryItem>,
    /// The version at which the next page starts.
    pub next: Option<u64>,
}

/// One record of a file.
#[derive(Clone, Debug)]
pub struct HistoryItem {
    /// Where in the ledger.
    pub position: u64,
    /// Its header.
    pub header: Header,
    /// Its hash (the ledger's leaf).
    pub hash: Hash,
    /// What happened.
    pub event: ShownEvent,
}

/// What happened, as its reader may see it.
#[derive(Clone, Debug)]
pub enum ShownEvent {
    /// All of it.
    Whole(Box<Event>),
    /// Something to the entry with this id.
    Masked(EntryId),
    /// What this node cannot tell: its key is destroyed or not here yet.
    Unreadable,
}

impl From<Option<Event>> for ShownEvent {
    fn from(event: Option<Event>) -> Self {
        event.map_or(Self::Unreadable, |event| Self::Whole(Box::new(event)))
    }
}

/// Which accesses are asked for; everything given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessFilter {
    /// About this patient.
    pub patient: Option<PatientId>,
    /// By this person.
    pub person: Option<String>,
    /// Recorded at or after, µs since 1970 UTC.
    pub from: Option<u64>,
    /// Recorded before, µs since 1970 UTC.
    pub to: Option<u64>,
    /// With this purpose of use.
    pub purpose: Option<String>,
    /// With this outcome (`schema::Outcome`'s name).
    pub outcome: Option<String>,
    /// That began, were made in or ended this emergency access.
    pub emergency: Option<crate::EmergencyId>,
    /// With a receipt that begins with these bytes; empty for any.
    pub receipt: Vec<u8>,
}

/// A page of the audit trail, newest first.
#[derive(Clone, Debug)]
pub struct AccessAnswer {
    /// The accesses.
    pub items: Vec<AccessItem>,
    /// Continue before this position of `access`.
    pub next: Option<u64>,
    /// Bytes of access records that somebody was answered on and that wait for the broker, so that
    /// they cannot be among these.
    pub waiting_bytes: u64,
}

/// One access.
#[derive(Clone, Debug)]
pub struct AccessItem {
    /// Position in `access`.
    pub position: u64,
    /// Its header.
    pub header: Header,
    /// The patient it is about; none for a query, and for what concerned nobody on file.
    pub patient: Option<PatientId>,
    /// Its hash: the receipt the caller got.
    pub hash: Hash,
    /// What it says; none when the audit key is not here yet.
    pub record: Option<AccessRecord>,
}

/// A message of a watch.
#[derive(Clone, Debug)]
pub enum WatchItem<T> {
    /// A record of the file, rendered, with its access record durable.
    Change(Shown<T>),
    /// Nothing new up to this many records.
    Heartbeat {
        /// Records applied.
        position: u64,
    },
}

/// A ledger's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The ledger.
    pub ledger: LedgerId,
    /// Its name in checkpoints (C2SP tlog-checkpoint origin).
    pub origin: String,
    /// Hash of its genesis record.
    pub genesis: Hash,
    /// Records in it.
    pub size: u64,
    /// Root of its Merkle tree (RFC 6962).
    pub root: Hash,
    /// Stream sequence applied.
    pub sequence: u64,
    /// Stream hash at that sequence.
    pub stream_hash: Hash,
    /// The ledger's time, µs since 1970 UTC.
    pub time: u64,
}

/// How a node is.
#[derive(Clone, Debug)]
pub struct Status {
    /// Which node.
    pub node: NodeId,
    /// Whether the broker is connected.
    pub broker_connected: bool,
    /// Each ledger.
    pub ledgers: Vec<LedgerStatus>,
    /// Whether it shows anything: not while no showing can be put on record.
    pub shows: bool,
    /// Bytes of access records waiting to be forwarded.
    pub spool_bytes: u64,
    /// Patients that can be registered before new keys are needed.
    pub spare_keys: usize,
    /// What is wrong or was noticed, newest first.
    pub alarms: Vec<Alarm>,
}

/// How one ledger is.
#[derive(Clone, Debug)]
pub struct LedgerStatus {
    /// Its head.
    pub head: Head,
    /// What this node may do with it.
    pub condition: Condition,
    /// Records under the newest checkpoint that a majority of the nodes has signed, and the quorum of
    /// witnesses; 0: none is.
    pub checkpoint_size: u64,
    /// How many witnesses have cosigned that.
    pub witnesses: usize,
    /// Records under the largest checkpoint of this node that it has seen filed since it started.
    pub signed_size: u64,
}

/// What a node may do with a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Reads and writes.
    Serving,
    /// Reads only, until what is named is over.
    ReadOnly(String),
    /// Neither: the stream is known to go on far beyond what is applied, nobody has been asked yet
    /// since the start, or the views are being made anew. It says how far it is. What is not applied
    /// yet would be answered with "there is no such file".
    CatchingUp(String),
    /// Apply stopped: reads of what is applied go on, an operator is needed.
    Stopped(String),
}

/// Something an operator must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// Stable code, upper snake case.
    pub code: &'static str,
    /// Which ledger.
    pub ledger: Option<LedgerId>,
    /// What, where, what to do; no patient data.
    pub text: String,
    /// When it was noticed last, µs since 1970 UTC.
    pub at: u64,
    /// How often.
    pub count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filed() -> Filed {
        let remark = Finding {
            code: "ucum-unit".to_owned(),
            severity: domain::Severity::Remark,
            field: "detail.value.code".to_owned(),
            text: String::new(),
        };
        Filed {
            patient: PatientId([1; 16]),
            version: 2,
            position: 7,
            entries: vec![EntryId([2; 16])],
            first: true,
            existed: false,
            remarks: vec![remark],
            remarks_withheld: false,
            receipt: None,
        }
    }

    #[test]
    fn invariant_4_what_is_filed_is_acknowledged_when_its_remarks_cannot_be_told() {
        let told = filed().told(Ok(Receipt(Hash([9; 32]))));
        assert_eq!((told.remarks.len(), told.remarks_withheld), (1, false));
        assert_eq!(told.receipt, Some(Receipt(Hash([9; 32]))));
        let full =
            Failure::Exhausted { retry_after: std::time::Duration::ZERO, limit: "the spool" };
        let withheld = filed().told(Err(full));
        assert_eq!((withheld.version, withheld.position), (2, 7), "it is on file");
        assert_eq!(withheld.entries, filed().entries);
        assert!(withheld.remarks.is_empty() && withheld.receipt.is_none(), "nothing is shown");
        assert!(withheld.remarks_withheld, "and it is said that there is more");
    }
}
