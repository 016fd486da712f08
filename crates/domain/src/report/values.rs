//! Checks of the values that all kinds share.

use super::{Path, Report};
use crate::check;
use crate::finding::code;
use crate::id::EntryId;
use crate::limits::{MAX_CODE, MAX_CODINGS, MAX_ITEMS, MAX_SHORT_TEXT, MAX_URI};
use crate::value::{
    Actor, CodeableConcept, Coding, Effective, FhirDateTime, Period, Quantity, SourceId,
};

const COMPARATORS: &[&str] = &["<", "<=", ">=", ">"];

impl Report {
    pub(crate) fn coding(&mut self, at: &Path<'_>, coding: &Coding) {
        self.line(&at.field("system"), &coding.system, MAX_URI);
        self.optional_line(&at.field("version"), coding.version.as_deref(), MAX_CODE);
        self.line(&at.field("code"), &coding.code, MAX_CODE);
        self.optional_line(&at.field("display"), coding.display.as_deref(), MAX_SHORT_TEXT);
        if let Some(fault) = check::coding(&coding.system, &coding.code) {
            self.remark(&at.field("code"), fault.code, fault.text);
        }
    }

    pub(crate) fn concept(&mut self, at: &Path<'_>, concept: &CodeableConcept) {
        if concept.is_empty() {
            self.required(at, "give a code or a text, or leave it out");
        }
        self.each(&at.field("coding"), &concept.coding, MAX_CODINGS, Self::coding);
        self.optional_lines(&at.field("text"), concept.text.as_deref(), MAX_SHORT_TEXT);
    }

    pub(crate) fn optional_concept(&mut self, at: &Path<'_>, concept: Option<&CodeableConcept>) {
        if let Some(concept) = concept {
            self.concept(at, concept);
        }
    }

    pub(crate) fn concepts(&mut self, at: &Path<'_>, concepts: &[CodeableConcept]) {
        self.each(at, concepts, MAX_ITEMS, Self::concept);
    }

    pub(crate) fn date_time(&mut self, date_time: Option<&FhirDateTime>) {
        if let Some(date_time) = date_time {
            self.count(date_time.as_str().len());
        }
    }

    pub(crate) fn period(&mut self, at: &Path<'_>, period: Option<&Period>) {
        let Some(period) = period else { return };
        self.date_time(period.start.as_ref());
        self.date_time(period.end.as_ref());
        match (&period.start, &period.end) {
            (None, None) => self.required(at, "give a start or an end, or leave it out"),
            (Some(start), Some(end)) if start.is_after(end) => {
                self.violation(at, code::PERIOD_REVERSED, "it ends before it begins");
            }
            (Some(_), _) | (None, Some(_)) => {}
        }
    }

    pub(crate) fn effective(&mut self, at: &Path<'_>, effective: Option<&Effective>) {
        match effective {
            None => {}
            Some(Effective::At(date_time)) => self.date_time(Some(date_time)),
            Some(Effective::During(period)) => self.period(at, Some(period)),
        }
    }

    pub(crate) fn quantity(&mut self, at: &Path<'_>, quantity: &Quantity) {
        self.count(quantity.value.as_str().len());
        self.one_of(&at.field("comparator"), quantity.comparator.as_deref(), COMPARATORS);
        self.optional_line(&at.field("unit"), quantity.unit.as_deref(), MAX_SHORT_TEXT);
        self.optional_line(&at.field("system"), quantity.system.as_deref(), MAX_URI);
        self.optional_line(&at.field("code"), quantity.code.as_deref(), MAX_CODE);
        match (&quantity.system, &quantity.code) {
            (Some(system), Some(unit)) => {
                if let Some(fault) = check::coding(system, unit) {
                    self.remark(&at.field("code"), fault.code, fault.text);
                }
            }
            // FHIR R4 qty-3.
            (None, Some(_)) => {
                self.required(&at.field("system"), "name the system of the unit's code");
            }
            (Some(_) | None, None) => {}
        }
    }

    pub(crate) fn optional_quantity(&mut self, at: &Path<'_>, quantity: Option<&Quantity>) {
        if let Some(quantity) = quantity {
            self.quantity(at, quantity);
        }
    }

    pub(crate) fn actor(&mut self, at: &Path<'_>, actor: &Actor) {
        let reference = at.field("reference");
        // FHIR R4 lets a reference be a name alone: who takes part is often known by nothing else.
        if actor.reference.is_empty() {
            self.count(0);
            if actor.display.is_none() {
                self.required(&reference, "give a reference or a name to show, or leave it out");
            }
        } else {
            self.line(&reference, &actor.reference, MAX_URI);
        }
        self.optional_line(&at.field("display"), actor.display.as_deref(), MAX_SHORT_TEXT);
        if let Some(fault) = check::reference(&actor.reference) {
            self.remark(&reference, fault.code, fault.text);
        }
    }

    pub(crate) fn optional_actor(&mut self, at: &Path<'_>, actor: Option<&Actor>) {
        if let Some(actor) = actor {
            self.actor(at, actor);
        }
    }

    pub(crate) fn actors(&mut self, at: &Path<'_>, actors: &[Actor]) {
        self.each(at, actors, MAX_ITEMS, Self::actor);
    }

    pub(crate) fn entry_ids(&mut self, at: &Path<'_>, ids: &[EntryId]) {
        self.each(at, ids, MAX_ITEMS, Self::entry_id);
    }

    pub(crate) fn optional_entry_id(&mut self, at: &Path<'_>, id: Option<&EntryId>) {
        if let Some(id) = id {
            self.entry_id(at, id);
        }
    }

    fn entry_id(&mut self, at: &Path<'_>, id: &EntryId) {
        self.count(id.0.len());
        if *id == EntryId::ZERO {
            self.required(at, "name an entry of this file, or leave it out");
        }
    }

    pub(crate) fn source(&mut self, at: &Path<'_>, source: Option<&SourceId>) {
        if let Some(source) = source {
            self.line(&at.field("system"), &source.system, MAX_URI);
            self.line(&at.field("value"), &source.value, MAX_URI);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(reference: &str, display: Option<&str>) -> Vec<(String, String)> {
        let display = display.map(str::to_owned);
        let mut report = Report::default();
        let actor = Actor { reference: reference.to_owned(), display };
        report.actor(&Path::Root("recorder"), &actor);
        let faults = report.finish("entry").into_iter();
        faults.map(|finding| (finding.field, finding.code)).collect()
    }

    #[test]
    fn an_actor_may_be_known_by_name_alone() {
        assert_eq!(faults("", Some("St. Elsewhere")), []);
        assert_eq!(faults("Organization/7", None), []);
        let required = |field: &str| vec![(field.to_owned(), code::REQUIRED.to_owned())];
        assert_eq!(faults("", None), required("recorder.reference"));
        assert_eq!(faults("", Some(" ")), required("recorder.display"));
        assert_eq!(faults(" ", Some("St. Elsewhere")), required("recorder.reference"));
    }
}
