//! The whole data folder of a stopped node against itself, with no keys and without opening any body:
//! every message is put together from its rows and judged again, as if it had just come from the
//! stream, and every row that this makes is compared with the one that is stored.
//!
//! Nothing on the disk is changed: RocksDB opens for reading only and replays its log in memory. The
//! first thing that does not match is the answer ([`Finding`]).
//!
//! | module | checks |
//! |---|---|
//! | `tables` | that the node is stopped; reading |
//! | `replay` | block rows and the verdict on every message |
//! | `compare` | records, tiles, chains, heads, settled and destroyed rows, subjects, what accesses are found by |
//! | `checkpoints` | what nodes signed, `position.json`, checkpoints that somebody kept |
//! | `views` | sealed rows, as far as their keys go; what lies beside the ledgers |
//! | `beside` | spool and keys |
//!
//! Memory: heads, settled ids, stream hashes and the map of subjects of one ledger at a time, about as
//! in `ledger::Memory`; of a table whose order is not the ledger's no more than a count and a sum.

mod beside;
mod checkpoints;
mod compare;
mod finding;
mod replay;
mod tables;
mod views;

pub use finding::{Finding, Place, Verdict};

use crate::position::PositionFile;
use crate::store::LedgerPin;
use crate::{OpenError, damage};
use ledger::checkpoint::Checkpoint;
use ledger::note::SignedNote;
use ledger::{Hash, KeyId, LedgerId, LedgerKind, NodeId, SubjectId};
use std::collections::BTreeMap;
use std::path::Path;
use tables::{Locks, Tables};
use vault::KeysSeen;

/// What is to be checked, and against what.
#[derive(Debug)]
pub struct Fsck<'a> {
    /// The node's data folder.
    pub dir: &'a Path,
    /// Its ledgers, with the genesis that is believed.
    pub ledgers: &'a [LedgerPin],
    /// The node, if it is known: whose chain of accesses the spool continues, and whose checkpoints have to
    /// be of this tree.
    pub node: Option<NodeId>,
    /// Checkpoints that somebody kept. Their signatures are verified here, with the keys of the members.
    pub kept: &'a [(SignedNote, Checkpoint)],
}

/// A folder in which everything that was compared matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intact {
    /// The ledgers, in the order asked for.
    pub ledgers: Vec<LedgerSeen>,
    /// Blocks that wait in the spool.
    pub spooled: u64,
    /// The key database.
    pub keys: KeysSeen,
    /// What was not compared, and why, in plain words.
    pub unchecked: Vec<String>,
}

/// A ledger that is as its messages make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerSeen {
    /// Which.
    pub ledger: LedgerId,
    /// Its origin, as checkpoints name it.
    pub origin: String,
    /// Messages of its stream.
    pub sequence: u64,
    /// Leaves of its tree.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// Checkpoints that are kept, each verified.
    pub checkpoints: u64,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FsckProgress {
    /// The ledger at hand.
    pub ledger: LedgerId,
    /// Messages judged again.
    pub done: u64,
    /// Messages there are.
    pub total: u64,
}

/// The keys that headers name, with the subject named along and the first position where they do.
pub(crate) type KeyUses = BTreeMap<(KeyId, SubjectId), KeyUse>;

/// Where a key is named first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyUse {
    pub(crate) position: u64,
    pub(crate) version: u64,
}

/// Checks a data folder.
///
/// # Errors
/// The first thing that does not match or cannot be read.
pub fn fsck(wanted: &Fsck<'_>, mut progress: impl FnMut(FsckProgress)) -> Result<Intact, Finding> {
    let _locks = Locks::take(wanted.dir)?;
    let tables = Tables::open(wanted.dir)?;
    let position = load_position(wanted.dir)?;
    let ids: Vec<LedgerId> = wanted.ledgers.iter().map(|pin| pin.ledger).collect();
    tables.no_strays(&ids)?;
    let keys = beside::Keys::open(wanted.dir)?;
    let mut unchecked = vec![
        "what bodies and the sealed rows of files, identifiers and terms say: no keys are used"
            .to_owned(),
        "whether wrapped keys open: the key-encryption key is not used".to_owned(),
    ];
    let (mut seen, mut accesses, mut doubtful) = (Vec::new(), None, None);
    for pin in wanted.ledgers {
        let replayed = compare::ledger(&tables, *pin, &position, &mut progress)?;
        let checkpoints = checkpoints::check(&tables, &replayed, wanted.node, &mut unchecked)?;
        checkpoints::against_position(&tables, &replayed, &position, &mut unchecked)?;
        let file = checkpoints::against_kept(&tables, &replayed, wanted.kept)?;
        doubtful = doubtful.or(file);
        views::check(&tables, &replayed, &mut unchecked)?;
        keys.have_all(&tables, &replayed, &mut unchecked)?;
        seen.push(LedgerSeen::of(&replayed, checkpoints));
        if pin.ledger.kind == LedgerKind::Access {
            accesses = Some(replayed);
        }
    }
    if let Some(found) = doubtful {
        return Err(found);
    }
    checkpoints::all_are_of(&seen, wanted.kept)?;
    let spooled = beside::spool(wanted, accesses.as_ref(), &position, &mut unchecked)?;
    let keys = keys.check()?;
    let marks = [
        ("ledger.damage", damage::marked(wanted.dir)),
        ("keys.damage", vault::damage_met(wanted.dir)),
    ];
    for (file, met) in marks {
        if let Some(met) = met {
            let what =
                format!("the node met damage when it ran last, though none is found now: {met}");
            return Err(Finding::file(file, what));
        }
    }
    Ok(Intact { ledgers: seen, spooled, keys, unchecked })
}

impl LedgerSeen {
    fn of(replayed: &compare::Replayed, checkpoints: u64) -> Self {
        let state = &replayed.state;
        let (ledger, origin, sequence) = (state.ledger, state.origin(), state.sequence);
        Self { ledger, origin, sequence, size: state.size(), root: state.root(), checkpoints }
    }
}

/// What `position.json` tells; a folder in which nothing ever was has none.
fn load_position(dir: &Path) -> Result<PositionFile, Finding> {
    PositionFile::load(dir).map_err(|error| {
        let what = crate::error::causes(&error);
        match error {
            // What was read is not what was written.
            OpenError::Position { source, .. } if source.kind() == std::io::ErrorKind::Other => {
                Finding::file("position.json", what)
            }
            OpenError::Position { .. }
            | OpenError::Database { .. }
            | OpenError::Unreadable { .. }
            | OpenError::SetAside { .. }
            | OpenError::OtherHistory { .. }
            | OpenError::OtherGenesis { .. }
            | OpenError::Damaged { .. } => Finding::unread("position.json", what),
        }
    })
}
