//! What lies beside the ledgers' database: the spool, and the keys.

use super::Fsck;
use super::compare::Replayed;
use super::finding::{Finding, Place, Verdict};
use super::tables::Tables;
use crate::position::PositionFile;
use crate::{keys, options, rows};
use ledger::{Frame, Hash, Header, Item, KeyId, LedgerKind, Lookup, NodeId, SubjectId, leaf_hash};
use rocksdb::{DB, IteratorMode};
use std::path::Path;
use vault::{Holder, Inspection, KeyPurpose, KeysSeen};

const SPOOL: &str = "spool";
const NEWEST: &str = "newest";

/// The key database.
#[derive(Debug)]
pub(super) struct Keys(Inspection);

impl Keys {
    pub(super) fn open(dir: &Path) -> Result<Self, Finding> {
        if !dir.join("keys").join("CURRENT").exists() {
            return Err(Finding::unread("keys", format!("there is none in {}", dir.display())));
        }
        Ok(Self(Inspection::open(dir)?))
    }

    /// Every row of it.
    pub(super) fn check(&self) -> Result<KeysSeen, Finding> {
        Ok(self.0.check()?)
    }

    /// Every key that a header names is here, for its subject, or was destroyed by a record.
    pub(super) fn have_all(
        &self,
        tables: &Tables,
        replayed: &Replayed,
        unchecked: &mut Vec<String>,
    ) -> Result<(), Finding> {
        let ledger = replayed.state.ledger;
        let system = self.0.system()?;
        let purpose = match ledger.kind {
            LedgerKind::Records => KeyPurpose::File,
            LedgerKind::Access => KeyPurpose::Audit,
        };
        let (mut not_here, mut to_be_destroyed) = (0_u64, 0_u64);
        for ((key, subject), first) in &replayed.uses {
            let Ok(destroyed) = replayed.memory.destroyed(*key);
            let what = match self.0.holder(*key)? {
                Some(Holder::Destroyed) if destroyed || ledger.kind == LedgerKind::Access => {
                    continue;
                }
                Some(Holder::Destroyed) => "the key was destroyed, and no record says so",
                Some(Holder::Key { subject: of, purpose: its })
                    if its == purpose && (of == *subject || Some(of) == system) =>
                {
                    to_be_destroyed += u64::from(destroyed);
                    continue;
                }
                Some(Holder::Key { .. }) => "the key that the header names is another's",
                None if destroyed => continue,
                None if self.may_be_late(tables, replayed, *subject, first.version)? => {
                    not_here += 1;
                    continue;
                }
                None => "the key that the header names is neither here nor destroyed",
            };
            let KeyId(id) = key;
            let found = Finding { ledger: Some(ledger), ..Finding::file("keys: keys", what) };
            return Err(
                Finding { key: hex::encode(id), ..found }.at(Place::Position(first.position))
            );
        }
        if not_here > 0 {
            unchecked.push(format!(
                "{not_here} keys that {ledger} names are not on this node, and its views do without: \
                 they come from the key bucket"
            ));
        }
        if to_be_destroyed > 0 {
            unchecked.push(format!(
                "{to_be_destroyed} keys that a record of {ledger} destroyed are still here"
            ));
        }
        Ok(())
    }

    /// Whether a key that is not here may never have come: in `records` the views say so.
    fn may_be_late(
        &self,
        tables: &Tables,
        replayed: &Replayed,
        subject: SubjectId,
        version: u64,
    ) -> Result<bool, Finding> {
        let ledger = replayed.state.ledger;
        if ledger.kind == LedgerKind::Access {
            return Ok(!self.0.knows(subject)?);
        }
        let key = keys::unfolded(ledger, subject, version);
        Ok(!replayed.views_ready || tables.get(keys::UNFOLDED, &key)?.is_some())
    }
}

/// Where a node's chain of accesses is.
struct Chain {
    node: NodeId,
    version: u64,
    hash: Hash,
}

/// The spool: its blocks are the node's own and continue its chain of accesses, and none that was
/// spooled is gone. How many there are.
pub(super) fn spool(
    wanted: &Fsck<'_>,
    accesses: Option<&Replayed>,
    position: &PositionFile,
    unchecked: &mut Vec<String>,
) -> Result<u64, Finding> {
    let path = wanted.dir.join(SPOOL);
    if !path.join("CURRENT").exists() {
        let what = format!("there is none in {}", wanted.dir.display());
        return Err(Finding::unread(SPOOL, what));
    }
    let mut options = options::spool();
    options.create_if_missing(false);
    let db = DB::open_cf_for_read_only(&options, &path, ["default", NEWEST], false)
        .map_err(|error| Finding::rocksdb(SPOOL, &[], &error))?;
    let (mut chain, mut blocks) = (wanted.node.map(|node| Chain::of(node, accesses)), 0);
    for row in db.iterator(IteratorMode::Start) {
        let (key, block) = row.map_err(|error| Finding::rocksdb(SPOOL, &[], &error))?;
        if key.len() != 8 {
            return Err(Finding::row(SPOOL, &key, "its key is no number"));
        }
        let accesses =
            accesses.ok_or_else(|| Finding::row(SPOOL, &key, "it is of no ledger here"))?;
        let found = spooled(&block, accesses, &mut chain);
        found.map_err(|what| Finding { ledger: None, ..Finding::row(SPOOL, &key, what) })?;
        blocks += 1;
    }
    let newest = newest(&db)?;
    let Some(chain) = chain else {
        unchecked.push("whether all of the spool is there: the node is not known".to_owned());
        return Ok(blocks);
    };
    let gone = |made: u64, verdict, by| {
        let what = format!(
            "the node made {made} access records, and there are {}: what was spooled is gone",
            chain.version
        );
        Finding { verdict, ..Finding::file(by, what) }
    };
    if position.spooled() > chain.version {
        return Err(gone(position.spooled(), Verdict::Other, "position.json"));
    }
    match newest > chain.version {
        true => Err(gone(newest, Verdict::Damaged, SPOOL)),
        false => Ok(blocks),
    }
}

fn newest(db: &DB) -> Result<u64, Finding> {
    let name = "spool: newest";
    let table = db.cf_handle(NEWEST).ok_or_else(|| Finding::file(name, "the table is missing"))?;
    let mut newest = 0;
    for row in db.iterator_cf(table, IteratorMode::Start) {
        let (key, row) = row.map_err(|error| Finding::rocksdb(name, &[], &error))?;
        newest = rows::decode_number(&row)
            .filter(|_| key.is_empty())
            .ok_or_else(|| Finding::file(name, "the row does not decode"))?;
    }
    Ok(newest)
}

impl Chain {
    /// As far as it is on file.
    fn of(node: NodeId, accesses: Option<&Replayed>) -> Self {
        let Ok(head) =
            accesses.map_or(Ok(None), |replayed| replayed.memory.head(SubjectId(node.0)));
        let (version, hash) = head.map_or((0, Hash::ZERO), |head| (head.version, head.hash));
        Self { node, version, hash }
    }
}

/// One spooled block; an error is what is wrong with it.
fn spooled(
    block: &[u8],
    accesses: &Replayed,
    chain: &mut Option<Chain>,
) -> Result<(), &'static str> {
    let state = &accesses.state;
    let frame = Frame::parse(block).map_err(|_| "it is no block")?;
    let member = state.authority.members.get(&frame.node).ok_or("its node is no member")?;
    if frame.ledger != state.ledger || !frame.verify(&member.keys.block, &state.genesis) {
        return Err("its signature does not hold");
    }
    let content = frame.content().map_err(|_| "its content does not decode")?;
    let chain = chain.get_or_insert_with(|| Chain::of(frame.node, Some(accesses)));
    if chain.node != frame.node {
        return Err("it is another node's");
    }
    for item in &content.items {
        let Item::Contribution(contribution) = item else { continue };
        // On file already, as it stands here or sealed anew.
        let Ok(None) = accesses.memory.settled(&contribution.id) else { continue };
        for record in &contribution.records {
            let header = Header::decode(record.header).map_err(|_| "a header does not decode")?;
            if header.body_hash != vault::body_hash(record.body) {
                return Err("a body does not have the hash that its header names");
            }
            if header.version != chain.version + 1 || header.previous != chain.hash {
                return Err("it does not continue the node's chain of accesses");
            }
            (chain.version, chain.hash) = (header.version, leaf_hash(record.header));
        }
    }
    Ok(())
}
