//! The verdict on the items of one block whose frame, signature and base are good.
//!
//! Nothing here changes the state: what is accepted collects in the judge, later items see it, and
//! [`Outcome`] carries it out. So a look-up that fails half-way leaves everything as it was.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::MAX_AGE;
use super::control::Effect;
use super::lookup::Lookup;
use super::state::{Authority, State};
use super::verdict::{AppliedRecord, ChainHead, ItemVerdict, Settled, VoidReason};
use crate::block::{Content, Contribution, Item, MAX_CONTRIBUTION_READS, MAX_CONTRIBUTION_RECORDS};
use crate::commitment;
use crate::header::{Header, LeafType, MAX_BODY, leaf_hash};
use crate::id::{ContributionId, Hash, KeyId, LedgerKind, NodeId, SubjectId};

/// What a judged block changes.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) verdicts: Vec<ItemVerdict>,
    pub(super) records: Vec<AppliedRecord>,
    pub(super) heads: BTreeMap<SubjectId, ChainHead>,
    pub(super) settled: BTreeMap<ContributionId, Settled>,
    pub(super) destroyed: BTreeSet<KeyId>,
    pub(super) authority: Option<Authority>,
    pub(super) name: Option<String>,
}

/// A record of the contribution at hand, understood but not accepted.
#[derive(Debug)]
pub(super) struct Draft<'m> {
    pub(super) header: Header,
    pub(super) body: &'m [u8],
    header_bytes: &'m [u8],
    leaf: Hash,
}

/// A contribution that may be accepted, and what that would change.
struct Fit<'m> {
    drafts: Vec<Draft<'m>>,
    links: Vec<(SubjectId, ChainHead)>,
    effect: Effect,
}

/// Why a contribution is not accepted: by the rules, or because history could not be read.
pub(super) enum Stop<E> {
    Void(VoidReason),
    Failed(E),
}

impl<E> From<VoidReason> for Stop<E> {
    fn from(reason: VoidReason) -> Self {
        Self::Void(reason)
    }
}

pub(super) struct Judge<'a, L> {
    pub(super) state: &'a State,
    pub(super) authority: Cow<'a, Authority>,
    lookup: &'a L,
    message: &'a [u8],
    node: NodeId,
    time: u64,
    next_position: u64,
    records: Vec<AppliedRecord>,
    heads: BTreeMap<SubjectId, ChainHead>,
    settled: BTreeMap<ContributionId, Settled>,
    destroyed: BTreeSet<KeyId>,
    name: Option<String>,
}

impl<'a, L: Lookup> Judge<'a, L> {
    pub(super) fn new(
        state: &'a State,
        lookup: &'a L,
        message: &'a [u8],
        node: NodeId,
        content: &Content<&[u8]>,
    ) -> Self {
        Self {
            state,
            authority: Cow::Borrowed(&state.authority),
            lookup,
            message,
            node,
            time: state.time.max(content.sealed_at),
            next_position: state.size(),
            records: Vec::new(),
            heads: BTreeMap::new(),
            settled: BTreeMap::new(),
            destroyed: BTreeSet::new(),
            name: None,
        }
    }

    pub(super) fn block(
        mut self,
        sequence: u64,
        content: &Content<&'a [u8]>,
    ) -> Result<Outcome, L::Error> {
        let mut verdicts = Vec::with_capacity(content.items.len());
        for (item, place) in content.items.iter().zip(0_u32..) {
            verdicts.push(match item {
                Item::Contribution(contribution) => {
                    self.contribution(sequence, place, contribution)?
                }
                Item::Abandonment(id) => self.abandonment(sequence, *id)?,
                Item::Checkpoint(_) => ItemVerdict::Checkpoint,
            });
        }
        let authority = match self.authority {
            Cow::Owned(authority) => Some(authority),
            Cow::Borrowed(_) => None,
        };
        Ok(Outcome {
            verdicts,
            records: self.records,
            heads: self.heads,
            settled: self.settled,
            destroyed: self.destroyed,
            authority,
            name: self.name,
        })
    }

    fn abandonment(&mut self, sequence: u64, id: ContributionId) -> Result<ItemVerdict, L::Error> {
        if self.settlement(&id)?.is_some() {
            return Ok(ItemVerdict::Ignored { contribution: id });
        }
        self.settled.insert(id, Settled::Abandoned { sequence });
        Ok(ItemVerdict::Abandoned { contribution: id })
    }

    fn contribution(
        &mut self,
        sequence: u64,
        item: u32,
        contribution: &Contribution<&'a [u8]>,
    ) -> Result<ItemVerdict, L::Error> {
        let Fit { drafts, links, effect } = match self.decide(contribution) {
            Ok(fit) => fit,
            Err(Stop::Failed(error)) => return Err(error),
            Err(Stop::Void(reason)) => {
                return Ok(ItemVerdict::Void { contribution: contribution.id, reason });
            }
        };
        let first_position = self.next_position;
        // Bounded by MAX_CONTRIBUTION_RECORDS, which `read` has checked.
        let count = u16::try_from(drafts.len()).unwrap_or(u16::MAX);
        for (draft, index) in drafts.into_iter().zip(0_u16..) {
            self.records.push(AppliedRecord {
                position: self.next_position,
                leaf: draft.leaf,
                item,
                index,
                header_at: place_in(self.message, draft.header_bytes),
                body_at: place_in(self.message, draft.body),
                header: draft.header,
            });
            // Behind it stands a commitment, where one is due.
            self.next_position = commitment::place(self.next_position, 1);
        }
        self.heads.extend(links);
        let request_digest = contribution.request_digest;
        let settled = Settled::Accepted { first_position, count, sequence, request_digest };
        self.settled.insert(contribution.id, settled);
        self.take_effect(effect);
        Ok(ItemVerdict::Accepted { contribution: contribution.id, first_position, count })
    }

    /// Whether the contribution is accepted. The order of these checks is part of the rules.
    fn decide(&self, contribution: &Contribution<&'a [u8]>) -> Result<Fit<'a>, Stop<L::Error>> {
        match self.settlement(&contribution.id).map_err(Stop::Failed)? {
            None => {}
            Some(Settled::Abandoned { .. }) => return Err(VoidReason::Abandoned.into()),
            Some(Settled::Accepted { first_position, .. }) => {
                return Err(VoidReason::Duplicate { first_position }.into());
            }
        }
        let drafts = self.read(contribution).ok_or(VoidReason::Malformed)?;
        let effect = self.authorise(&drafts)?;
        self.check_age(&drafts)?;
        self.check_keys(&drafts)?;
        for (chain, version) in &contribution.reads {
            if self.head(*chain).map_err(Stop::Failed)?.map_or(0, |head| head.version) != *version {
                return Err(VoidReason::ReadChanged.into());
            }
        }
        let links = self.link(&drafts)?;
        Ok(Fit { drafts, links, effect })
    }

    /// Understands every record and compares what the contribution says in two places.
    fn read(&self, contribution: &Contribution<&'a [u8]>) -> Option<Vec<Draft<'a>>> {
        let records = &contribution.records;
        if records.is_empty()
            || records.len() > MAX_CONTRIBUTION_RECORDS
            || contribution.reads.len() > MAX_CONTRIBUTION_READS
        {
            return None;
        }
        let count = u16::try_from(records.len()).ok()?;
        let mut drafts = Vec::with_capacity(records.len());
        for (record, index) in records.iter().zip(0_u16..) {
            let header = Header::decode(record.header).ok()?;
            let agrees = header.ledger == self.state.ledger
                && header.node == self.node
                && header.contribution_id == contribution.id
                && header.index == index
                && header.count == count
                && record.body.len() <= MAX_BODY
                && u32::try_from(record.body.len()) == Ok(header.body_length)
                && header.body_hash == Hash::of(record.body)
                && header.is_of_its_type();
            if !agrees {
                return None;
            }
            let leaf = leaf_hash(record.header);
            drafts.push(Draft { header, body: record.body, header_bytes: record.header, leaf });
        }
        Some(drafts)
    }

    /// In `records` the past closes [`MAX_AGE`] behind the ledger's time. In `access` it does not:
    /// accesses may wait in a spool for as long as the broker is away.
    fn check_age(&self, drafts: &[Draft<'_>]) -> Result<(), VoidReason> {
        if self.state.ledger.kind == LedgerKind::Access {
            return Ok(());
        }
        for draft in drafts {
            let at = draft.header.recorded_at;
            if at.saturating_add(MAX_AGE) < self.time {
                return Err(VoidReason::TooOld);
            }
            if at > self.time.saturating_add(MAX_AGE) {
                return Err(VoidReason::TooNew);
            }
        }
        Ok(())
    }

    /// In `records` nothing is accepted under a destroyed key. In `access` the trail goes on.
    fn check_keys(&self, drafts: &[Draft<'_>]) -> Result<(), Stop<L::Error>> {
        let none_destroyed = !self.state.any_key_destroyed && self.destroyed.is_empty();
        if self.state.ledger.kind == LedgerKind::Access || none_destroyed {
            return Ok(());
        }
        for draft in drafts {
            if draft.header.leaf == LeafType::Record && self.is_destroyed(draft.header.data_key)? {
                return Err(VoidReason::KeyDestroyed.into());
            }
        }
        Ok(())
    }

    /// Every record links to the head of its chain, or to an earlier record of this block.
    fn link(&self, drafts: &[Draft<'_>]) -> Result<Vec<(SubjectId, ChainHead)>, Stop<L::Error>> {
        let mut links: Vec<(SubjectId, ChainHead)> = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let header = &draft.header;
            let position = commitment::place(self.next_position, header.index);
            let chain = header.chain();
            // Mostly one chain, so the last link is the one; at worst 256 short comparisons.
            let head = match links.iter().rev().find(|(linked, _)| *linked == chain) {
                Some((_, head)) => Some(*head),
                None => self.head(chain).map_err(Stop::Failed)?,
            };
            let (version, hash, time) =
                head.map_or((0, Hash::ZERO, 0), |head| (head.version, head.hash, head.recorded_at));
            if header.version.checked_sub(1) != Some(version) || header.previous != hash {
                return Err(VoidReason::Stale.into());
            }
            if header.recorded_at < time {
                return Err(VoidReason::TimeBackwards.into());
            }
            let recorded_at = header.recorded_at;
            let head =
                ChainHead { version: header.version, hash: draft.leaf, recorded_at, position };
            links.push((chain, head));
        }
        Ok(links)
    }

    fn take_effect(&mut self, effect: Effect) {
        match effect {
            Effect::None => {}
            Effect::Authority(authority) => self.authority = Cow::Owned(authority),
            Effect::Founded(authority, name) => {
                self.authority = Cow::Owned(authority);
                self.name = Some(name);
            }
            Effect::Destroyed(key) => {
                self.destroyed.insert(key);
            }
        }
    }

    fn head(&self, chain: SubjectId) -> Result<Option<ChainHead>, L::Error> {
        match self.heads.get(&chain) {
            Some(head) => Ok(Some(*head)),
            None => self.lookup.head(chain),
        }
    }

    fn settlement(&self, id: &ContributionId) -> Result<Option<Settled>, L::Error> {
        match self.settled.get(id) {
            Some(settled) => Ok(Some(*settled)),
            None => self.lookup.settled(id),
        }
    }

    pub(super) fn is_destroyed(&self, key: KeyId) -> Result<bool, Stop<L::Error>> {
        if self.destroyed.contains(&key) {
            return Ok(true);
        }
        self.lookup.destroyed(key).map_err(Stop::Failed)
    }
}

/// Where a part of the message stands in it.
fn place_in(message: &[u8], part: &[u8]) -> core::ops::Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(message.as_ptr() as usize);
    start..start + part.len()
}
