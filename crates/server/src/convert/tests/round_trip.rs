//! Every field of every message survives: a fully filled message goes in and comes out the same.

use api::v1 as proto;
use api::v1::entry::Detail;
use api::v1::observation_value::Value;

use crate::convert::entry::{entry_in, entry_out};
use crate::convert::identity::{identity_in, identity_out};
use crate::convert::staff::{practitioner_role_in, practitioner_role_out};
use crate::convert::{At, Report};

const ID: &str = "0102030405060708090a0b0c0d0e0f10";

fn coding(code: &str) -> proto::Coding {
    proto::Coding {
        system: "http://snomed.info/sct".into(),
        version: "2026".into(),
        code: code.into(),
        display: "shown".into(),
    }
}

fn concept(code: &str) -> proto::CodeableConcept {
    proto::CodeableConcept { coding: vec![coding(code), coding("2")], text: "as entered".into() }
}

fn period() -> proto::Period {
    proto::Period { start: "2019".into(), end: "2019-05-30T10:02:03+02:00".into() }
}

fn at(date: &str) -> proto::Effective {
    proto::Effective { value: Some(proto::effective::Value::At(date.into())) }
}

fn quantity(value: &str) -> proto::Quantity {
    proto::Quantity {
        value: value.into(),
        comparator: "<".into(),
        unit: "mg".into(),
        system: "http://unitsofmeasure.org".into(),
        code: "mg".into(),
    }
}

fn actor(name: &str) -> proto::Actor {
    proto::Actor { reference: format!("Practitioner/{name}"), display: name.into() }
}

fn observation() -> proto::Observation {
    let values = [
        Value::Quantity(quantity("1.0")),
        Value::CodeableConcept(concept("v")),
        Value::String("text".into()),
        Value::Boolean(false),
        Value::Integer(0),
        Value::DateTime("2019-05".into()),
        Value::Period(period()),
    ];
    let component = values.into_iter().map(|value| proto::ObservationComponent {
        code: Some(concept("part")),
        value: Some(proto::ObservationValue { value: Some(value) }),
        data_absent_reason: Some(concept("absent")),
    });
    proto::Observation {
        category: vec![concept("vital-signs")],
        value: Some(proto::ObservationValue { value: Some(Value::Quantity(quantity("1.00"))) }),
        data_absent_reason: Some(concept("absent")),
        interpretation: vec![concept("H")],
        body_site: Some(concept("arm")),
        method: Some(concept("cuff")),
        reference_range: vec![proto::ReferenceRange {
            low: Some(quantity("1")),
            high: Some(quantity("2")),
            text: "usual".into(),
        }],
        component: component.collect(),
        issued: "2019-05-30T10:02:03Z".into(),
    }
}

fn treatment() -> [Detail; 4] {
    let medication = proto::MedicationRequest {
        intent: "order".into(),
        priority: "routine".into(),
        reason: vec![concept("pain")],
        reason_reference: vec![ID.into()],
        dosage_instruction: vec![proto::Dosage {
            text: "one".into(),
            timing_text: "daily".into(),
            as_needed: Some(false),
            route: Some(concept("oral")),
            dose: Some(quantity("1")),
            patient_instruction: "with water".into(),
        }],
        dispense_quantity: Some(quantity("30")),
    };
    let procedure = proto::Procedure {
        category: Some(concept("surgical")),
        body_site: vec![concept("hip")],
        performer: vec![actor("a")],
        reason: vec![concept("fracture")],
        reason_reference: vec![ID.into()],
        outcome: Some(concept("good")),
    };
    let immunization = proto::Immunization {
        lot_number: "L1".into(),
        expiration_date: "2027-01".into(),
        site: Some(concept("arm")),
        route: Some(concept("im")),
        dose_quantity: Some(quantity("0.5")),
        performer: vec![actor("n")],
        primary_source: Some(true),
        status_reason: Some(concept("refused")),
        protocol_dose: "2".into(),
    };
    let encounter = proto::Encounter {
        class: Some(coding("AMB")),
        priority: Some(concept("urgent")),
        participant: vec![actor("p")],
        reason: vec![concept("why")],
        reason_reference: vec![ID.into()],
        service_provider: Some(actor("org")),
        location: vec![actor("ward")],
        discharge_disposition: Some(concept("home")),
        length: Some(quantity("3")),
    };
    [
        Detail::MedicationRequest(medication),
        Detail::Procedure(procedure),
        Detail::Immunization(immunization),
        Detail::EncounterDetail(encounter),
    ]
}

fn care_team() -> proto::CareTeam {
    proto::CareTeam {
        name: "ward 7".into(),
        participant: vec![proto::CareTeamParticipant {
            member: Some(actor("n")),
            role: Some(concept("nurse")),
            period: Some(period()),
        }],
        reason: vec![concept("why")],
        reason_reference: vec![ID.into()],
        managing_organization: vec![actor("org")],
    }
}

fn service_request() -> proto::ServiceRequest {
    proto::ServiceRequest {
        intent: "order".into(),
        category: vec![concept("consult")],
        priority: "urgent".into(),
        performer_type: Some(concept("cardiologist")),
        performer: vec![actor("c")],
        body_site: vec![concept("heart")],
        location: vec![actor("ward")],
        reason: vec![concept("why")],
        reason_reference: vec![ID.into()],
    }
}

fn task() -> proto::Task {
    proto::Task {
        intent: "order".into(),
        priority: "asap".into(),
        description: "arrange transport".into(),
        focus: ID.into(),
        based_on: vec![ID.into()],
        owner: Some(actor("o")),
        restriction: Some(period()),
        reason: vec![concept("why")],
        reason_reference: vec![ID.into()],
    }
}

fn consent() -> proto::Consent {
    proto::Consent {
        scope: Some(concept("patient-privacy")),
        performer: vec![actor("p")],
        organization: vec![actor("org")],
        policy_rule: Some(concept("45 CFR 164.522(a)")),
        provision: vec![proto::Provision {
            r#type: "deny".into(),
            period: Some(period()),
            actor: vec![actor("n")],
            purpose: vec![coding("HPAYMT")],
        }],
    }
}

fn details() -> Vec<Detail> {
    let condition = proto::Condition {
        verification_status: "confirmed".into(),
        category: vec![concept("problem")],
        severity: Some(concept("severe")),
        body_site: vec![concept("knee")],
        abatement: Some(proto::Effective {
            value: Some(proto::effective::Value::During(period())),
        }),
    };
    let allergy = proto::AllergyIntolerance {
        verification_status: "confirmed".into(),
        r#type: "allergy".into(),
        category: vec!["food".into()],
        criticality: "high".into(),
        last_occurrence: "2018".into(),
        reaction: vec![proto::Reaction {
            substance: Some(concept("nut")),
            manifestation: vec![concept("hives")],
            severity: "mild".into(),
            onset: "2018-02".into(),
            description: "words".into(),
        }],
    };
    let note =
        proto::Note { title: "t".into(), author: Some(actor("w")), text: "plain text".into() };
    let mut all = vec![
        Detail::Condition(condition),
        Detail::AllergyIntolerance(allergy),
        Detail::Observation(observation()),
        Detail::NoteDetail(note),
        Detail::CareTeam(care_team()),
        Detail::Consent(consent()),
        Detail::ServiceRequest(service_request()),
        Detail::Task(task()),
    ];
    all.extend(treatment());
    all
}

fn entry(detail: Detail) -> proto::Entry {
    proto::Entry {
        status: "active".into(),
        code: Some(concept("73211009")),
        effective: Some(at("2019-05-30")),
        recorder: Some(actor("r")),
        asserter: Some(actor("s")),
        verifier: Some(actor("v")),
        encounter: ID.into(),
        unit: "ward 7".into(),
        labels: vec![coding("R")],
        source: Some(proto::SourceId { system: "urn:x".into(), value: "1".into() }),
        note: "a remark".into(),
        recorded_date: "2019-06".into(),
        findings: Vec::new(),
        overrides: vec![proto::Override {
            finding_code: "snomed-code".into(),
            reason: "local".into(),
        }],
        summary: String::new(),
        detail: Some(detail),
    }
}

#[test]
fn every_kind_survives_with_every_field() {
    let details = details();
    assert_eq!(details.len(), domain::Kind::ALL.len(), "a kind is missing here");
    for detail in details {
        let sent = entry(detail);
        let mut report = Report::default();
        let taken = entry_in(sent.clone(), &At::TOP, &mut report);
        assert_eq!(report.into_violations(), []);
        let back = proto::Entry { summary: String::new(), ..entry_out(&taken.unwrap()) };
        assert_eq!(back, sent);
    }
}

#[test]
fn an_empty_entry_of_a_kind_survives() {
    let sent = proto::Entry {
        code: Some(proto::CodeableConcept::default()),
        detail: Some(Detail::NoteDetail(proto::Note::default())),
        ..proto::Entry::default()
    };
    let mut report = Report::default();
    let taken = entry_in(sent.clone(), &At::TOP, &mut report).unwrap();
    assert_eq!(report.into_violations(), []);
    assert_eq!(proto::Entry { summary: String::new(), ..entry_out(&taken) }, sent);
}

fn identity() -> proto::Identity {
    proto::Identity {
        identifiers: vec![proto::Identifier {
            issuer: "urn:hospital".into(),
            value: "42".into(),
            r#use: "official".into(),
            kind: Some(concept("MR")),
            period: Some(period()),
        }],
        names: vec![proto::HumanName {
            r#use: "official".into(),
            text: "Ada L".into(),
            family: "L".into(),
            given: vec!["Ada".into(), "B".into()],
            prefix: vec!["Dr".into()],
            suffix: vec!["Jr".into()],
            period: Some(period()),
        }],
        preferred_name: "Ada".into(),
        birth_date: "1990".into(),
        deceased: Some(proto::Deceased {
            value: Some(proto::deceased::Value::At("2020-01".into())),
        }),
        sex: "female".into(),
        sex_at_birth: "F".into(),
        gender_identity: Some(concept("f")),
        language: Some(coding("de")),
        interpreter_needed: Some(false),
        addresses: vec![proto::Address {
            r#use: "home".into(),
            text: "whole".into(),
            line: vec!["1 Street".into()],
            city: "C".into(),
            district: "D".into(),
            state: "S".into(),
            postal_code: "1".into(),
            country: "DE".into(),
            period: Some(period()),
        }],
        telecoms: vec![proto::ContactPoint {
            system: "phone".into(),
            value: "1".into(),
            r#use: "home".into(),
            rank: Some(1),
            period: Some(period()),
        }],
        unidentified: true,
        alias: "Unknown-1".into(),
        confidential_telecoms: vec![proto::ContactPoint {
            value: "2".into(),
            ..proto::ContactPoint::default()
        }],
        confidential_addresses: vec![proto::Address {
            text: "elsewhere".into(),
            ..proto::Address::default()
        }],
        labels: vec![coding("CEL")],
        source: Some(proto::SourceId { system: "urn:x".into(), value: "p".into() }),
    }
}

#[test]
fn an_identity_survives_with_every_field() {
    for deceased in [
        identity().deceased,
        Some(proto::Deceased { value: Some(proto::deceased::Value::Flag(true)) }),
        Some(proto::Deceased { value: Some(proto::deceased::Value::Flag(false)) }),
        None,
    ] {
        let sent = proto::Identity { deceased, ..identity() };
        let mut report = Report::default();
        let taken = identity_in(sent.clone(), &At::TOP, &mut report).unwrap();
        assert_eq!(report.into_violations(), []);
        assert_eq!(identity_out(&taken), sent);
    }
}

#[test]
fn a_person_of_the_directory_survives_with_every_field() {
    let sent = proto::PractitionerRole {
        person: "jdoe".into(),
        name: "Jo Doe".into(),
        references: vec!["Practitioner/1042".into()],
        roles: vec!["nurse".into()],
        units: vec!["4-west".into()],
        organization: "St James".into(),
        period: Some(period()),
        duties: vec![proto::Duty { unit: "4-east".into(), period: Some(period()) }],
    };
    let mut report = Report::default();
    let taken = practitioner_role_in(sent.clone(), &At::TOP, &mut report).unwrap();
    assert_eq!(report.into_violations(), []);
    let state = domain::DocumentState {
        id: domain::DocumentId([1; 16]),
        document: domain::Document::PractitionerRole(taken.clone()),
        revision: 1,
        filed: domain::Authored::default(),
        changed: domain::Authored::default(),
    };
    assert_eq!(practitioner_role_out(&taken, &state).practitioner_role, Some(sent));
}
