//! Emergency accesses: who broke the glass, for what and until when.
//!
//! They are begun and ended by records of the trail, so that they work and are on record while the
//! broker is away. Those records stand under a subject of their own, beside one under the patient
//! who is concerned. There are few, so all are kept in memory: what is begun or ended here at once,
//! the rest from the trail as this node has applied it, and after a start also from the spool.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::{Command, EntryId, PatientId};
use ledger::{ActorId, Header, Item, SubjectId};
use schema::{AccessRecord, Outcome};
use vault::Opened;

use crate::Failure;
use crate::answers::AccessItem;
use crate::context::{Caller, Context, Operation};
use crate::engine::Engine;
use crate::filing::first_half;
use crate::registers::author;
use crate::replay::said;

/// The id of an emergency access: random, as its records' field `emergency`.
pub type EmergencyId = [u8; 16];

/// Records of the trail that are read at once.
const PAGE: usize = 200;

/// How long after its end something may still be filed that was let in before, µs: longer than any call
/// waits.
const UNDER_WAY: u64 = 60_000_000;

/// How far the clock of the node that granted it may be ahead of the one that asks whether it is open,
/// µs.
const AHEAD: u64 = 5 * 60 * 1_000_000;

/// What an emergency access opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmergencyScope {
    /// One patient's file.
    Patient(PatientId),
    /// One entry of a patient's file, beside who the patient is.
    Entry(PatientId, EntryId),
    /// The files of the patients who are in this unit.
    Unit(String),
}

/// The emergency access that a call is made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Covering {
    pub(crate) id: EmergencyId,
    /// The entry that it opens alone; none: the whole file.
    pub(crate) alone: Option<EntryId>,
}

/// One emergency access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmergencyAccess {
    /// Its id.
    pub id: EmergencyId,
    /// Who broke the glass: their id in the hospital's directory, or `service:` and the name of a
    /// service that acted alone.
    pub person: String,
    /// The same, as headers of records name them.
    pub actor: ActorId,
    /// In which roles.
    pub roles: Vec<String>,
    /// Why: a code of [`REASON_CODES`](crate::REASON_CODES).
    pub reason_code: String,
    /// Why, in words.
    pub reason: String,
    /// What it opens.
    pub scope: EmergencyScope,
    /// From when, µs since 1970 UTC, by the clock of the node that granted it.
    pub from: u64,
    /// Until when, unless it is ended before.
    pub until: u64,
    /// When the person ended it.
    pub ended: Option<u64>,
}

impl EmergencyAccess {
    /// Whether it is open at `now`, µs since 1970 UTC. Every node goes by its own clock. One that was
    /// begun by a clock far ahead is not open: it would be until that time is over.
    #[must_use]
    pub fn open(&self, now: u64) -> bool {
        self.ended.is_none() && self.from <= now.saturating_add(AHEAD) && now < self.until
    }

    /// Ends it; the first end counts, in whatever order a node hears of them, and what has expired has
    /// ended.
    pub(crate) fn end(&mut self, at: u64) {
        if at < self.until {
            // Another node's clock may be behind.
            let at = at.max(self.from);
            self.ended = Some(self.ended.map_or(at, |before| before.min(at)));
        }
    }

    /// The patient whose file it opens, or an entry of it, if it is one.
    #[must_use]
    pub const fn patient(&self) -> Option<PatientId> {
        match &self.scope {
            EmergencyScope::Patient(patient) | EmergencyScope::Entry(patient, _) => Some(*patient),
            EmergencyScope::Unit(_) => None,
        }
    }

    /// The entry that it opens alone, if it is one.
    const fn alone(&self) -> Option<EntryId> {
        match &self.scope {
            EmergencyScope::Entry(_, entry) => Some(*entry),
            EmergencyScope::Patient(_) | EmergencyScope::Unit(_) => None,
        }
    }

    /// Of several that cover a call the greatest is used: the widest, then the one begun last.
    const fn rank(&self) -> (bool, u64, EmergencyId) {
        (self.alone().is_none(), self.from, self.id)
    }

    /// What the record of its start tells, a line each; the rest stands in the record's own fields.
    pub(crate) fn told(&self) -> String {
        let scope = match &self.scope {
            EmergencyScope::Patient(patient) => format!("patient {patient}"),
            EmergencyScope::Entry(patient, entry) => format!("entry {patient} {entry}"),
            EmergencyScope::Unit(unit) => format!("unit {unit}"),
        };
        let Self { reason_code, from, until, .. } = self;
        format!("reason {reason_code}\n{scope}\nfrom {from}\nuntil {until}")
    }

    /// The emergency access that this record began.
    fn begun_by(record: &AccessRecord, actor: ActorId) -> Option<Self> {
        let mut lines = record.told.as_deref()?.lines();
        let mut next = || lines.next()?.split_once(' ');
        let ("reason", reason_code) = next()? else { return None };
        let scope = match next()? {
            ("patient", id) => EmergencyScope::Patient(PatientId(id_of(id)?)),
            ("entry", ids) => {
                let (patient, entry) = ids.split_once(' ')?;
                EmergencyScope::Entry(PatientId(id_of(patient)?), EntryId(id_of(entry)?))
            }
            ("unit", unit) => EmergencyScope::Unit(unit.to_owned()),
            _ => return None,
        };
        let ("from", from) = next()? else { return None };
        let ("until", until) = next()? else { return None };
        Some(Self {
            id: record.emergency?,
            person: record.person.clone().unwrap_or_else(|| format!("service:{}", record.service)),
            actor,
            roles: record.roles.clone(),
            reason_code: reason_code.to_owned(),
            reason: record.reason.clone().unwrap_or_default(),
            scope,
            from: from.parse().ok()?,
            until: until.parse().ok()?,
            ended: None,
        })
    }
}

/// All emergency accesses, by their ids.
pub(crate) type Register = Arc<BTreeMap<EmergencyId, EmergencyAccess>>;

/// What is known of emergency accesses.
#[derive(Debug, Default)]
pub(crate) struct Emergencies(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Whether what waited in the spool at the start was looked at.
    spooled: bool,
    /// Records of the trail that were looked at.
    upto: u64,
    register: Register,
    /// When those ended whose beginning is not known yet: an end may wait in the spool whose beginning
    /// is in the trail, which is looked at later.
    ends: BTreeMap<EmergencyId, u64>,
}

impl Known {
    fn begun(&mut self, access: EmergencyAccess) {
        let id = access.id;
        Arc::make_mut(&mut self.register).entry(id).or_insert(access);
        if let Some(at) = self.ends.remove(&id) {
            self.ended(&id, at);
        }
    }

    fn ended(&mut self, id: &EmergencyId, at: u64) {
        match Arc::make_mut(&mut self.register).get_mut(id) {
            Some(access) => access.end(at),
            None => drop(self.ends.insert(*id, at)),
        }
    }

    fn take(&mut self, header: &Header, record: &AccessRecord) {
        if record.outcome != Outcome::Shown {
            return;
        }
        if record.operation == Operation::BreakGlass.name() {
            if let Some(access) = EmergencyAccess::begun_by(record, header.actor) {
                self.begun(access);
            }
        } else if record.operation == Operation::EndEmergencyAccess.name()
            && let Some(id) = &record.emergency
        {
            self.ended(id, ended_at(record).unwrap_or(header.recorded_at));
        }
    }
}

impl Engine {
    /// The subject under which emergency accesses begin and end.
    pub(crate) fn emergency_subject(&self) -> Result<SubjectId, Failure> {
        Ok(SubjectId(first_half(&self.vault.index_term("register", &[b"emergency_access"])?)))
    }

    /// Every emergency access that this node knows of. They decide, or are shown by whoever has the
    /// pass to.
    pub(crate) fn emergencies(&self) -> Result<Register, Failure> {
        self.emergencies_upto().map(|(_, register)| register)
    }

    /// The same with the size of the trail that has them, but for those that are begun or ended here and
    /// not filed yet.
    pub(crate) fn emergencies_upto(&self) -> Result<(u64, Register), Failure> {
        // Rows of the trail that are still being made would be missed for good.
        self.access.line.near_end()?;
        let mut known = self.emergencies.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The spool first: what is applied meanwhile is found in the trail.
        if !known.spooled {
            self.emergencies_spooled(&mut known)?;
            known.spooled = true;
        }
        self.emergencies_filed(&mut known)?;
        Ok((known.upto, Arc::clone(&known.register)))
    }

    /// Those that the node knew of which recorded this query, when it had applied so much of the trail:
    /// what was filed by then, and what it had itself begun and ended before, but for so many of the newest
    /// of these: a call is known of once it is answered, a moment after its record is sealed.
    pub(crate) fn emergencies_then(
        &self,
        query: &AccessItem,
        unheard: usize,
    ) -> Result<Register, Failure> {
        let (Header { node, version, .. }, record) = (&query.header, said(query)?);
        let mut records = self.emergency_records(0, query.position)?;
        let own =
            |item: &store::AccessItem| item.header.node == *node && item.header.version < *version;
        records.retain(|item| item.position < record.trail || own(item));
        let newest = records.iter().filter(|item| item.position >= record.trail).count();
        let mut known = Known::default();
        for item in records.iter().skip(unheard.min(newest)).rev() {
            known.take(&item.header, item.record.as_ref().ok_or_else(not_yet)?);
        }
        Ok(known.register)
    }

    /// Remembers what was begun here: it counts before it is applied.
    pub(crate) fn emergency_begun(&self, access: EmergencyAccess) {
        self.emergencies.0.lock().unwrap_or_else(PoisonError::into_inner).begun(access);
    }

    /// Remembers what was ended here.
    pub(crate) fn emergency_ended(&self, id: &EmergencyId, at: u64) {
        self.emergencies.0.lock().unwrap_or_else(PoisonError::into_inner).ended(id, at);
    }

    /// The caller's emergency access that is open now and covers this call about the patient, which
    /// files these changes if it files any.
    pub(crate) fn emergency_covering(
        &self,
        ctx: &Context,
        patient: PatientId,
        changes: &[Command],
    ) -> Result<Option<Covering>, Failure> {
        if !ctx.operation.can_be_covered() {
            return Ok(None);
        }
        let (person, now) = (author(&ctx.caller), self.now());
        let register = self.emergencies()?;
        let open = |one: &&EmergencyAccess| one.person == person && one.open(now);
        let mut open: Vec<_> = register.values().filter(open).collect();
        open.sort_unstable_by_key(|access| std::cmp::Reverse(access.rank()));
        for access in open {
            let covers = match &access.scope {
                EmergencyScope::Patient(opened) => *opened == patient,
                EmergencyScope::Unit(unit) => self.is_in_unit(patient, unit)?,
                EmergencyScope::Entry(opened, entry) => {
                    *opened == patient && is_about(ctx.operation, *entry, changes)
                }
            };
            if covers {
                return Ok(Some(Covering { id: access.id, alone: access.alone() }));
            }
        }
        Ok(None)
    }

    /// From when until when the caller had an emergency access that covers this patient, or a unit, and what
    /// was let in by it may have been filed; µs since 1970 UTC. Always, as long as this node does not know.
    pub(crate) fn emergencies_of(&self, caller: &Caller, patient: PatientId) -> Vec<(u64, u64)> {
        let person = author(caller);
        let Ok(register) = self.emergencies() else { return vec![(0, u64::MAX)] };
        let theirs = register.values().filter(|access| access.person == person);
        // Who was in a unit then, nothing says any more.
        let covers = |access: &&EmergencyAccess| access.patient().is_none_or(|one| one == patient);
        let span = |access: &EmergencyAccess| {
            (access.from, access.ended.unwrap_or(access.until).saturating_add(UNDER_WAY))
        };
        theirs.filter(covers).map(span).collect()
    }

    /// What waits in the spool of an earlier run of this node.
    fn emergencies_spooled(&self, known: &mut Known) -> Result<(), Failure> {
        let subject = self.emergency_subject()?;
        let damaged = || Failure::Damaged { what: "a spooled access block".to_owned() };
        for block in self.shelf.never_to_be_shown().spool().blocks() {
            let (_, block) = block?;
            let frame = ledger::Frame::parse(&block).map_err(|_| damaged())?;
            for item in frame.content().map_err(|_| damaged())?.items {
                let Item::Contribution(contribution) = item else { continue };
                for record in contribution.records {
                    let header = Header::decode(record.header).map_err(|_| damaged())?;
                    if header.subject != subject {
                        continue;
                    }
                    let genesis = &self.access.sealer.genesis;
                    match self.vault.open_body(genesis, &header, record.body)? {
                        Opened::Plain(plain) => {
                            let read = schema::decode_access(header.envelope_version, &plain);
                            known.take(&header, &read.map_err(|_| damaged())?);
                        }
                        Opened::KeyMissing | Opened::KeyDestroyed => return Err(not_yet()),
                    }
                }
            }
        }
        Ok(())
    }

    /// What was filed since it was looked at last.
    fn emergencies_filed(&self, known: &mut Known) -> Result<(), Failure> {
        let size = self.access.line.progress().size;
        if known.upto >= size {
            return Ok(());
        }
        for item in self.emergency_records(known.upto, size)?.iter().rev() {
            known.take(&item.header, item.record.as_ref().ok_or_else(not_yet)?);
        }
        known.upto = size;
        Ok(())
    }

    /// The records, the latest first, by which emergency accesses began and ended, from one size of the
    /// trail up to another.
    fn emergency_records(&self, from: u64, size: u64) -> Result<Vec<store::AccessItem>, Failure> {
        let filter = store::AccessFilter::Subject(self.emergency_subject()?);
        let reader = self.shelf.never_to_be_shown().reader();
        let (mut filed, mut before) = (Vec::new(), None);
        loop {
            let page = reader.accesses(filter, 0..=u64::MAX, size, before, PAGE)?;
            let older = page.items.iter().any(|item| item.position < from);
            filed.extend(page.items.into_iter().filter(|item| item.position >= from));
            before = page.next;
            if older || before.is_none() {
                return Ok(filed);
            }
        }
    }

    /// Whether an encounter of the patient that is neither finished nor cancelled names the unit.
    fn is_in_unit(&self, patient: PatientId, unit: &str) -> Result<bool, Failure> {
        let reader = self.shelf.never_to_be_shown().reader();
        let subject = SubjectId(patient.0);
        let mut after = None;
        loop {
            let kinds = [domain::Kind::Encounter];
            let page = reader.entries(subject, &kinds, after.as_deref(), PAGE)?;
            let here = |state: &domain::EntryState| {
                let over = ["finished", "cancelled"];
                let status = state.entry.status.as_deref().unwrap_or_default();
                state.retracted.is_none()
                    && state.entry.unit.as_deref() == Some(unit)
                    && !over.contains(&status)
            };
            if page.entries.iter().any(here) {
                return Ok(true);
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(false),
            }
        }
    }

    /// This node's clock, µs since 1970 UTC.
    pub(crate) fn now(&self) -> u64 {
        self.access.sealer.clock.now()
    }
}

/// Whether a call can be made where only this entry is open: it shows no other that could not be
/// masked, and changes no other.
fn is_about(operation: Operation, entry: EntryId, changes: &[Command]) -> bool {
    let changed = |change: &Command| match change {
        Command::AmendEntry { id, .. } | Command::RetractEntry { id, .. } => *id == entry,
        Command::Register(_) | Command::AmendIdentity { .. } | Command::AddEntry { .. } => false,
    };
    let reads = matches!(
        operation,
        Operation::FindPatient
            | Operation::GetPatientFile
            | Operation::GetPatientHistory
            | Operation::WatchPatientFile
    );
    // Evidence and the trail have nothing masked.
    let files = operation == Operation::Contribute && !changes.is_empty();
    reads || (files && changes.iter().all(changed))
}

/// When this record says that an emergency access was ended; the first ones do not say it.
fn ended_at(record: &AccessRecord) -> Option<u64> {
    record.told.as_deref()?.strip_prefix("ended ")?.parse().ok()
}

fn id_of(text: &str) -> Option<[u8; 16]> {
    text.parse::<SubjectId>().ok().map(|id| id.0)
}

/// Half of what is known would decide wrongly; the key is the system's and arrives.
fn not_yet() -> Failure {
    let why = "emergency accesses cannot be opened here yet: a key has not reached this node";
    Failure::Unavailable { why: why.to_owned() }
}

#[cfg(test)]
mod tests;
