//! Generates the kinds' own fields.

use domain::*;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::{
    actor, choice, coding, concept, date_time, effective, entry_id, good_text, period, quantity,
    text,
};

fn condition() -> BoxedStrategy<Detail> {
    let verification = of(choice(&["confirmed", "refuted"]));
    (verification, vec(concept(), 0..2), of(concept()), vec(concept(), 0..2), of(effective()))
        .prop_map(|(verification_status, category, severity, body_site, abatement)| {
            Detail::Condition(Condition {
                verification_status,
                category,
                severity,
                body_site,
                abatement,
            })
        })
        .boxed()
}

fn reaction() -> BoxedStrategy<Reaction> {
    let severity = of(choice(&["mild", "severe"]));
    (of(concept()), vec(concept(), 1..3), severity, of(date_time()), of(text()))
        .prop_map(|(substance, manifestation, severity, onset, description)| Reaction {
            substance,
            manifestation,
            severity,
            onset,
            description,
        })
        .boxed()
}

fn allergy() -> BoxedStrategy<Detail> {
    let verification = of(choice(&["confirmed"]));
    let category = vec(choice(&["food", "medication"]), 0..3);
    let criticality = of(choice(&["low", "high"]));
    let reactions = vec(reaction(), 0..2);
    (verification, of(choice(&["allergy"])), category, criticality, of(date_time()), reactions)
        .prop_map(|(verification_status, r#type, category, criticality, last, reaction)| {
            Detail::AllergyIntolerance(AllergyIntolerance {
                verification_status,
                r#type,
                category,
                criticality,
                last_occurrence: last,
                reaction,
            })
        })
        .boxed()
}

fn dosage() -> BoxedStrategy<Dosage> {
    let words = prop_oneof![text(), Just("10U QD".to_owned()), Just(".5 mg".to_owned())];
    (of(words.clone()), of(words), of(any::<bool>()), of(concept()), of(quantity()), of(text()))
        .prop_map(|(text, timing_text, as_needed, route, dose, patient_instruction)| Dosage {
            text,
            timing_text,
            as_needed,
            route,
            dose,
            patient_instruction,
        })
        .boxed()
}

fn order() -> BoxedStrategy<Detail> {
    let intent = proptest::option::weighted(0.95, choice(&["order", "plan"]));
    let reasons = (vec(concept(), 0..2), vec(entry_id(), 0..2));
    (intent, of(choice(&["stat"])), reasons, vec(dosage(), 0..3), of(quantity()))
        .prop_map(
            |(
                intent,
                priority,
                (reason, reason_reference),
                dosage_instruction,
                dispense_quantity,
            )| {
                Detail::MedicationRequest(MedicationRequest {
                    intent,
                    priority,
                    reason,
                    reason_reference,
                    dosage_instruction,
                    dispense_quantity,
                })
            },
        )
        .boxed()
}

fn procedure() -> BoxedStrategy<Detail> {
    let reasons = (vec(concept(), 0..2), vec(entry_id(), 0..2));
    (of(concept()), vec(concept(), 0..2), vec(actor(), 0..2), reasons, of(concept()))
        .prop_map(|(category, body_site, performer, (reason, reason_reference), outcome)| {
            Detail::Procedure(Procedure {
                category,
                body_site,
                performer,
                reason,
                reason_reference,
                outcome,
            })
        })
        .boxed()
}

fn value() -> BoxedStrategy<ObservationValue> {
    prop_oneof![
        quantity().prop_map(ObservationValue::Quantity),
        concept().prop_map(ObservationValue::CodeableConcept),
        text().prop_map(ObservationValue::String),
        any::<bool>().prop_map(ObservationValue::Boolean),
        any::<i32>().prop_map(ObservationValue::Integer),
        date_time().prop_map(ObservationValue::DateTime),
        period().prop_map(ObservationValue::Period),
    ]
    .boxed()
}

fn range() -> BoxedStrategy<ReferenceRange> {
    (of(quantity()), of(quantity()), of(text()))
        .prop_map(|(low, high, text)| ReferenceRange { low, high, text })
        .boxed()
}

fn component() -> BoxedStrategy<Component> {
    (concept(), of(value()), of(concept()))
        .prop_map(|(code, value, data_absent_reason)| Component { code, value, data_absent_reason })
        .boxed()
}

fn observation() -> BoxedStrategy<Detail> {
    let result = (of(value()), of(concept()), vec(concept(), 0..2));
    let how = (of(concept()), of(concept()), vec(range(), 0..2));
    (vec(concept(), 0..2), result, how, vec(component(), 0..3), of(date_time()))
        .prop_map(|(category, result, how, component, issued)| {
            Detail::Observation(Observation {
                category,
                value: result.0,
                data_absent_reason: result.1,
                interpretation: result.2,
                body_site: how.0,
                method: how.1,
                reference_range: how.2,
                component,
                issued,
            })
        })
        .boxed()
}

fn immunization() -> BoxedStrategy<Detail> {
    let vaccine = (of(good_text()), of(date_time()), of(quantity()));
    let where_to = (of(concept()), of(concept()), vec(actor(), 0..2));
    let rest = (of(any::<bool>()), of(concept()), of(good_text()));
    (vaccine, where_to, rest)
        .prop_map(|(vaccine, where_to, rest)| {
            Detail::Immunization(Immunization {
                lot_number: vaccine.0,
                expiration_date: vaccine.1,
                site: where_to.0,
                route: where_to.1,
                dose_quantity: vaccine.2,
                performer: where_to.2,
                primary_source: rest.0,
                status_reason: rest.1,
                protocol_dose: rest.2,
            })
        })
        .boxed()
}

fn encounter() -> BoxedStrategy<Detail> {
    let why = (of(concept()), vec(concept(), 0..2), vec(entry_id(), 0..2));
    let who = (vec(actor(), 0..2), of(actor()), vec(actor(), 0..2));
    (coding(), why, who, of(concept()), of(quantity()))
        .prop_map(|(class, why, who, discharge_disposition, length)| {
            Detail::Encounter(Encounter {
                class,
                priority: why.0,
                participant: who.0,
                reason: why.1,
                reason_reference: why.2,
                service_provider: who.1,
                location: who.2,
                discharge_disposition,
                length,
            })
        })
        .boxed()
}

fn note() -> BoxedStrategy<Detail> {
    (of(good_text()), of(actor()), text())
        .prop_map(|(title, author, text)| Detail::Note(Note { title, author, text }))
        .boxed()
}

fn care_team() -> BoxedStrategy<Detail> {
    let member = (actor(), of(concept()), of(period()))
        .prop_map(|(member, role, period)| CareTeamParticipant { member, role, period });
    let reasons = (vec(concept(), 0..2), vec(entry_id(), 0..2));
    (of(good_text()), vec(member, 0..3), reasons, vec(actor(), 0..2))
        .prop_map(|(name, participant, (reason, reason_reference), managing_organization)| {
            Detail::CareTeam(CareTeam {
                name,
                participant,
                reason,
                reason_reference,
                managing_organization,
            })
        })
        .boxed()
}

fn consent() -> BoxedStrategy<Detail> {
    let provision =
        (choice(&["permit", "deny"]), of(period()), vec(actor(), 0..2), vec(coding(), 0..2))
            .prop_map(|(r#type, period, actor, purpose)| Provision {
                r#type,
                period,
                actor,
                purpose,
            });
    let who = (vec(actor(), 0..2), vec(actor(), 0..2));
    (concept(), who, of(concept()), vec(provision, 0..3))
        .prop_map(|(scope, (performer, organization), policy_rule, provision)| {
            Detail::Consent(Consent { scope, performer, organization, policy_rule, provision })
        })
        .boxed()
}

fn service_request() -> BoxedStrategy<Detail> {
    let how = (of(choice(&["order", "plan"])), of(choice(&["stat", "routine"])));
    let what = (vec(concept(), 0..2), vec(concept(), 0..2));
    let who = (of(concept()), vec(actor(), 0..3), vec(actor(), 0..2));
    let reasons = (vec(concept(), 0..2), vec(entry_id(), 0..2));
    (how, what, who, reasons)
        .prop_map(|(how, what, who, (reason, reason_reference))| {
            Detail::ServiceRequest(ServiceRequest {
                intent: how.0,
                category: what.0,
                priority: how.1,
                performer_type: who.0,
                performer: who.1,
                body_site: what.1,
                location: who.2,
                reason,
                reason_reference,
            })
        })
        .boxed()
}

fn task() -> BoxedStrategy<Detail> {
    let how = (of(choice(&["order", "plan"])), of(choice(&["stat", "routine"])));
    let about = (of(entry_id()), vec(entry_id(), 0..2));
    let who = (of(actor()), of(period()));
    let reasons = (vec(concept(), 0..2), vec(entry_id(), 0..2));
    (how, of(text()), about, who, reasons)
        .prop_map(|(how, description, about, who, (reason, reason_reference))| {
            Detail::Task(Task {
                intent: how.0,
                priority: how.1,
                description,
                focus: about.0,
                based_on: about.1,
                owner: who.0,
                restriction: who.1,
                reason,
                reason_reference,
            })
        })
        .boxed()
}

pub(super) fn detail() -> BoxedStrategy<Detail> {
    prop_oneof![
        condition(),
        allergy(),
        order(),
        procedure(),
        observation(),
        immunization(),
        encounter(),
        note(),
        care_team(),
        consent(),
        service_request(),
        task(),
    ]
    .boxed()
}
