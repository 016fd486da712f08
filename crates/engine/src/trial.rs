//! What a set of access policies would have changed: the trail of a period, decided again.
//!
//! A call is decided on what its access record says of the caller, and compared with how it ended; of an
//! answer that has entries, what would be masked is compared with what was. Only calls that are on the
//! trail can be: what showed something, and what was denied.

mod masking;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use domain::{DocumentKind, PatientId};
use ledger::Hash;
use schema::{AccessRecord, Outcome};

use crate::Receipt;
use crate::access::Pass;
use crate::adoption::{WhichPolicy, policy_answer};
use crate::answers::{AccessItem, Shown};
use crate::context::{Context, Operation};
use crate::engine::Engine;
use crate::failure::Failure;
use crate::policy::{Policies, Requester};
use crate::replay::Asked;
use crate::showing::{Ended, NOT_OPENED, Saw};
use masking::Pages;

/// Access records read in one turn; others who have records opened get theirs between.
const TURN: usize = 100;
/// Calls looked at between two messages: each message is an access record of its own, and what each call
/// showed is read again.
const STRIDE: u64 = 4_000;
/// Calls in one message, of the last turn perhaps some more: each may name a patient, whose access record
/// goes into the same contribution, which has 256 records.
const TOLD: usize = 100;
/// Kinds of call that are counted apart, some 200 bytes each.
const MAX_KINDS: usize = 50_000;

/// The set that is tried.
#[derive(Clone, Debug)]
pub enum Tried {
    /// One that is on file.
    OnFile(WhichPolicy),
    /// A text.
    Text(String),
}

/// What is tried on what.
#[derive(Clone, Debug)]
pub struct TrialQuery {
    /// The set.
    pub tried: Tried,
    /// Recorded at or after, µs UTC.
    pub from: u64,
    /// Recorded before, µs UTC; none: up to now.
    pub to: Option<u64>,
    /// Calls told singly at most.
    pub list: usize,
}

/// How a call would end otherwise. Whoever named what is not there was let in, and found nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyChange {
    /// It was let in, whether it then showed something or found nothing, and would be denied.
    Denied,
    /// It was denied, and would be let in.
    Allowed,
    /// It was answered, and more of the answer would be masked.
    Masked,
    /// It was answered, and less of the answer would be masked.
    Unmasked,
    /// It was answered, and some would be masked that was not, and some not that was.
    MaskedOtherwise,
}

/// Calls that are alike to policies, as far as people tell them apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallKind {
    /// How they would end.
    pub change: PolicyChange,
    /// Who; none if a service acted alone.
    pub person: Option<String>,
    /// Through which service.
    pub service: String,
    /// In which roles.
    pub roles: Vec<String>,
    /// The call.
    pub operation: String,
    /// Why.
    pub purpose: String,
}

impl CallKind {
    fn of(record: &AccessRecord, change: PolicyChange) -> Self {
        Self {
            change,
            person: record.person.clone(),
            service: record.service.clone(),
            roles: record.roles.clone(),
            operation: record.operation.clone(),
            purpose: record.purpose.clone(),
        }
    }
}

/// How a call would end.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ending {
    Same,
    Otherwise { change: PolicyChange, masked: Vec<String>, unmasked: Vec<String> },
}

/// One call that would end otherwise.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Position of its record in `access`.
    pub position: u64,
    /// When it was recorded, µs UTC.
    pub recorded_at: u64,
    /// Hash of its record.
    pub hash: Hash,
    /// Whose file; none of a call that is about nobody in particular, and of a query.
    pub patient: Option<PatientId>,
    /// Who called what and why.
    pub kind: CallKind,
    /// Classes of entries that would be masked in the answer and were not, as access records name them.
    pub masked: Vec<String>,
    /// Classes of entries that were masked and would not be.
    pub unmasked: Vec<String>,
}

/// Sums of a trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrialSums {
    /// Calls looked at.
    pub looked_at: u64,
    /// Of these, could not be judged: their records cannot be opened or say what this version does not
    /// know, the set cannot be evaluated for them, or what they showed, or were to, cannot be read again.
    pub not_judged: u64,
    /// Were let in, and would be denied.
    pub denied: u64,
    /// Were denied, and would be let in.
    pub allowed: u64,
    /// Were answered, and something would be masked that was not.
    pub masked: u64,
    /// Were answered, and something would not be masked that was.
    pub unmasked: u64,
    /// Differences that were not told singly.
    pub not_told: u64,
}

/// A part of what a trial finds.
#[derive(Clone, Debug)]
pub enum TrialPart {
    /// How far it is, and what it found since the part before.
    Progress {
        /// Calls looked at so far.
        looked_at: u64,
        /// When the last of them was recorded, µs UTC.
        reached: Option<u64>,
        /// Calls that would end otherwise.
        differences: Vec<Difference>,
    },
    /// All of it.
    Ended {
        /// How often each kind of call would end otherwise.
        counts: BTreeMap<CallKind, u64>,
        /// The sums.
        sums: TrialSums,
    },
}

/// A trial under way: walks the trail from the end of the period back.
#[derive(Debug)]
pub struct Trial {
    engine: Engine,
    ctx: Context,
    policies: Arc<Policies>,
    times: RangeInclusive<u64>,
    size: u64,
    /// Where the next turn starts; none before the first.
    before: Option<u64>,
    walked: bool,
    ended: bool,
    reached: Option<u64>,
    room: usize,
    counts: BTreeMap<CallKind, u64>,
    sums: TrialSums,
    pages: Pages,
}

impl Engine {
    /// Begins to try a set. The receipt is of the asking; the version is how access records would name the
    /// set.
    ///
    /// # Errors
    /// [`Failure::Invalid`] with every fault of a text; [`Failure::NotFound`]; else see [`Failure`].
    pub async fn try_policy(
        &self,
        ctx: &Context,
        query: &TrialQuery,
    ) -> Result<(Trial, String, Shown<()>), Failure> {
        let pass = self.admit(ctx, None).await?;
        self.access.line.near_end()?;
        self.trail.applied().await;
        let tried = tokio::task::block_in_place(|| self.tried(&pass, &query.tried));
        let policies = match tried {
            Err(Failure::NotFound) => {
                self.ended(ctx, &pass, None, Ended::NotFound, &Saw::default()).await?;
                return Err(Failure::NotFound);
            }
            tried => Arc::new(tried?),
        };
        let position = self.access.line.progress().size;
        let saw = Saw { position, ..Saw::default() };
        let receipt = self.searched(ctx, &pass, &[], &saw).await?;
        let version = policies.version().to_owned();
        let trial = Trial {
            engine: self.clone(),
            ctx: ctx.clone(),
            policies,
            times: query.from..=query.to.map_or(u64::MAX, |to| to.saturating_sub(1)),
            size: position,
            before: None,
            walked: false,
            ended: false,
            reached: None,
            room: query.list,
            counts: BTreeMap::new(),
            sums: TrialSums::default(),
            pages: Pages::default(),
        };
        Ok((trial, version, Shown { answer: (), receipt, position }))
    }

    fn tried(&self, pass: &Pass, tried: &Tried) -> Result<Policies, Failure> {
        match tried {
            Tried::Text(text) => Policies::unfiled(text),
            Tried::OnFile(which) => {
                let (_, policies) = self.shown_documents(pass, DocumentKind::AccessPolicy)?;
                let answer = policy_answer(&policies, *which).ok_or(Failure::NotFound)?;
                match answer.id {
                    Some(id) => Policies::on_file(id, &answer.text),
                    None => Policies::shipped(),
                }
            }
        }
    }
}

impl Trial {
    /// The next part, once it is on record; none after the last. `asked` reads a request as for a replay.
    ///
    /// # Errors
    /// [`Failure::Denied`] when the caller may no longer; `TOO_MANY_DIFFERENCES`; else see [`Failure`].
    pub async fn next<T>(
        &mut self,
        asked: impl Fn(&AccessRecord) -> Result<Asked, Failure>,
        render: impl FnOnce(&TrialPart) -> (T, Vec<u8>),
    ) -> Result<Option<(T, Receipt)>, Failure> {
        if self.ended {
            return Ok(None);
        }
        let pass = self.engine.admit(&self.ctx, None).await?;
        let part = if self.walked {
            self.ended = true;
            TrialPart::Ended { counts: std::mem::take(&mut self.counts), sums: self.sums }
        } else {
            let differences = self.walk(&pass, &asked).await?;
            let (looked_at, reached) = (self.sums.looked_at, self.reached);
            TrialPart::Progress { looked_at, reached, differences }
        };
        let (told, bytes) = render(&part);
        let receipt = self.record(&pass, &part, &bytes).await?;
        Ok(Some((told, receipt)))
    }

    async fn record(
        &self,
        pass: &Pass,
        part: &TrialPart,
        bytes: &[u8],
    ) -> Result<Receipt, Failure> {
        let (named, count) = match part {
            TrialPart::Progress { differences, .. } => {
                let mut named: Vec<_> = differences.iter().filter_map(|one| one.patient).collect();
                named.sort_unstable();
                named.dedup();
                (named, differences.len())
            }
            TrialPart::Ended { counts, .. } => (Vec::new(), counts.len()),
        };
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let digest = Some(self.engine.answer_digest(bytes)?);
        let saw = Saw { position: self.size, count, digest, ..Saw::default() };
        self.engine.searched(&self.ctx, pass, &named, &saw).await
    }

    /// Goes on until there is enough to tell.
    async fn walk(
        &mut self,
        pass: &Pass,
        asked: &impl Fn(&AccessRecord) -> Result<Asked, Failure>,
    ) -> Result<Vec<Difference>, Failure> {
        let engine = self.engine.clone();
        let mut differences = Vec::new();
        let enough = self.sums.looked_at + STRIDE;
        while !self.walked && self.sums.looked_at < enough && differences.len() < TOLD {
            if engine.stopping.is_cancelled() {
                return Err(Failure::Unavailable { why: "this node is stopping".to_owned() });
            }
            let turn = engine.proving.acquire().await.map_err(Failure::internal)?;
            tokio::task::block_in_place(|| self.look(pass, asked, &mut differences))?;
            drop(turn);
        }
        Ok(differences)
    }

    /// Looks at the accesses of one turn.
    fn look(
        &mut self,
        pass: &Pass,
        asked: &impl Fn(&AccessRecord) -> Result<Asked, Failure>,
        differences: &mut Vec<Difference>,
    ) -> Result<(), Failure> {
        let engine = self.engine.clone();
        let reader = engine.shelf.open(pass).reader();
        let all = store::AccessFilter::All;
        let page = reader.accesses(all, self.times.clone(), self.size, self.before, TURN)?;
        self.before = page.next;
        self.walked = page.next.is_none();
        for item in page.items {
            // The patients whom a query showed stand behind the query's own record.
            if item.header.index > 0 {
                continue;
            }
            self.sums.looked_at += 1;
            self.reached = Some(item.header.recorded_at);
            let item = engine.access_item(item);
            let judged = item
                .record
                .as_ref()
                .and_then(|record| Some((record, self.judge(pass, &item, record, asked)?)));
            let Some((record, ending)) = judged else {
                self.sums.not_judged += 1;
                continue;
            };
            let Ending::Otherwise { change, masked, unmasked } = ending else { continue };
            let kind = CallKind::of(record, change);
            self.count(&kind)?;
            if self.room == 0 {
                self.sums.not_told += 1;
                continue;
            }
            self.room -= 1;
            let AccessItem { position, hash, patient, header, .. } = item;
            let recorded_at = header.recorded_at;
            differences.push(Difference {
                position,
                recorded_at,
                hash,
                patient,
                kind,
                masked,
                unmasked,
            });
        }
        Ok(())
    }

    /// How a call would end; none if that cannot be told.
    fn judge(
        &self,
        pass: &Pass,
        item: &AccessItem,
        record: &AccessRecord,
        asked: &impl Fn(&AccessRecord) -> Result<Asked, Failure>,
    ) -> Option<Ending> {
        // What its file would have said of the caller is not known.
        if record.told.as_deref() == Some(NOT_OPENED) {
            return None;
        }
        let time = || self.engine.in_force.time_zone.local(item.header.recorded_at);
        let requester = Requester::recorded(&self.policies, record, time)?;
        let operation = Operation::named(&record.operation)?;
        let mut allowed = requester.may_call(operation).ok()?.allowed;
        // Whatever is permitted for an emergency, is to who broke the glass.
        allowed &= record.emergency.is_some() || !operation.needs_broken_glass(&record.purpose);
        if masking::is_of_entry(record) {
            allowed &= masking::may_see_all(&requester, record)?;
        }
        let let_in = match record.outcome {
            // Nothing is looked for, and found or not, before the access check let the caller in.
            Outcome::Shown | Outcome::NotFound | Outcome::Refused => true,
            Outcome::Denied => false,
        };
        let ends = |change| Ending::Otherwise { change, masked: Vec::new(), unmasked: Vec::new() };
        Some(match (let_in, allowed) {
            (true, false) => ends(PolicyChange::Denied),
            (false, true) => ends(PolicyChange::Allowed),
            (false, false) => Ending::Same,
            (true, true) => {
                let shown = (record, item.patient, &self.pages);
                self.engine.masked_otherwise(pass, &requester, shown, asked).ok()?
            }
        })
    }

    fn count(&mut self, kind: &CallKind) -> Result<(), Failure> {
        match kind.change {
            PolicyChange::Denied => self.sums.denied += 1,
            PolicyChange::Allowed => self.sums.allowed += 1,
            PolicyChange::Masked => self.sums.masked += 1,
            PolicyChange::Unmasked => self.sums.unmasked += 1,
            PolicyChange::MaskedOtherwise => {
                self.sums.masked += 1;
                self.sums.unmasked += 1;
            }
        }
        if let Some(count) = self.counts.get_mut(kind) {
            *count += 1;
            return Ok(());
        }
        if self.counts.len() >= MAX_KINDS {
            let why = format!(
                "more than {MAX_KINDS} kinds of call would end otherwise: try it on a shorter period"
            );
            return Err(Failure::refused("TOO_MANY_DIFFERENCES", why));
        }
        self.counts.insert(kind.clone(), 1);
        Ok(())
    }
}
