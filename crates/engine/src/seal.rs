//! Turns what is to be filed into a sealed contribution: headers linked to their chains, bodies
//! encrypted.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledger::{
    ActorId, Contribution, ContributionId, Hash, Header, KeyId, LeafType, LedgerId, LedgerKind,
    NodeId, SealedRecord, SubjectId,
};
use store::Store;
use vault::{Opened, Vault};

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
    /// One without records.
    pub(crate) const NEW: Self = Self { version: 0, hash: Hash::ZERO, recorded_at: 0 };

    /// The chain as this node has applied it.
    pub(crate) fn of(store: &Store, ledger: LedgerId, chain: SubjectId) -> Result<Self, Failure> {
        let head = store.head(ledger, chain)?;
        Ok(head.map_or(Self::NEW, |head| Self {
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
        // One contribution, one time: "as of" then shows all of it or nothing.
        let now = self.clock.now().max(not_before);
        for (index, draft) in (0..count).zip(drafts) {
            let chain = match self.ledger.kind {
                LedgerKind::Records => draft.subject,
                LedgerKind::Access => SubjectId(self.node.0),
            };
            let before = match sealed.heads.get(&chain) {
                Some(before) => *before,
                None => head(chain)?,
            };
            let recorded_at = now.max(before.recorded_at);
            let header = Header {
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
            let (record, after) = self.record(header, &draft.plain)?;
            if index == 0 {
                sealed.first = after.hash;
            }
            sealed.newest = sealed.newest.max(recorded_at);
            sealed.heads.insert(chain, after);
            sealed.contribution.records.push(record);
        }
        Ok(sealed)
    }

    /// Seals the records of a contribution of this node once more, onto `before` of the one chain
    /// that all of them are in (as in `access`): under the same contribution id, at the same times
    /// unless the chain has gone on since, under new record ids. Where the chain then stands comes
    /// with it.
    ///
    /// # Errors
    /// [`Failure::Damaged`] when a record cannot be read or opened, or its key is lost;
    /// [`Failure::Unavailable`] while the key may merely be late.
    pub(crate) fn seal_again(
        &self,
        contribution: &Contribution<&[u8]>,
        mut before: Chain,
    ) -> Result<(Contribution, Chain), Failure> {
        let damaged = |what: &str| Failure::Damaged { what: format!("a spooled record: {what}") };
        let mut records = Vec::with_capacity(contribution.records.len());
        for record in &contribution.records {
            let old = Header::decode(record.header).map_err(|_| damaged("its header"))?;
            let opened = self.vault.open_body(&self.genesis, &old, record.body)?;
            let plain = match opened {
                Opened::Plain(plain) => plain,
                Opened::KeyMissing if !self.vault.has_all_arrived() => {
                    let why = "the key of a spooled record has not reached this node yet";
                    return Err(Failure::Unavailable { why: why.to_owned() });
                }
                Opened::KeyMissing => return Err(damaged("its key is not here")),
                Opened::KeyDestroyed => return Err(damaged("its key was destroyed")),
            };
            let recorded_at = old.recorded_at.max(before.recorded_at);
            let anew = Header {
                record_id: record_id(recorded_at)?,
                version: before.version + 1,
                previous: before.hash,
                recorded_at,
                ..old
            };
            let (record, after) = self.record(anew, &plain)?;
            records.push(record);
            before = after;
        }
        let Contribution { id, request_digest, reads, .. } = contribution;
        let (id, request_digest, reads) = (*id, *request_digest, reads.clone());
        Ok((Contribution { id, request_digest, reads, records }, before))
    }

    /// Seals the body that belongs to a header, and tells where that leaves the chain.
    fn record(&self, mut header: Header, plain: &[u8]) -> Result<(SealedRecord, Chain), Failure> {
        let key = self.vault.data_key(header.data_key)?.ok_or_else(|| Failure::NotFiled {
            why: "the file's key is not on this node".to_owned(),
        })?;
        let body = self.vault.seal_body(&self.genesis, &mut header, plain, &key)?;
        let record = SealedRecord { header: header.encode(), body };
        let hash = ledger::leaf_hash(&record.header);
        let Header { version, recorded_at, .. } = header;
        Ok((record, Chain { version, hash, recorded_at }))
    }
}

#[cfg(test)]
mod tests {
    use vault::{BatchOrigin, KeyEncryptionKey};

    use super::*;

    fn sealer(dir: &std::path::Path) -> Sealer {
        let kek = KeyEncryptionKey::from_bytes(1, &[4; 32]).unwrap();
        Sealer {
            ledger: LedgerId::ACCESS,
            node: NodeId([1; 16]),
            genesis: Hash::ZERO,
            vault: Arc::new(Vault::open(dir, kek).unwrap()),
            clock: Clock::system(),
        }
    }

    #[test]
    fn a_key_that_is_late_is_waited_for_and_one_that_is_lost_is_not() {
        let [here, there] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let (here, there) = (sealer(here.path()), sealer(there.path()));
        let batch = here.vault.mint_batch().unwrap();
        here.vault.add_batch("batch", &batch, BatchOrigin::ThisNode).unwrap();
        let keys = here.vault.take_patient().unwrap().unwrap();
        let (subject, key, id) = (keys.subject, keys.audit, ContributionId([2; 32]));
        let drafts = vec![Draft { subject, key, plain: b"shown".to_vec() }];
        let (actor, reads) = (ActorId([3; 16]), Vec::new());
        let sealed =
            here.seal(id, Hash::ZERO, actor, reads, drafts, 0, &mut |_| Ok(Chain::NEW)).unwrap();
        let Contribution { records, .. } = sealed.contribution;
        let records = records.iter().map(|SealedRecord { header, body }| SealedRecord {
            header: header.as_slice(),
            body: body.as_slice(),
        });
        let (request_digest, reads) = (Hash::ZERO, Vec::new());
        let spooled = Contribution { id, request_digest, reads, records: records.collect() };

        let again = || there.seal_again(&spooled, Chain::NEW);
        assert!(matches!(again(), Err(Failure::Unavailable { .. })), "the bucket may have it");
        there.vault.note_all_arrived();
        assert!(matches!(again(), Err(Failure::Damaged { .. })), "it has not");
        there.vault.add_batch("batch", &batch, BatchOrigin::Bucket).unwrap();
        assert_eq!(again().unwrap().0.records.len(), 1, "but came all the same");

        here.vault.destroy(key).unwrap();
        let destroyed = here.seal_again(&spooled, Chain::NEW);
        assert!(matches!(destroyed, Err(Failure::Damaged { .. })), "it comes never");
    }
}
