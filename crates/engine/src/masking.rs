//! Masking: what a caller may not see of a file is shown as the ids of the entries that it is in, and as
//! nothing else.
//!
//! Policies decide on classes of entries (kind and labels), not on entries, so that few decisions serve
//! many readings, and so that an access record can say what was masked without saying what it was.
//!
//! An entry is masked in an answer when the class of what would be shown of it is not to be seen, or the
//! class that the entry has in the file by then. So a note that was labelled late does not show through
//! its history, and a label that was taken off does not open what was filed under it. Where the glass is
//! broken for one entry alone, every other one is masked besides, whatever its class.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use domain::{Entry, EntryId, EntryState, Event, Identity, Kind, PatientId, Stamp};
use ledger::{Hash, LedgerId, SubjectId};
use schema::AccessRecord;
use store::Reader;

use crate::Failure;
use crate::answers::{FileAnswer, FileQuery, HistoryAnswer, HistoryItem, ShownEntry, ShownEvent};
use crate::facts::Facts;

/// Longest part of a class's name that spells its labels out: a page of 200 classes then takes some
/// 30 KiB of an access record, which has 256.
const MAX_SPELLED: usize = 128;

/// How the name begins of a class that is masked only in entries beside the one that the glass is broken
/// for. What the policies hide stands without it, and that one may be of the same class.
const OTHER: &str = "other ";

/// Codes of HL7's that are not in upper case (v3 `ActUSPrivacyLaw`).
const MIXED_CASE: [&str; 2] = ["42CFRPart2", "HIPAAPsyNotes"];

/// What access policies tell entries apart by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Class {
    pub(crate) kind: Kind,
    /// The codes of its labels, of whatever system: what is called PSY is taken for it.
    pub(crate) labels: BTreeSet<String>,
}

impl Class {
    /// A code that is written in other letters than HL7 writes it counts in HL7's, too: `psy` is not
    /// less protected than `PSY`.
    pub(crate) fn of(entry: &Entry) -> Self {
        let codes = || entry.labels.iter().map(|label| label.code.as_str());
        let meant = codes().map(|code| {
            let mixed = MIXED_CASE.into_iter().find(|mixed| mixed.eq_ignore_ascii_case(code));
            mixed.map_or_else(|| code.to_ascii_uppercase(), ToOwned::to_owned)
        });
        let labels = codes().map(ToOwned::to_owned).chain(meant).collect();
        Self { kind: entry.kind(), labels }
    }

    /// The class that access records name so; none of a name that does not spell its labels out.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let (kind, labels) = name.split_once(':')?;
        let kind = *Kind::ALL.iter().find(|one| one.name() == kind)?;
        let spelled = !labels.starts_with('#');
        let labels = labels.split(',').filter(|code| !code.is_empty()).map(ToOwned::to_owned);
        spelled.then(|| Self { kind, labels: labels.collect() })
    }

    /// Bytes of its labels.
    pub(crate) fn bytes(&self) -> usize {
        self.labels.iter().map(String::len).sum()
    }

    /// How access records name it: `note:PSY,R`, `condition:`. Labels that are many, or anything but
    /// plain codes, are named by their digest: what somebody wrote there is not for the trail.
    fn name(&self) -> String {
        let mut name = format!("{}:", self.kind.name());
        let plain = |code: &String| {
            code.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        };
        let length: usize = self.labels.iter().map(|code| code.len() + 1).sum();
        if length <= MAX_SPELLED && self.labels.iter().all(plain) {
            for (index, code) in self.labels.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                let _ = write!(name, "{comma}{code}");
            }
        } else {
            let mut codes = Vec::new();
            for code in &self.labels {
                codes.extend_from_slice(&(code.len() as u64).to_be_bytes());
                codes.extend_from_slice(code.as_bytes());
            }
            let _ = write!(name, "#{}", Hash::of(&codes));
        }
        name
    }
}

/// What is not shown in an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Masked {
    /// Classes of entries, by their names, with [`OTHER`] before those that only other entries have.
    names: BTreeSet<String>,
    /// The only entry that is not masked whatever its class.
    alone: Option<EntryId>,
}

impl Masked {
    /// Entries of these classes.
    pub(crate) fn of<'a>(classes: impl IntoIterator<Item = &'a Class>) -> Self {
        Self { names: classes.into_iter().map(Class::name).collect(), alone: None }
    }

    /// What was masked in an answer that was given.
    pub(crate) fn then(record: &AccessRecord) -> Self {
        let names = record.masked.iter().cloned().collect();
        Self { names, alone: Facts::recorded(record).alone }
    }

    /// The same, and of these entries all but one.
    pub(crate) fn all_but<'a>(
        mut self,
        alone: EntryId,
        entries: impl Iterator<Item = (EntryId, &'a Class)>,
    ) -> Self {
        for (_, class) in entries.filter(|(id, _)| *id != alone) {
            let name = class.name();
            if !self.names.contains(&name) {
                self.names.insert(format!("{OTHER}{name}"));
            }
        }
        Self { alone: Some(alone), ..self }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.names.iter().cloned().collect()
    }

    /// Bytes of the names.
    pub(crate) fn bytes(&self) -> usize {
        self.names.iter().map(String::len).sum()
    }

    /// Whether an entry with these classes is not shown.
    pub(crate) fn hides(&self, id: EntryId, classes: &[Class]) -> bool {
        let by_class = |class: &Class| self.names.contains(&class.name());
        self.alone.is_some_and(|alone| alone != id)
            || (!self.is_empty() && classes.iter().any(by_class))
    }
}

/// As of when entries have the class that they are judged by, beside that of what is shown of them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Judged {
    /// Now.
    Now,
    /// When `records` had so many leaves.
    Within(u64),
    /// Never: nothing was masked.
    Never,
}

/// A page of a file, before anything is masked.
#[derive(Clone, Debug)]
pub(crate) struct WholePage {
    pub(crate) patient: PatientId,
    pub(crate) version: u64,
    pub(crate) identity: Identity,
    pub(crate) identity_stamp: Stamp,
    /// Each with its classes; those that were taken back too.
    pub(crate) entries: Vec<(EntryState, Vec<Class>)>,
    pub(crate) next: Option<Vec<u8>>,
    pub(crate) unreadable: Vec<u64>,
}

impl WholePage {
    /// Every class that matters to who may see what of it.
    pub(crate) fn classes(&self) -> BTreeSet<Class> {
        self.entries.iter().flat_map(|(_, classes)| classes).cloned().collect()
    }

    /// Each entry with each of its classes.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (EntryId, &Class)> + Clone {
        self.entries
            .iter()
            .flat_map(|(state, classes)| classes.iter().map(|class| (state.id, class)))
    }

    /// The page with this masked.
    ///
    /// A masked entry tells neither whether it was taken back nor, as far as the page goes, its kind:
    /// it stands behind the others, and not at all where only some kinds are asked for. Pages end
    /// where they do whatever is masked.
    pub(crate) fn shown(self, query: &FileQuery, masked: &Masked) -> FileAnswer {
        let mut shown = Vec::with_capacity(self.entries.len());
        let mut hidden = Vec::new();
        for (state, classes) in self.entries {
            if masked.hides(state.id, &classes) {
                hidden.push(state.id);
            } else if query.include_retracted || state.retracted.is_none() {
                shown.push(ShownEntry::Whole(Box::new(state)));
            }
        }
        if query.kinds.is_empty() {
            hidden.sort_unstable();
            shown.extend(hidden.into_iter().map(ShownEntry::Masked));
        }
        FileAnswer {
            patient: self.patient,
            version: self.version,
            identity: self.identity,
            identity_stamp: self.identity_stamp,
            entries: shown,
            next: self.next,
            unreadable: self.unreadable,
        }
    }
}

/// A part of a history, before anything is masked.
#[derive(Clone, Debug)]
pub(crate) struct WholeHistory {
    pub(crate) patient: PatientId,
    pub(crate) position: u64,
    /// The file's version when it was read.
    pub(crate) version: u64,
    pub(crate) items: Vec<WholeItem>,
    pub(crate) next: Option<u64>,
}

/// One record of a history, before anything is masked, with its classes.
#[derive(Clone, Debug)]
pub(crate) struct WholeItem {
    pub(crate) item: HistoryItem,
    pub(crate) classes: Vec<Class>,
}

impl WholeItem {
    /// A record of an answer in which nothing was masked.
    pub(crate) const fn unmasked(item: HistoryItem) -> Self {
        Self { item, classes: Vec::new() }
    }

    /// The entry that it is about with each of its classes.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (EntryId, &Class)> + Clone {
        let entry = entry_of(&self.item.event).map(|(id, _)| id);
        entry.into_iter().flat_map(|id| self.classes.iter().map(move |class| (id, class)))
    }

    /// The record with this masked. A masked one does not tell what was done to the entry.
    pub(crate) fn shown(self, masked: &Masked) -> HistoryItem {
        let Self { item, classes } = self;
        match entry_of(&item.event) {
            Some((id, _)) if masked.hides(id, &classes) => {
                HistoryItem { event: ShownEvent::Masked(id), ..item }
            }
            Some(_) | None => item,
        }
    }
}

impl WholeHistory {
    /// Each entry with each of its classes.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (EntryId, &Class)> + Clone {
        self.items.iter().flat_map(WholeItem::entries)
    }

    /// The part with this masked.
    pub(crate) fn shown(self, masked: &Masked) -> HistoryAnswer {
        HistoryAnswer {
            patient: self.patient,
            position: self.position,
            items: self.items.into_iter().map(|item| item.shown(masked)).collect(),
            next: self.next,
        }
    }
}

/// The entry that an event is about, and what the event says of it.
fn entry_of(event: &ShownEvent) -> Option<(EntryId, Option<&Entry>)> {
    let ShownEvent::Whole(event) = event else { return None };
    match event.as_ref() {
        Event::EntryAdded { id, entry } | Event::EntryAmended { id, entry, .. } => {
            Some((*id, Some(entry)))
        }
        Event::EntryRetracted { id, .. } => Some((*id, None)),
        Event::PatientRegistered { .. }
        | Event::IdentityAmended { .. }
        | Event::IdentifierAssigned { .. }
        | Event::IdentifierReleased { .. }
        | Event::DocumentFiled { .. } => None,
    }
}

/// A file at the version by which its entries are judged.
pub(crate) struct Standing<'r, 'a> {
    pub(crate) reader: &'r Reader<'a>,
    pub(crate) ledger: LedgerId,
    pub(crate) subject: SubjectId,
    pub(crate) version: u64,
}

impl Standing<'_, '_> {
    /// Records with their classes. Of a retraction of what is not on file nobody can tell the class:
    /// it is shown to nobody.
    pub(crate) fn judge(&self, items: Vec<HistoryItem>) -> Result<Vec<WholeItem>, Failure> {
        let mut said = BTreeMap::new();
        for item in &items {
            let Some((id, entry)) = entry_of(&item.event) else { continue };
            let known = said.entry(id).or_insert(None);
            if let Some(entry) = entry {
                *known = Some(Class::of(entry));
            }
        }
        // What the last record of all says of an entry is how it stands.
        let to_the_end = items.last().is_some_and(|item| item.header.version == self.version);
        let open = said.iter().filter(|(_, said)| !to_the_end || said.is_none());
        let open = open.map(|(id, said)| (*id, said.as_ref().map(|class| class.kind))).collect();
        let mut standing = self.classes(&open)?;
        if to_the_end {
            standing
                .extend(said.into_iter().filter_map(|(id, said)| said.map(|class| (id, class))));
        }
        let judged = items.into_iter().map(|mut item| {
            let mut classes = Vec::new();
            let mut unknown = None;
            if let Some((id, entry)) = entry_of(&item.event) {
                classes.extend(entry.map(Class::of));
                classes.extend(standing.get(&id).cloned());
                classes.dedup();
                unknown = classes.is_empty().then_some(id);
            }
            if let Some(id) = unknown {
                item.event = ShownEvent::Masked(id);
            }
            WholeItem { item, classes }
        });
        Ok(judged.collect())
    }

    /// Entries of a page with their classes.
    pub(crate) fn judge_entries(
        &self,
        entries: Vec<EntryState>,
    ) -> Result<Vec<(EntryState, Vec<Class>)>, Failure> {
        let open = entries.iter().map(|state| (state.id, Some(state.entry.kind()))).collect();
        let standing = self.classes(&open)?;
        let judged = entries.into_iter().map(|state| {
            let mut classes = vec![Class::of(&state.entry)];
            classes.extend(standing.get(&state.id).cloned());
            classes.dedup();
            (state, classes)
        });
        Ok(judged.collect())
    }

    /// The classes that these entries have, of those that are on file; with their kinds where they are
    /// known.
    fn classes(
        &self,
        entries: &BTreeMap<EntryId, Option<Kind>>,
    ) -> Result<BTreeMap<EntryId, Class>, Failure> {
        let mut classes = BTreeMap::new();
        if entries.is_empty() {
            return Ok(classes);
        }
        let newest = self.reader.head(self.ledger, self.subject)?;
        if newest.is_some_and(|newest| newest.version == self.version) {
            for (id, kind) in entries {
                let kinds = kind.as_ref().map_or(Kind::ALL, std::slice::from_ref);
                if let Some(state) = self.reader.entry_among(self.subject, *id, kinds)? {
                    classes.insert(*id, Class::of(&state.entry));
                }
            }
        } else {
            let folded = self.reader.fold(self.subject, self.version)?;
            for (id, state) in folded.file.entries {
                if entries.contains_key(&id) {
                    classes.insert(id, Class::of(&state.entry));
                }
            }
        }
        Ok(classes)
    }
}

/// Entries that stand as they are shown, with their classes.
pub(crate) fn as_shown(entries: Vec<EntryState>) -> Vec<(EntryState, Vec<Class>)> {
    let with_class = |state: EntryState| {
        let class = Class::of(&state.entry);
        (state, vec![class])
    };
    entries.into_iter().map(with_class).collect()
}

#[cfg(test)]
mod tests;
