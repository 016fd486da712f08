//! What a set of policies would have masked of an answer that is on the trail.
//!
//! The access record says what was masked, not which entries there were: these are read again, as they
//! were, in the way that a replay reads them.

use std::sync::Arc;

use domain::{EntryId, PatientId};
use quick_cache::sync::Cache;
use schema::{AccessRecord, Outcome};

use super::{Ending, PolicyChange};
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
    /// How an answer that was given would differ in what is masked.
    ///
    /// # Errors
    /// Whatever keeps the entries from being read: a key is not here, a request was too long to be kept.
    pub(super) fn masked_otherwise(
        &self,
        pass: &Pass,
        requester: &Requester,
        (record, patient, pages): (&AccessRecord, Option<PatientId>, &Pages),
        asked: &impl Fn(&AccessRecord) -> Result<Asked, Failure>,
    ) -> Result<Ending, Failure> {
        let Some(patient) = patient.filter(|_| record.version > 0) else { return Ok(Ending::Same) };
        let within = Judged::Within(record.position);
        let would = match Operation::replayed(&record.operation) {
            Some(Operation::GetPatientFile) => {
                let Asked::File(query) = asked(record)? else { return Ok(Ending::Same) };
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
            Some(_) | None => return Ok(Ending::Same),
        };
        Ok(ending(&record.masked, &would.names()))
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

fn ending(then: &[String], would: &[String]) -> Ending {
    let without = |names: &[String], others: &[String]| -> Vec<String> {
        names.iter().filter(|name| !others.contains(name)).cloned().collect()
    };
    let (masked, unmasked) = (without(would, then), without(then, would));
    let change = match (masked.is_empty(), unmasked.is_empty()) {
        (true, true) => return Ending::Same,
        (false, true) => PolicyChange::Masked,
        (true, false) => PolicyChange::Unmasked,
        (false, false) => PolicyChange::MaskedOtherwise,
    };
    Ending::Otherwise { change, masked, unmasked }
}

#[cfg(test)]
mod tests {
    use domain::Kind;

    use super::*;
    use crate::masking::Masked;

    #[test]
    fn what_opens_is_told_beside_what_closes() {
        let [condition, note] = ["condition:", "note:PSY"].map(ToOwned::to_owned);
        let then = [note.clone()];
        let otherwise = |change, masked: &[&String], unmasked: &[&String]| {
            let [masked, unmasked] =
                [masked, unmasked].map(|names| names.iter().map(|name| (*name).clone()).collect());
            Ending::Otherwise { change, masked, unmasked }
        };
        assert_eq!(ending(&then, &then), Ending::Same);
        let more = otherwise(PolicyChange::Masked, &[&condition], &[]);
        assert_eq!(ending(&then, &[condition.clone(), note.clone()]), more);
        let less = otherwise(PolicyChange::Unmasked, &[], &[&note]);
        assert_eq!(ending(&then, &[]), less);
        let both = otherwise(PolicyChange::MaskedOtherwise, &[&condition], &[&note]);
        assert_eq!(ending(&then, std::slice::from_ref(&condition)), both);
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
