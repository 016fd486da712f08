//! The use cases of a Caseledger node, and the only door to its data.
//!
//! A call comes in as a [`Context`] (who, in which role, why) and a use case: register, contribute,
//! settle, import, read, list, watch. The engine checks access, decides with `domain`, seals with
//! `vault`, publishes with `journal`, applies with `store`, and answers only what is durable:
//! a change when the broker's quorum and this node's database have it, a showing when its access
//! record is.
//!
//! Deliberately not here: gRPC and its status codes, tokens, configuration, the transport to peers
//! (all `server`); what a change may be (`domain`); what the bytes are (`ledger`, `schema`).
//! `server` builds on it, and tests through `testkit`.
//!
//! | module | keeps |
//! |---|---|
//! | `line` | one ledger on this node: applied in order, waiters told |
//! | `writer` | contributions gathered into blocks, four publishes in flight |
//! | `trail`, `forward` | access records durable before an answer leaves; the spool and its way out |
//! | `alarms`, `disk` | what an operator must know, until it is over |
//! | `checkpoints`, `proofs` | signed heads that a majority of the nodes has, and what they prove |
//! | `supervisor`, `heal`, `catching_up`, `quorum`, `grants` | one history with the stream and the peers |
//! | `filing`, `commands`, `import` | deciding and filing, retried until the ground holds still |
//! | `queries`, `listing`, `watch`, `showing` | pass, read, render, record, answer |
//! | `masking` | classes of entries, and answers without those that their caller may not see |
//! | `replay` | what an access showed, rendered again and proved by its digest |
//! | `access`, `policy`, `denials` | may they, by which policies; the pass to what is on file; who asks too often |
//! | `facts`, `staff` | what is known of caller and patient: relationships, restrictions, who works here |
//! | `registers`, `in_force` | documents about no patient; which access policies decide |
//! | `adoption`, `trial` | access policies from proposal to adoption; what they would have changed |
//! | `break_glass`, `emergencies` | the glass broken, on record without the broker; who may therefore; reviews |
//! | `registers`, `incidents` | documents about no patient, a chain a kind; privacy incidents |
//! | `keys`, `rotation` | keys made ahead, keys of other nodes taken in, wrapped anew under another version |

mod access;
mod adoption;
mod alarms;
mod answers;
mod break_glass;
mod catching_up;
mod checkpoints;
mod clock;
mod commands;
mod context;
mod denials;
mod disk;
mod emergencies;
mod engine;
mod evidence;
mod facts;
mod failure;
mod filing;
mod forward;
mod grants;
mod heal;
mod histories;
mod import;
mod in_force;
mod incidents;
mod keys;
mod line;
mod listing;
mod local_time;
mod locks;
mod masking;
mod peers;
mod policy;
mod proofs;
mod protection;
mod queries;
mod quorum;
mod registers;
mod registry;
mod rendered;
mod replay;
mod reviews;
mod rotation;
mod seal;
mod servers;
mod settle;
mod showing;
mod staff;
mod supervisor;
mod trail;
mod trial;
mod turns;
mod views;
mod watch;
mod witnesses;
mod writer;

/// Whether this build shows without putting it on record: only to measure what the audit trail
/// costs. Receipts are then all zeros, and invariant 7 does not hold.
pub const UNAUDITED: bool = cfg!(feature = "unaudited");

pub use adoption::{FiledPolicy, PolicyAnswer, PolicyPage, WhichPolicy};
pub use answers::{
    AccessAnswer, AccessFilter, AccessItem, Alarm, Condition, FileAnswer, FilePage, FileQuery,
    Filed, Head, HistoryAnswer, HistoryItem, LedgerStatus, Receipt, Settlement, Shown, ShownEntry,
    ShownEvent, Status, WatchItem,
};
pub use break_glass::{
    BreakGlass, LONGEST_FOR_A_PATIENT, LONGEST_FOR_A_UNIT, Opening, REASON_CODES, Whose,
};
pub use checkpoints::{NodeCheckpoint, NoteKeys};
pub use clock::Clock;
pub use commands::MAX_CHANGES;
pub use context::{AsOf, Caller, Context, Operation, Purpose, Role, UnknownRole};
pub use emergencies::{EmergencyAccess, EmergencyId, EmergencyScope};
pub use engine::{Engine, Parts, Setup, Side};
pub use evidence::{About, Content, Evidence, EvidenceLeaf, EvidenceQuery, MAX_PROVED, OpenedLeaf};
pub use facts::Facts;
pub use failure::{Failure, LISTED_VIOLATIONS, Violation};
pub use import::ImportOutcome;
pub use incidents::{Incident, IncidentPage, IncidentsPage};
pub use local_time::{LocalTime, TimeZone, UnknownTimeZone};
pub use peers::{HealClaim, Messages, Peer, PeerCall, PeerFailure, SignedHead};
pub use policy::{Decision, Policies};
pub use proofs::{ConsistencyProof, InclusionProof};
pub use queries::{MAX_PAGE, check_page_size};
pub use registers::FiledDocument;
pub use replay::{Asked, DocumentAnswer, DocumentQuery, Replayed};
pub use reviews::{
    EmergencyFilter, EmergencyPage, EmergencyState, REVIEW_WITHIN, Review, Reviewed, Verdict,
};
pub use staff::StaffPage;
pub use trial::{
    CallKind, Difference, PolicyChange, Trial, TrialPart, TrialQuery, TrialSums, Tried,
};
pub use turns::Turn;
pub use witnesses::{WitnessSetup, Witnessed};
