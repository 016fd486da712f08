//! What of a patient's file bears on who may see it, remembered for each file that is in use.
//!
//! A file never changes under a version, so what was read of it holds until its chain grows, and then
//! only the new records are looked at: a file of 100,000 entries costs no more than a short one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::{
    Actor, Authors, Coding, Detail, Effective, Entry, EntryId, Event, FhirDateTime, Identity, Kind,
    PatientId, Period, Provision, Stamp,
};
use ledger::{ActorId, SubjectId};
use quick_cache::sync::Cache;
use store::{FileRows, Reader, StoreError};

use crate::Failure;
use crate::engine::Engine;
use crate::seal::Chain;

/// Records that are taken in one by one when a file grew; beyond it the file is read anew.
const FEW: u64 = 64;
/// Entries that are read at once.
const PAGE: usize = 200;
/// Files that are remembered, of some 2 KiB: those that a hospital works on now.
const FILES: usize = 8_192;

/// The kinds of entry that say who may see a file.
const KINDS: [Kind; 5] =
    [Kind::Encounter, Kind::CareTeam, Kind::Consent, Kind::ServiceRequest, Kind::Task];

/// The statuses of a task that is nobody's to do: not given yet, or over.
const NOT_TO_DO: [&str; 5] = ["draft", "rejected", "cancelled", "failed", "completed"];

/// HL7 v3 `ActCode`, where sensitivity labels are from, and its code of people of public interest.
const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
const CELEBRITY: &str = "CEL";

/// What a file says of who may see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileFacts {
    pub(crate) vip: bool,
    /// Entries that bear on it: active care teams, consents and service requests, encounters that are not
    /// over, tasks that are to be done.
    pub(crate) bearing: BTreeMap<EntryId, Filed>,
    /// Who wrote in it lately.
    pub(crate) authors: Authors,
}

/// An entry that bears on who may see the file, and the actor who changed it last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filed {
    pub(crate) by: [u8; 16],
    /// When, µs since 1970 UTC.
    pub(crate) at: u64,
    pub(crate) named: Named,
}

/// What such an entry names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    CareTeam { during: Span, members: Vec<(String, Span)> },
    Encounter { until: u64, people: Vec<String>, unit: Option<String> },
    Consent(Vec<Provision>),
    Task { until: u64, owner: String },
    ServiceRequest { performers: Vec<String> },
}

/// A span of time, µs since 1970 UTC, both ends in it. Dates have no offset and are taken in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    from: u64,
    until: u64,
}

impl Span {
    pub(crate) fn of(period: Option<&Period>) -> Self {
        let from = period.and_then(|period| period.start.as_ref());
        let until = period.and_then(|period| period.end.as_ref());
        Self {
            from: from.map_or(0, |from| u64::try_from(from.earliest()).unwrap_or(0)),
            until: until.map_or(u64::MAX, Self::until),
        }
    }

    /// The last moment of a date or time.
    pub(crate) fn until(end: &FhirDateTime) -> u64 {
        u64::try_from(end.latest()).unwrap_or(0)
    }

    pub(crate) const fn holds(self, now: u64) -> bool {
        self.from <= now && now <= self.until
    }
}

impl FileFacts {
    pub(super) fn identity(&mut self, identity: &Identity) {
        // In whatever letters, as labels of entries.
        let celebrity =
            |label: &Coding| label.system == ACT_CODE && label.code.eq_ignore_ascii_case(CELEBRITY);
        self.vip = identity.labels.iter().any(celebrity);
    }

    /// An entry as it stands, last changed by this actor, at this time.
    pub(super) fn entry(&mut self, id: EntryId, entry: &Entry, (by, at): ([u8; 16], u64)) {
        match named(entry) {
            Some(named) => self.bearing.insert(id, Filed { by, at, named }),
            None => self.bearing.remove(&id),
        };
    }

    /// The units of encounters that are not over.
    pub(super) fn units(&self, now: u64) -> BTreeSet<&str> {
        let units = self.bearing.values().filter_map(|filed| match &filed.named {
            Named::Encounter { until, unit, .. } if *until >= now => unit.as_deref(),
            Named::Encounter { .. }
            | Named::CareTeam { .. }
            | Named::Consent(_)
            | Named::Task { .. }
            | Named::ServiceRequest { .. } => None,
        });
        units.collect()
    }

    /// Takes the file's next record in: what it says, by whom and when.
    fn follow(&mut self, event: &Event, stamp: &Stamp) {
        match event {
            Event::PatientRegistered { identity } | Event::IdentityAmended { identity, .. } => {
                self.identity(identity);
            }
            Event::EntryAdded { id, entry } | Event::EntryAmended { id, entry, .. } => {
                self.entry(*id, entry, (stamp.actor, stamp.recorded_at));
                self.authors.wrote(entry, stamp);
            }
            Event::EntryRetracted { id, .. } => {
                self.bearing.remove(id);
            }
            Event::IdentifierAssigned { .. }
            | Event::IdentifierReleased { .. }
            | Event::DocumentFiled { .. } => {}
        }
        self.authors.forget(stamp.version);
    }
}

/// What an entry names that bears on who may see the file; none of most, and of what is over.
fn named(entry: &Entry) -> Option<Named> {
    let period = match &entry.effective {
        Some(Effective::During(period)) => Some(period),
        Some(Effective::At(_)) | None => None,
    };
    let status = entry.status.as_deref();
    match &entry.detail {
        Detail::CareTeam(team) if status == Some("active") => {
            let member = |one: &domain::CareTeamParticipant| {
                (one.member.reference.clone(), Span::of(one.period.as_ref()))
            };
            let members = team.participant.iter().map(member).collect();
            Some(Named::CareTeam { during: Span::of(period), members })
        }
        Detail::Encounter(encounter) if !matches!(status, Some("finished" | "cancelled")) => {
            let mut people: Vec<_> =
                references([&entry.recorder, &entry.asserter].into_iter().flatten()).collect();
            people.extend(references(&encounter.participant));
            Some(Named::Encounter {
                until: Span::of(period).until,
                people,
                unit: entry.unit.clone(),
            })
        }
        Detail::Consent(consent) if status == Some("active") => {
            Some(Named::Consent(consent.provision.clone()))
        }
        Detail::Task(task) if !status.is_some_and(|status| NOT_TO_DO.contains(&status)) => {
            let owner = task.owner.as_ref()?.reference.clone();
            Some(Named::Task { until: Span::of(task.restriction.as_ref()).until, owner })
        }
        Detail::ServiceRequest(request) if status == Some("active") => {
            Some(Named::ServiceRequest { performers: references(&request.performer).collect() })
        }
        Detail::CareTeam(_)
        | Detail::Encounter(_)
        | Detail::Consent(_)
        | Detail::ServiceRequest(_)
        | Detail::Task(_)
        | Detail::Condition(_)
        | Detail::AllergyIntolerance(_)
        | Detail::MedicationRequest(_)
        | Detail::Procedure(_)
        | Detail::Observation(_)
        | Detail::Immunization(_)
        | Detail::Note(_) => None,
    }
}

fn references<'a>(actors: impl IntoIterator<Item = &'a Actor>) -> impl Iterator<Item = String> {
    let named = actors.into_iter().filter(|actor| !actor.reference.is_empty());
    named.map(|actor| actor.reference.clone())
}

/// Facts of files in use, each as of a version. Shared by reference.
#[derive(Debug)]
pub(crate) struct Files {
    known: Cache<PatientId, (u64, Arc<FileFacts>)>,
    /// [`store::Store::views_generation`] of what is remembered.
    views: AtomicU64,
}

impl Default for Files {
    fn default() -> Self {
        Self { known: Cache::new(FILES), views: AtomicU64::new(0) }
    }
}

impl Files {
    fn get(&self, views: u64, patient: PatientId) -> Option<(u64, Arc<FileFacts>)> {
        // What is erased is to be gone.
        if self.views.fetch_max(views, Ordering::SeqCst) < views {
            self.known.clear();
        }
        self.known.get(&patient)
    }

    fn put(&self, views: u64, patient: PatientId, version: u64, facts: &Arc<FileFacts>) {
        if views >= self.views.load(Ordering::SeqCst) {
            self.known.insert(patient, (version, Arc::clone(facts)));
        }
    }
}

impl Engine {
    /// The facts of a file at its newest version; none if there is no such file, or none that opens.
    pub(crate) fn file_facts(&self, patient: PatientId) -> Result<Option<Arc<FileFacts>>, Failure> {
        let (store, ledger) = (self.shelf.never_to_be_shown(), self.records.line.ledger);
        let subject = SubjectId(patient.0);
        // Before anything is read: what is erased meanwhile makes this stale.
        let views = store.views_generation();
        let Some(head) = store.head(ledger, subject)? else { return Ok(None) };
        let known = self.files.get(views, patient);
        if let Some((version, facts)) = &known
            && *version >= head.version
        {
            return Ok(Some(Arc::clone(facts)));
        }
        // In this order, before anything is read: a file is noted before its key is here. Until its views are
        // made with that, its rows are older than its chain: what was restricted since is not in them.
        if !self.key_is_here(subject)? {
            return Ok(None);
        }
        let to_fold = self.vault.is_to_fold(subject);
        let reader = store.reader();
        if to_fold {
            return Err(self.no_file(&reader, subject)?);
        }
        let newer = match known {
            Some((version, facts)) if version.saturating_add(FEW) >= head.version => {
                followed(&reader, subject, version, &facts)?
            }
            Some(_) | None => None,
        };
        let Some((version, facts)) = (match newer {
            Some(newer) => Some(newer),
            None => read(&reader, subject)?,
        }) else {
            return Ok(None);
        };
        let facts = Arc::new(facts);
        self.files.put(views, patient, version, &facts);
        Ok(Some(facts))
    }

    /// Takes in what this node has just filed, the file's newest records, where it knew the file as it was
    /// before: or whoever asks next reads them back.
    pub(crate) fn facts_filed(
        &self,
        patient: PatientId,
        by: ActorId,
        events: &[Event],
        head: Chain,
    ) {
        let views = self.shelf.never_to_be_shown().views_generation();
        let Some((version, facts)) = self.files.get(views, patient) else { return };
        let versions = version + 1..head.version + 1;
        if versions.clone().count() != events.len() {
            return;
        }
        let mut facts = FileFacts::clone(&facts);
        let (actor, recorded_at) = (by.0, head.recorded_at);
        for (version, event) in versions.zip(events) {
            facts.follow(event, &Stamp { version, recorded_at, actor, ..Stamp::default() });
        }
        self.files.put(views, patient, head.version, &Arc::new(facts));
    }
}

/// The facts with the records after a version; none when one of these cannot be read or opened here.
fn followed(
    reader: &Reader<'_>,
    subject: SubjectId,
    version: u64,
    facts: &FileFacts,
) -> Result<Option<(u64, FileFacts)>, StoreError> {
    let (mut version, mut facts) = (version, facts.clone());
    let mut next = Some(version + 1);
    while let Some(from) = next {
        let page = match reader.history(subject, from, PAGE) {
            Err(StoreError::Damaged { .. }) => return Ok(None),
            page => page?,
        };
        for item in &page.items {
            let Some(event) = &item.event else { return Ok(None) };
            facts.follow(event, &item.stamp());
            version = item.header.version;
        }
        next = page.next;
    }
    Ok(Some((version, facts)))
}

/// The facts of a whole file: its identity, the entries of [`KINDS`], and who wrote in it lately.
fn read(reader: &Reader<'_>, subject: SubjectId) -> Result<Option<(u64, FileFacts)>, StoreError> {
    let Some(FileRows { header, mut authors, mut page }) =
        reader.file(subject, &KINDS, None, PAGE)?
    else {
        return Ok(None);
    };
    authors.forget(header.version);
    let mut facts = FileFacts { authors, ..FileFacts::default() };
    facts.identity(&header.identity);
    loop {
        for state in page.entries.iter().filter(|state| state.retracted.is_none()) {
            let Stamp { actor, recorded_at, .. } = state.changed;
            facts.entry(state.id, &state.entry, (actor, recorded_at));
        }
        let Some(after) = page.next else { break };
        page = reader.entries(subject, &KINDS, Some(&after), PAGE)?;
    }
    Ok(Some((header.version, facts)))
}
