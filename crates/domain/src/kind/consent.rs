//! What the patient agreed to or restricted (FHIR R4 `Consent`).

use super::{Rules, line, when};
use crate::augmentation::adds;
use crate::entry::Entry;
use crate::finding::code;
use crate::limits::MAX_ITEMS;
use crate::report::{Path, Report};
use crate::value::{Actor, CodeableConcept, Coding, Period};

/// The fields that only a consent has. `Entry.code` is its category, `Entry.effective` when it was
/// given (FHIR `dateTime`). A restriction that the hospital agreed to (45 CFR 164.522(a)) is a consent
/// whose provision denies.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Consent {
    /// What it is about: code system `http://terminology.hl7.org/CodeSystem/consentscope`; must be given.
    pub scope: CodeableConcept,
    /// Who agreed: the patient, or whoever may for them.
    pub performer: Vec<Actor>,
    /// Which organisations keep it.
    pub organization: Vec<Actor>,
    /// The law or policy that it rests on (FHIR `policyRule`), such as 45 CFR 164.522(a).
    pub policy_rule: Option<CodeableConcept>,
    /// What is permitted or denied: the rule first, then the exceptions to it. Of those that match
    /// somebody and their purpose, the last one holds.
    pub provision: Vec<Provision>,
}

/// What a consent permits or denies (FHIR R4 `Consent.provision`). What is left out limits nothing.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Provision {
    /// `permit` or `deny`; must be given.
    pub r#type: String,
    /// From when until when it holds.
    pub period: Option<Period>,
    /// For whom: persons (`Practitioner/…`), everybody in a role (`PractitionerRole/nurse`), or
    /// everybody of an organisation (`Organization/…`).
    pub actor: Vec<Actor>,
    /// For which purposes and their kinds, code system
    /// `http://terminology.hl7.org/CodeSystem/v3-ActReason`.
    pub purpose: Vec<Coding>,
}

const TYPES: &[&str] = &["deny", "permit"];

adds!(Consent { scope, performer, organization, policy_rule, provision });
adds!(Provision { r#type, period, actor, purpose });

impl Rules for Consent {
    const STATUSES: &'static [&'static str] =
        &["draft", "proposed", "active", "rejected", "inactive"];
    const FINAL: &'static [&'static str] = &["rejected", "inactive"];
    const STATUS_REQUIRED: bool = true;
    const CODE_REQUIRED: bool = false;

    fn check(&self, _: &Entry, report: &mut Report) {
        let detail = Path::Root("detail");
        report.concept(&detail.field("scope"), &self.scope);
        report.actors(&detail.field("performer"), &self.performer);
        report.actors(&detail.field("organization"), &self.organization);
        report.optional_concept(&detail.field("policy_rule"), self.policy_rule.as_ref());
        let provision = detail.field("provision");
        report.each(&provision, &self.provision, MAX_ITEMS, check_provision);
    }

    fn summary(&self, entry: &Entry) -> String {
        let rule = self.provision.first().map(|provision| provision.r#type.as_str());
        let basis = self.policy_rule.as_ref().map(CodeableConcept::words);
        let given = when(entry.effective.as_ref());
        line(self.scope.words(), [rule, basis, entry.status.as_deref(), given.as_deref()])
    }
}

fn check_provision(report: &mut Report, at: &Path<'_>, provision: &Provision) {
    report.one_of(&at.field("type"), Some(&provision.r#type), TYPES);
    report.period(&at.field("period"), provision.period.as_ref());
    let actor = at.field("actor");
    report.each(&actor, &provision.actor, MAX_ITEMS, |report, at, actor| {
        report.actor(at, actor);
        // A name is nobody who could be kept out.
        if actor.reference.is_empty() {
            let text = "a provision names whom it is for by a reference";
            report.violation(&at.field("reference"), code::REQUIRED, text);
        }
    });
    report.each(&at.field("purpose"), &provision.purpose, MAX_ITEMS, Report::coding);
}
