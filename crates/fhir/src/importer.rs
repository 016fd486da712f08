//! From a resource to an item.

use std::sync::Arc;

use api::v1;
use api::v1::import_item::Content;
use api::v1::patient_selector::Patient;
use prost::Message;

use crate::directory::Directory;
use crate::fields::Fields;
use crate::kind;
use crate::patient;
use crate::read::{Phase, Resource};
use crate::refusal::Refusal;

/// Largest item sent, in bytes: the limit of a record's body on the server. A larger one would be
/// refused there, and beyond 4 MiB it would end the whole stream.
pub const MAX_ITEM: usize = 256 * 1024;

/// What became of a resource.
#[derive(Debug)]
pub struct Mapped {
    /// An item to send, or why there is none.
    pub outcome: Outcome,
    /// Paths of elements that have no place in the item, such as `Condition.stage`; each once.
    pub not_carried: Vec<String>,
    /// Key of the Patient of this import whose it is, if it is known.
    pub patient: Option<Arc<str>>,
}

/// An item to send, or why there is none.
#[derive(Debug)]
pub enum Outcome {
    /// To be sent.
    Item(Box<v1::ImportItem>),
    /// Cannot be sent.
    Refused(Refusal),
}

/// Turns the resources of one import into items.
#[derive(Debug)]
pub struct Importer {
    source: String,
    directory: Directory,
}

impl Importer {
    /// An import from the system with this URI; it stands in the source id of every item, so that
    /// a later import from the same system finds them again.
    #[must_use]
    pub fn new(source: &str) -> Self {
        Self { source: source.to_owned(), directory: Directory::default() }
    }

    /// Remembers what others will refer to. Every resource must pass here before any is mapped.
    pub fn learn(&mut self, resource: &Resource) {
        match resource.phase() {
            Phase::Patients => {
                self.directory.learn(resource);
                // a patient without a usable number is refused when it is mapped
                let Ok(mut fields) = Fields::of(&resource.json) else { return };
                let identifiers = patient::identifiers(&mut fields).unwrap_or_default();
                if let Some(number) = patient::number(&identifiers) {
                    let numbers = patient::numbers(&identifiers);
                    let who = patient::who(&mut fields);
                    let standing = patient::standing(&mut fields);
                    self.directory.learn_patient(
                        resource,
                        &number,
                        numbers,
                        who.as_deref(),
                        standing,
                    );
                }
            }
            Phase::Encounters | Phase::Entries => self.directory.learn(resource),
            Phase::NotImported => {}
        }
    }

    /// The item for a resource; `number` is the caller's, for finding the result again.
    #[must_use]
    pub fn map(&self, resource: &Resource, number: u64) -> Mapped {
        self.try_map(resource, number).unwrap_or_else(|refusal| Mapped {
            outcome: Outcome::Refused(refusal),
            not_carried: Vec::new(),
            patient: None,
        })
    }

    fn try_map(&self, resource: &Resource, number: u64) -> Result<Mapped, Refusal> {
        let key = resource.source_key().ok_or_else(|| {
            Refusal::new("NO_ID", "id", "the resource has no id, so it could not be found again")
        })?;
        let source = self.source_id(key.clone());
        let mut fields = Fields::of(&resource.json)?;
        let mut item =
            v1::ImportItem { number, source: Some(source.clone()), ..Default::default() };
        let (number, patient) = match resource.phase() {
            Phase::Patients => {
                let (identity, number) = patient::identity(&mut fields, source)?;
                self.directory.stands_alone(&key)?;
                item.content = Some(Content::Identity(Box::new(identity)));
                (number, Some(key.into()))
            }
            Phase::Encounters | Phase::Entries | Phase::NotImported => {
                let mut draft = kind::draft(&resource.resource_type, &mut fields, &self.directory)?;
                draft.entry.source = Some(source);
                item.encounter = draft.encounter.map(|key| self.source_id(key));
                item.reason_references =
                    draft.reasons.into_iter().map(|key| self.source_id(key)).collect();
                item.focus = draft.focus.map(|key| self.source_id(key));
                item.based_on = draft.based_on.into_iter().map(|key| self.source_id(key)).collect();
                item.content = Some(Content::Entry(Box::new(draft.entry)));
                draft.patient
            }
        };
        item.patient = Some(v1::PatientSelector { patient: Some(Patient::Number(number)) });
        if item.encoded_len() > MAX_ITEM {
            let limit = MAX_ITEM / 1024;
            return Err(Refusal::new("TOO_LARGE", "", format!("the resource exceeds {limit} KiB")));
        }
        let kind = &resource.resource_type;
        let paths = fields.not_carried().into_iter().map(|path| format!("{kind}.{path}"));
        let outcome = Outcome::Item(Box::new(item));
        Ok(Mapped { outcome, not_carried: paths.collect(), patient })
    }

    fn source_id(&self, value: String) -> v1::SourceId {
        v1::SourceId { system: self.source.clone(), value }
    }
}

#[cfg(test)]
mod tests;
