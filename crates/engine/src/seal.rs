//! Turns what is to be filed into a sealed contribution: headers linked to their chains, bodies
//! encrypted.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledger::{
    ActorId, Contribution, ContributionId, Hash, Header, KeyId, LeafType, LedgerId, LedgerKind,
    NodeId, SealedRecord, SubjectId,
};
use store::Store;
use vault::Vault;

use crate::Failure;
use crate::clock::{Clock, record_id};

/// Where a chain stands: the next record links to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) version: u64,
    pub(crate) hash: Hash,
    pub(crate) recorded_at: u64,
}

impl Chain {
    /// The chain as this node has applied it.
    pub(crate) fn of(store: &Store, ledger: LedgerId, chain: SubjectId) -> Result<Self, Failure> {
        let head = store.reader().head(ledger, chain)?;
        let start = Self { version: 0, hash: Hash::ZERO, recorded_at: 0 };
        Ok(head.map_or(start, |head| Self {
            version: head.version,
            hash: head.hash,
            recorded_at: head.recorded_at,
        }))
    }
}

/// One record to be.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) subject: SubjectId,
    pub(crate) key: KeyId,
    pub(crate) plain: Vec<u8>,
}

/// A sealed contribution and where it leaves its chains.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) contribution: Contribution,
    pub(crate) heads: BTreeMap<SubjectId, Chain>,
    /// Hash of its first record.
    pub(crate) first: Hash,
    /// Its newest record's time.
    pub(crate) newest: u64,
}

/// What sealing needs, the same for every contribution to one ledger.
#[derive(Debug)]
pub(crate) struct Sealer {
    pub(crate) ledger: LedgerId,
    pub(crate) node: NodeId,
    pub(crate) genesis: Hash,
    pub(crate) vault: Arc<Vault>,
    pub(crate) clock: Clock,
}

impl Sealer {
    /// Seals `drafts` in order. `head` tells where a chain stands that the contribution has not
    /// linked to yet; `not_before` is the ledger's time, below which nothing is recorded.
    #[expect(clippy::too_many_arguments, reason = "each is one field of the contribution")]
    pub(crate) fn seal(
        &self,
        id: ContributionId,
        request_digest: Hash,
        actor: ActorId,
        reads: Vec<(SubjectId, u64)>,
        drafts: Vec<Draft>,
        not_before: u64,
        head: &mut dyn FnMut(SubjectId) -> Result<Chain, Failure>,
    ) -> Result<Sealed, Failure> {
        let count = u16::try_from(drafts.len()).map_err(Failure::internal)?;
        let mut sealed = Sealed {
            contribution: Contribution { id, request_digest, reads, records: Vec::new() },
            heads: BTreeMap::new(),
            first: Hash::ZERO,
            newest: 0,
        };
        for (index, draft) in (0..count).zip(drafts) {
            let chain = match self.ledger.kind {
                LedgerKind::Records => draft.subject,
                LedgerKind::Access => SubjectId(self.node.0),
            };
            let before = match sealed.heads.get(&chain) {
                Some(before) => *before,
                None => head(chain)?,
            };
            let recorded_at = self.clock.now().max(not_before).max(before.recorded_at);
            let mut header = Header {
                format: ledger::header::HEADER_FORMAT,
                leaf: LeafType::Record,
                suite: ledger::header::SUITE_SEALED,
                ledger: self.ledger,
                record_id: record_id(recorded_at)?,
                contribution_id: id,
                index,
                count,
                subject: draft.subject,
                version: before.version + 1,
                previous: before.hash,
                recorded_at,
                node: self.node,
                actor,
                envelope_version: schema::CURRENT_ENVELOPE,
                data_key: draft.key,
                key_commitment: Hash::ZERO,
                body_length: 0,
                body_hash: Hash::ZERO,
            };
            let key = self.vault.data_key(draft.key)?.ok_or_else(|| Failure::NotFiled {
                why: "the file's key is not on this node".to_owned(),
            })?;
            let body = self.vault.seal_body(&self.genesis, &mut header, &draft.plain, &key)?;
            let record = SealedRecord { header: header.encode(), body };
            let hash = ledger::leaf_hash(&record.header);
            if index == 0 {
                sealed.first = hash;
            }
            sealed.newest = sealed.newest.max(recorded_at);
            sealed.heads.insert(chain, Chain { version: header.version, hash, recorded_at });
            sealed.contribution.records.push(record);
        }
        Ok(sealed)
    }
}
