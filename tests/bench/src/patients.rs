//! Invented patients without end: the entries of `deploy/samples`, drawn by chance from a seed, so
//! that sizes, codes and scripts are as mixed as there.

use std::path::Path;

use anyhow::{Context as _, ensure};
use api::v1;
use api::v1::import_item::Content;
use fhir::{Found, Importer, Outcome, Phase, Resource};

use crate::rng::Rng;

/// Whose numbers the patients have.
const ISSUER: &str = "https://hospital.example/mrn";
/// The system that their items come from.
const SYSTEM: &str = "urn:caseledger:bench";
/// The samples' own mark for what never was true; it would be refused.
const IN_ERROR: &str = "entered-in-error";
/// Largest entry that counts as small, encoded, bytes: what the yardsticks write is as long.
pub(crate) const SMALL: usize = 400;

/// Where patients come from.
#[derive(Clone, Debug)]
pub(crate) struct People {
    identities: Vec<v1::Identity>,
    entries: Vec<v1::Entry>,
    small: Vec<v1::Entry>,
}

impl People {
    /// Reads the sample patients.
    ///
    /// # Errors
    /// When the folder cannot be read or holds none.
    pub(crate) fn from_samples(folder: &Path) -> anyhow::Result<Self> {
        let resources = resources(folder)?;
        let mut importer = Importer::new(SYSTEM);
        resources.iter().for_each(|resource| importer.learn(resource));
        let (mut identities, mut entries) = (Vec::new(), Vec::new());
        for resource in resources.iter().filter(|found| found.phase() != Phase::NotImported) {
            let Outcome::Item(item) = importer.map(resource, 0).outcome else { continue };
            match item.content {
                Some(Content::Identity(identity)) => identities.push(*identity),
                Some(Content::Entry(entry)) if !in_error(&entry) => entries.push(*entry),
                Some(Content::Entry(_)) | None => {}
            }
        }
        let is_small = |entry: &&v1::Entry| prost::Message::encoded_len(*entry) <= SMALL - 64;
        let small: Vec<v1::Entry> = entries.iter().filter(is_small).cloned().collect();
        let enough = !identities.is_empty() && entries.len() > 100 && small.len() > 50;
        ensure!(enough, "{} holds too few patients to draw from", folder.display());
        Ok(Self { identities, entries, small })
    }

    /// The items of patient `number`: identity and `entries` entries. The same for the same numbers.
    ///
    /// # Errors
    /// Never, in fact: there are samples to draw from.
    pub(crate) fn items(&self, number: u64, entries: usize) -> anyhow::Result<Vec<v1::ImportItem>> {
        let mut rng = Rng::seeded(number);
        let mrn = v1::PatientNumber { issuer: ISSUER.to_owned(), value: format!("BENCH-{number}") };
        let mut identity = rng.pick(&self.identities).context("no sample patient")?.clone();
        identity.identifiers = vec![v1::Identifier {
            issuer: mrn.issuer.clone(),
            value: mrn.value.clone(),
            ..v1::Identifier::default()
        }];
        identity.source = Some(source(number, 0));
        let item = |place: usize, content| v1::ImportItem {
            source: Some(source(number, place)),
            patient: Some(v1::PatientSelector {
                patient: Some(v1::patient_selector::Patient::Number(mrn.clone())),
            }),
            content: Some(content),
            ..v1::ImportItem::default()
        };
        let mut items = vec![item(0, Content::Identity(Box::new(identity)))];
        for place in 1..=entries {
            let mut entry = rng.pick(&self.entries).context("no sample entry")?.clone();
            entry.source = Some(source(number, place));
            items.push(item(place, Content::Entry(Box::new(entry))));
        }
        Ok(items)
    }

    /// One small entry to be added, unlike any other.
    ///
    /// # Errors
    /// Never, in fact: there are samples to draw from.
    pub(crate) fn small_change(&self, rng: &mut Rng) -> anyhow::Result<v1::Change> {
        let mut entry = rng.pick(&self.small).context("no small sample entry")?.clone();
        entry.source = None;
        entry.note = format!("measured {:016x}", rng.next());
        let add = v1::AddEntry { entry: Some(entry) };
        Ok(v1::Change { change: Some(v1::change::Change::AddEntry(add)) })
    }
}

fn source(patient: u64, place: usize) -> v1::SourceId {
    v1::SourceId { system: SYSTEM.to_owned(), value: format!("{patient}/{place}") }
}

fn in_error(entry: &v1::Entry) -> bool {
    use v1::entry::Detail::{AllergyIntolerance, Condition};
    entry.status == IN_ERROR
        || match &entry.detail {
            Some(AllergyIntolerance(detail)) => detail.verification_status == IN_ERROR,
            Some(Condition(detail)) => detail.verification_status == IN_ERROR,
            _ => false,
        }
}

fn resources(folder: &Path) -> anyhow::Result<Vec<Resource>> {
    let read = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files: Vec<_> = read.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let mut resources = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "json")) {
        for found in fhir::read(file).with_context(|| file.display().to_string())? {
            if let Found::Resource(resource) = found? {
                resources.push(resource);
            }
        }
    }
    Ok(resources)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people() -> People {
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/samples");
        People::from_samples(&samples).unwrap()
    }

    #[test]
    fn the_same_number_is_the_same_patient() {
        let people = people();
        let once = people.items(7, 20).unwrap();
        assert_eq!(once, people.items(7, 20).unwrap());
        assert_eq!(once.len(), 21);
        assert_ne!(once, people.items(8, 20).unwrap());
    }

    #[test]
    fn a_small_entry_is_small_and_unlike_the_next() {
        let (people, mut rng) = (people(), Rng::seeded(1));
        let changes: Vec<_> = (0..100).map(|_| people.small_change(&mut rng).unwrap()).collect();
        assert!(changes.iter().all(|change| prost::Message::encoded_len(change) <= SMALL));
        assert_ne!(changes[0], changes[1]);
    }
}
