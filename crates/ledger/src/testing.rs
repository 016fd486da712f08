//! A small world for tests: one ledger, its administrator, nodes, and history in memory.

use crate::block::{Base, Block, Content, Contribution, Item, SealedRecord};
use crate::control::{Control, NodeKeys};
use crate::founding::{Founded, Founding, found};
use crate::header::{HEADER_FORMAT, Header, LeafType, SUITE_SEALED, leaf_hash};
use crate::id::*;
use crate::rules::{
    Applied, ApplyError, BlockVerdict, ChainHead, ItemVerdict, Lookup, Memory, State, VoidReason,
};
use crate::{SigningKey, rules::Refusal};
use std::convert::Infallible;

pub(crate) const START: u64 = 1_790_000_000_000_000;
pub(crate) const SECOND: u64 = 1_000_000;

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub(crate) fn public(seed: u8) -> [u8; 32] {
    key(seed).verifying_key().to_bytes()
}

pub(crate) fn subject(number: u8) -> SubjectId {
    SubjectId([number; 16])
}

pub(crate) fn contribution_id(number: u64) -> ContributionId {
    ContributionId(Hash::of(&number.to_be_bytes()).0)
}

/// Administrator's key seed, then block key and checkpoint key seeds of node 1.
pub(crate) const ADMINISTRATOR: u8 = 200;
pub(crate) const NODE: NodeId = NodeId([1; 16]);

/// The block key's seed of a node made of one repeated byte.
pub(crate) fn block_seed(node: NodeId) -> u8 {
    node.0[0]
}

pub(crate) fn founding_block(ledger: LedgerId) -> Founded {
    found(&Founding {
        ledger,
        name: "ledger.hospital.example",
        created_at: START,
        administrators: &[public(ADMINISTRATOR)],
        threshold: 1,
        signers: &[(0, &key(ADMINISTRATOR))],
        node: NODE,
        block_key: &key(block_seed(NODE)),
        checkpoint_key: public(101),
        cosigner_key: public(151),
    })
    .unwrap()
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) memory: Memory,
    /// Every message applied, from sequence 1.
    pub(crate) messages: Vec<Vec<u8>>,
}

impl World {
    /// A founded ledger.
    pub(crate) fn new(ledger: LedgerId) -> Self {
        let founded = founding_block(ledger);
        let state = State::new(ledger, founded.genesis);
        let mut world = Self { state, memory: Memory::default(), messages: Vec::new() };
        world.apply(&founded.block);
        world
    }

    pub(crate) fn records() -> Self {
        Self::new(LedgerId::RECORDS)
    }

    pub(crate) fn try_apply(&mut self, message: &[u8]) -> Result<Applied, ApplyError<Infallible>> {
        let applied = self.state.apply(&self.memory, self.state.sequence + 1, message)?;
        self.memory.add(&applied);
        self.messages.push(message.to_vec());
        Ok(applied)
    }

    pub(crate) fn apply(&mut self, message: &[u8]) -> Applied {
        self.try_apply(message).unwrap()
    }

    /// Seals items as a node now would.
    pub(crate) fn seal_by(&self, node: NodeId, items: Vec<Item>) -> Vec<u8> {
        let sealed_at = self.state.time.max(START);
        self.seal_content(node, &Content { sealed_at, base: self.state.base(), items })
    }

    pub(crate) fn seal_content(&self, node: NodeId, content: &Content) -> Vec<u8> {
        let key = key(block_seed(node));
        Block::seal(self.state.ledger, node, content, &key, &self.state.genesis).unwrap()
    }

    /// Seals and applies items of node 1; gives their verdicts.
    pub(crate) fn offer(&mut self, items: Vec<Item>) -> Vec<ItemVerdict> {
        let message = self.seal_by(NODE, items);
        judged(&self.apply(&message))
    }

    /// Seals and applies one contribution of node 1.
    pub(crate) fn file(&mut self, contribution: Contribution) -> ItemVerdict {
        self.offer(vec![Item::Contribution(contribution)])[0]
    }

    pub(crate) fn head(&self, chain: SubjectId) -> Option<ChainHead> {
        let Ok(head) = self.memory.head(chain);
        head
    }

    /// A contribution of node 1 with one record for each subject, linked to the heads.
    pub(crate) fn draft(&self, number: u64, subjects: &[SubjectId]) -> Contribution {
        self.draft_by(NODE, number, subjects)
    }

    pub(crate) fn draft_by(
        &self,
        node: NodeId,
        number: u64,
        subjects: &[SubjectId],
    ) -> Contribution {
        let id = contribution_id(number);
        let mut records: Vec<SealedRecord> = Vec::new();
        let mut heads: std::collections::HashMap<SubjectId, (u64, Hash)> = Default::default();
        for (index, subject) in subjects.iter().enumerate() {
            let mut header = self.blank(node, id, *subject);
            header.index = u16::try_from(index).unwrap();
            header.count = u16::try_from(subjects.len()).unwrap();
            let chain = header.chain();
            let (version, hash) = heads.get(&chain).copied().unwrap_or_else(|| {
                self.head(chain).map_or((0, Hash::ZERO), |head| (head.version, head.hash))
            });
            header.version = version + 1;
            header.previous = hash;
            let record = seal(header, format!("body {number} {index}").as_bytes());
            heads.insert(chain, (version + 1, leaf_hash(&record.header)));
            records.push(record);
        }
        Contribution { id, request_digest: Hash([9; 32]), reads: Vec::new(), records }
    }

    /// A contribution of one control record, signed by the administrator.
    pub(crate) fn control(&self, number: u64, mut control: Control) -> Contribution {
        control.sign(&self.state.genesis, 0, &key(ADMINISTRATOR));
        self.control_unsigned(number, &control)
    }

    pub(crate) fn control_unsigned(&self, number: u64, control: &Control) -> Contribution {
        let id = contribution_id(number);
        let mut header = self.blank(NODE, id, SubjectId::ZERO);
        let head = self.head(SubjectId::ZERO).unwrap();
        header.version = head.version + 1;
        header.previous = head.hash;
        let records = vec![control.into_record(header)];
        Contribution { id, request_digest: Hash::ZERO, reads: Vec::new(), records }
    }

    /// Admits another node.
    /// The body of the filed control record whose header has this hash.
    pub(crate) fn control_body(&self, leaf: Hash) -> Option<Vec<u8>> {
        self.messages.iter().find_map(|message| {
            let content = crate::Frame::parse(message).ok()?.content().ok()?;
            let records = content.items.into_iter().filter_map(|item| match item {
                Item::Contribution(contribution) => Some(contribution.records),
                Item::Abandonment(_) | Item::Checkpoint(_) => None,
            });
            let mut records = records.flatten();
            records.find(|record| leaf_hash(record.header) == leaf).map(|one| one.body.to_vec())
        })
    }

    pub(crate) fn admit(&mut self, node: NodeId) {
        let admission = self.control(1000 + u64::from(node.0[0]), admission(node));
        assert!(is_accepted(&self.file(admission)));
    }

    fn blank(&self, node: NodeId, id: ContributionId, subject: SubjectId) -> Header {
        Header {
            format: HEADER_FORMAT,
            leaf: LeafType::Record,
            suite: SUITE_SEALED,
            ledger: self.state.ledger,
            record_id: RecordId([3; 16]),
            contribution_id: id,
            index: 0,
            count: 1,
            subject,
            version: 1,
            previous: Hash::ZERO,
            recorded_at: self.state.time.max(START),
            node,
            actor: ActorId([4; 16]),
            envelope_version: 1,
            data_key: KeyId([5; 16]),
            key_commitment: Hash([6; 32]),
            body_length: 0,
            body_hash: Hash::ZERO,
        }
    }
}

/// Public keys from seeds; the cosigner's follows from the checkpoint's.
pub(crate) fn node_keys(block: u8, checkpoint: u8) -> NodeKeys {
    let cosigner = public(checkpoint + 50);
    NodeKeys { block: public(block), checkpoint: public(checkpoint), cosigner }
}

pub(crate) fn admission(node: NodeId) -> Control {
    Control::NodeAdmitted {
        node,
        keys: node_keys(block_seed(node), 100 + block_seed(node)),
        signatures: Vec::new(),
    }
}

/// Closes a header over a body.
pub(crate) fn seal(mut header: Header, body: &[u8]) -> SealedRecord {
    header.body_length = u32::try_from(body.len()).unwrap();
    header.body_hash = Hash::of(body);
    SealedRecord { header: header.encode(), body: body.to_vec() }
}

/// Changes a record's header, keeping the body's hash right unless the change spoils it.
pub(crate) fn edit(record: &mut SealedRecord, change: impl FnOnce(&mut Header)) {
    let mut header = Header::decode(&record.header).unwrap();
    change(&mut header);
    record.header = header.encode();
}

pub(crate) fn base(sequence: u64, stream_hash: Hash) -> Base {
    Base { sequence, stream_hash }
}

pub(crate) fn judged(applied: &Applied) -> Vec<ItemVerdict> {
    match &applied.verdict {
        BlockVerdict::Judged(verdicts) => verdicts.clone(),
        BlockVerdict::Refused(refusal) => panic!("refused: {refusal}"),
    }
}

pub(crate) fn refusal(applied: &Applied) -> Refusal {
    match &applied.verdict {
        BlockVerdict::Judged(verdicts) => panic!("judged: {verdicts:?}"),
        BlockVerdict::Refused(refusal) => *refusal,
    }
}

pub(crate) fn is_accepted(verdict: &ItemVerdict) -> bool {
    matches!(verdict, ItemVerdict::Accepted { .. })
}

pub(crate) fn void(verdict: &ItemVerdict) -> VoidReason {
    let ItemVerdict::Void { reason, .. } = verdict else { panic!("not void: {verdict:?}") };
    *reason
}

/// Compares with the golden bytes of a format. They are written once, by hand-run
/// `CASELEDGER_WRITE_GOLDEN=1`, when a format is made; a released format's never change.
pub(crate) fn assert_golden(name: &str, bytes: &[u8]) {
    let path = format!("{}/golden/{name}.hex", env!("CARGO_MANIFEST_DIR"));
    let lines: Vec<String> = bytes.chunks(40).map(hex::encode).collect();
    let text = format!("{}\n", lines.join("\n"));
    if std::env::var_os("CASELEDGER_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "{name} is another format now");
}
