//! An access record that a test makes, put into the spool of a node that does not run: the node files it
//! at its next start, as if it had recorded it.

use std::sync::Arc;

use ledger::{
    ActorId, Base, Block, Content, Contribution, ContributionId, Hash, Header, Item, KeyId,
    LeafType, LedgerId, RecordId, SealedRecord, SubjectId,
};
use schema::AccessRecord;
use store::Store;
use testkit::cluster::Node;
use vault::Vault;

use crate::tools::{Pen, databases};

/// A stopped node's databases, and what it signs with.
pub(crate) struct Spool {
    pen: Pen,
    pub(crate) store: Store,
    pub(crate) vault: Arc<Vault>,
}

impl Spool {
    /// The spool of this node.
    pub(crate) fn of(node: &Node) -> Self {
        let (store, vault) = databases(node);
        Self { pen: Pen::of(&node.state), store, vault }
    }

    /// Puts one access record in, recorded at this time (µs since 1970 UTC) under this key.
    pub(crate) fn put(self, (subject, key): (SubjectId, KeyId), record: &AccessRecord, at: u64) {
        let Self { pen, store, vault } = self;
        let head = store.head(LedgerId::ACCESS, SubjectId(pen.node.0)).expect("readable");
        let (version, previous) = head.map_or((0, Hash::ZERO), |head| (head.version, head.hash));
        assert_eq!(store.spool().newest().expect("readable"), version, "all of it is applied");
        let last = store.spool().blocks().last().map_or(0, |block| block.expect("readable").0);
        let id = ContributionId([7; 32]);
        let mut header = Header {
            format: ledger::header::HEADER_FORMAT,
            leaf: LeafType::Record,
            suite: ledger::header::SUITE_SEALED,
            ledger: LedgerId::ACCESS,
            record_id: RecordId([7; 16]),
            contribution_id: id,
            index: 0,
            count: 1,
            subject,
            version: version + 1,
            previous,
            recorded_at: at,
            node: pen.node,
            actor: ActorId([7; 16]),
            envelope_version: schema::CURRENT_ENVELOPE,
            data_key: key,
            key_commitment: Hash::ZERO,
            body_length: 0,
            body_hash: Hash::ZERO,
        };
        let plain = schema::encode_access(record).expect("encoded");
        let key = vault.data_key(key).expect("readable").expect("the key");
        let body = vault.seal_body(&pen.access, &mut header, &plain, &key).expect("sealed");
        let records = vec![SealedRecord { header: header.encode(), body }];
        let one = Contribution { id, request_digest: Hash::ZERO, reads: Vec::new(), records };
        let state = store.state(LedgerId::ACCESS).expect("its state");
        let content = Content {
            sealed_at: state.time.max(at),
            base: Base { sequence: state.sequence, stream_hash: state.stream_hash },
            items: vec![Item::Contribution(one)],
        };
        let block = Block::seal(LedgerId::ACCESS, pen.node, &content, &pen.key, &pen.access);
        store.spool().put(last + 1, &block.expect("sealed"), version + 1).expect("spooled");
    }
}
