//! What a set of policies would have masked of an answer that is on the trail.
//!
//! The access record says what was masked, not which entries there were: these are read again, as they
//! were, in the way that a replay reads them.

use std::sync::Arc;

use domain::{EntryId, PatientId};
use quick_cache::sync::Cache;
use schema::{AccessRecord, Outcome};

use super::PolicyChange;
use crate::access::Pass;
use crate::context::{AsOf, Operation};
use crate::engine::Engine;
use crate::failure::Failure;
use crate::masking::{Class, Judged};
use crate::policy::Requester;
use crate::rendered::Of;
use crate::replay::Asked;

/// Pages of files whose entries are remembered in a trial, of some 5 KiB: a file is mostly read by many at
/// one version.
const REMEMBERED: usize = 4_096;

/// Entries with their classes, of pages that were read again lately.
#[derive(Debug)]
pub(super) struct Pages(Cache<Of, Arc<[(EntryId, Class)]>>);

impl Default for Pages {
    fn default() -> Self {
        Self(Cache::new(REMEMBERED))
    }
}

impl Engine {
    /// How an answer that was given would differ in what is masked, if it would.
    ///
    /// # Errors
    /// Whatever keeps the entries from being read: a key is not here, a request was too long to be kept.
    pub(super) fn masked_otherwise(
        &self,
        pass: &Pass,
        requester: &Requester,
        (record, patient, pages): (&AccessRecord, Option<PatientId>, &Pages),
        asked: &impl Fn(&AccessRecord) -> Result<Asked, Failure>,
    ) -> Result<Option<PolicyChange>, Failure> {
        let Some(patient) = patient.filter(|_| record.version > 0) else { return Ok(None) };
        let within = Judged::Within(record.position);
        let would = match Operation::replayed(&record.operation) {
            Some(Operation::GetPatientFile) => {
                let Asked::File(query) = asked(record)? else { return Ok(None) };
                let of = Of::version(0, &query, record.version, record.position);
                let page = pages.0.get_or_insert_with(&of, || {
                    let judged = if query.as_of == AsOf::Now { Judged::Never } else { within };
                    let page = self.load_past(pass, &query, record.version, judged)?;
                    Ok::<_, Failure>(
                        page.entries().map(|(id, class)| (id, class.clone())).collect(),
                    )
                })?;
                requester.masked_among(page.iter().map(|(id, class)| (*id, class)))?
            }
            Some(Operation::GetPatientHistory | Operation::WatchPatientFile) => {
                let part = self.load_history_then(pass, patient, record, within)?;
                requester.masked_among(part.entries())?
            }
            // Their answers have no entries, or show again what was shown.
            Some(_) | None => return Ok(None),
        };
        Ok(change(&record.masked, &would.names()))
    }
}

/// Whether a change that was denied for the entry that it was to change would be let in: all classes that
/// its record names are to be seen.
pub(super) fn may_see_all(requester: &Requester, record: &AccessRecord) -> Option<bool> {
    let mut all = true;
    for name in &record.masked {
        all &= requester.may_see(&Class::named(name)?).ok()?.allowed;
    }
    Some(all)
}

/// Whether a call was denied for the class of an entry that it was to change.
pub(super) fn is_of_entry(record: &AccessRecord) -> bool {
    record.outcome == Outcome::Denied && !record.masked.is_empty()
}

fn change(then: &[String], would: &[String]) -> Option<PolicyChange> {
    if would.iter().any(|name| !then.contains(name)) {
        return Some(PolicyChange::Masked);
    }
    then.iter().any(|name| !would.contains(name)).then_some(PolicyChange::Unmasked)
}

#[cfg(test)]
mod tests {
    use domain::Kind;

    use super::*;
    use crate::masking::Masked;

    #[test]
    fn more_that_is_masked_counts_before_less() {
        let [condition, note] = ["condition:", "note:PSY"].map(ToOwned::to_owned);
        let then = [note.clone()];
        assert_eq!(change(&then, &then), None);
        assert_eq!(change(&then, &[condition.clone(), note]), Some(PolicyChange::Masked));
        assert_eq!(change(&then, &[condition]), Some(PolicyChange::Masked));
        assert_eq!(change(&then, &[]), Some(PolicyChange::Unmasked));
    }

    #[test]
    fn a_class_is_known_by_its_name_if_that_spells_its_labels() {
        let class = Class::named("note:PSY,R").unwrap();
        assert_eq!((class.kind, class.labels.len()), (Kind::Note, 2));
        assert_eq!(Masked::of([&class]).names(), ["note:PSY,R"]);
        assert_eq!(Class::named("condition:").unwrap().labels.len(), 0);
        for unknown in ["note:#00ff", "other note:PSY", "novel:PSY", "note"] {
            assert_eq!(Class::named(unknown), None, "{unknown}");
        }
    }
}
