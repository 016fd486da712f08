//! One value of everything, with every field filled: what the golden bytes are of.

use domain::*;

use crate::{AccessKind, AccessRecord, Outcome};

pub(super) fn at(text: &str) -> Option<FhirDateTime> {
    FhirDateTime::parse(text).ok()
}

pub(super) fn words(text: &str) -> Option<String> {
    Some(text.to_owned())
}

pub(super) fn coding() -> Coding {
    Coding {
        system: "http://loinc.org".to_owned(),
        version: words("2.75"),
        code: "8480-6".to_owned(),
        display: words("Systolic"),
    }
}

pub(super) fn concept() -> CodeableConcept {
    CodeableConcept { coding: vec![coding()], text: words("systolic pressure") }
}

pub(super) fn period() -> Option<Period> {
    Some(Period { start: at("2019-05"), end: at("2019-05-07T10:00:00.5+02:00") })
}

pub(super) fn quantity() -> Quantity {
    Quantity {
        value: Decimal::parse("1.00").unwrap(),
        comparator: words("<"),
        unit: words("mmHg"),
        system: words("http://unitsofmeasure.org"),
        code: words("mm[Hg]"),
    }
}

pub(super) fn actor() -> Actor {
    Actor { reference: "Practitioner/7".to_owned(), display: words("Dr. Who") }
}

pub(super) fn source() -> SourceId {
    SourceId { system: "urn:source".to_owned(), value: "42".to_owned() }
}

pub(super) fn identity() -> Identity {
    Identity {
        identifiers: vec![Identifier {
            system: "urn:mrn".to_owned(),
            value: "1001".to_owned(),
            r#use: words("usual"),
            kind: Some(concept()),
            period: period(),
        }],
        names: vec![HumanName {
            r#use: words("official"),
            text: words("Ada King"),
            family: words("King"),
            given: vec!["Augusta".to_owned(), "Ada".to_owned()],
            prefix: vec!["Lady".to_owned()],
            suffix: vec!["Countess".to_owned()],
            period: period(),
        }],
        preferred_name: words("Ada"),
        birth_date: at("1815-12-10"),
        deceased: at("1852-11-27").map(Deceased::At),
        sex: words("female"),
        sex_at_birth: words("F"),
        gender_identity: Some(concept()),
        language: Some(coding()),
        interpreter_needed: Some(false),
        addresses: vec![Address {
            r#use: words("home"),
            line: vec!["12 St James's Square".to_owned()],
            city: words("London"),
            district: words("Westminster"),
            state: words("England"),
            postal_code: words("SW1Y"),
            country: words("GB"),
            text: words("12 St James's Square, London"),
            period: period(),
        }],
        telecoms: vec![ContactPoint {
            system: words("phone"),
            value: "+44 20".to_owned(),
            r#use: words("home"),
            rank: Some(1),
            period: period(),
        }],
        unidentified: true,
        alias: words("Enchantress"),
        confidential_telecoms: vec![ContactPoint {
            system: words("phone"),
            value: "555-0199".to_owned(),
            r#use: None,
            rank: None,
            period: None,
        }],
        confidential_addresses: vec![Address { city: words("Elsewhere"), ..Address::default() }],
        labels: vec![coding()],
        source: Some(source()),
        delivered: Some([9; 32]),
    }
}

pub(super) fn entry(detail: Detail) -> Entry {
    Entry {
        status: words("active"),
        code: concept(),
        effective: period().map(Effective::During),
        recorded_date: at("2019"),
        recorder: Some(actor()),
        asserter: Some(actor()),
        verifier: Some(actor()),
        encounter: Some(EntryId([3; 16])),
        unit: words("ICU"),
        labels: vec![coding()],
        source: Some(source()),
        delivered: Some([9; 32]),
        note: words("seen twice"),
        detail,
        findings: vec![Finding {
            code: "ucum-unit".to_owned(),
            severity: Severity::Remark,
            field: "detail.value.code".to_owned(),
            text: "no UCUM unit".to_owned(),
        }],
        overrides: vec![Override { finding_code: "npi".to_owned(), reason: "foreign".to_owned() }],
    }
}

/// Every kind with every field filled.
pub(super) fn details() -> Vec<Detail> {
    let (reason, reason_reference) = (vec![concept()], vec![EntryId([4; 16])]);
    vec![
        Detail::Condition(Condition {
            verification_status: words("confirmed"),
            category: vec![concept()],
            severity: Some(concept()),
            body_site: vec![concept()],
            abatement: at("2020").map(Effective::At),
        }),
        Detail::AllergyIntolerance(AllergyIntolerance {
            verification_status: words("confirmed"),
            r#type: words("allergy"),
            category: vec!["food".to_owned()],
            criticality: words("high"),
            last_occurrence: at("2018"),
            reaction: vec![Reaction {
                substance: Some(concept()),
                manifestation: vec![concept()],
                severity: words("mild"),
                onset: at("2018-01"),
                description: words("hives"),
            }],
        }),
        order(),
        Detail::Procedure(Procedure {
            category: Some(concept()),
            body_site: vec![concept()],
            performer: vec![actor()],
            reason: reason.clone(),
            reason_reference: reason_reference.clone(),
            outcome: Some(concept()),
        }),
        observation(),
        Detail::Immunization(Immunization {
            lot_number: words("L1"),
            expiration_date: at("2027-01-01"),
            site: Some(concept()),
            route: Some(concept()),
            dose_quantity: Some(quantity()),
            performer: vec![actor()],
            primary_source: Some(true),
            status_reason: Some(concept()),
            protocol_dose: words("2"),
        }),
        Detail::Encounter(Encounter {
            class: coding(),
            priority: Some(concept()),
            participant: vec![actor()],
            reason,
            reason_reference,
            service_provider: Some(actor()),
            location: vec![actor()],
            discharge_disposition: Some(concept()),
            length: Some(quantity()),
        }),
        Detail::Note(Note {
            title: words("Handover"),
            author: Some(actor()),
            text: "slept well".to_owned(),
        }),
        care_team(),
        consent(),
        service_request(),
        task(),
    ]
}

fn care_team() -> Detail {
    Detail::CareTeam(CareTeam {
        name: words("Ward 7"),
        participant: vec![CareTeamParticipant {
            member: actor(),
            role: Some(concept()),
            period: period(),
        }],
        reason: vec![concept()],
        reason_reference: vec![EntryId([4; 16])],
        managing_organization: vec![actor()],
    })
}

fn consent() -> Detail {
    Detail::Consent(Consent {
        scope: concept(),
        performer: vec![actor()],
        organization: vec![actor()],
        policy_rule: Some(concept()),
        provision: vec![Provision {
            r#type: "deny".to_owned(),
            period: period(),
            actor: vec![actor()],
            purpose: vec![coding()],
        }],
    })
}

fn service_request() -> Detail {
    Detail::ServiceRequest(ServiceRequest {
        intent: words("order"),
        category: vec![concept()],
        priority: words("urgent"),
        performer_type: Some(concept()),
        performer: vec![actor()],
        body_site: vec![concept()],
        location: vec![actor()],
        reason: vec![concept()],
        reason_reference: vec![EntryId([4; 16])],
    })
}

fn task() -> Detail {
    Detail::Task(Task {
        intent: words("order"),
        priority: words("asap"),
        description: words("Arrange transport"),
        focus: Some(EntryId([4; 16])),
        based_on: vec![EntryId([3; 16])],
        owner: Some(actor()),
        restriction: period(),
        reason: vec![concept()],
        reason_reference: vec![EntryId([4; 16])],
    })
}

fn order() -> Detail {
    Detail::MedicationRequest(MedicationRequest {
        intent: words("order"),
        priority: words("stat"),
        reason: vec![concept()],
        reason_reference: vec![EntryId([4; 16])],
        dosage_instruction: vec![Dosage {
            text: words("one daily"),
            timing_text: words("mornings"),
            as_needed: Some(true),
            route: Some(concept()),
            dose: Some(quantity()),
            patient_instruction: words("with food"),
        }],
        dispense_quantity: Some(quantity()),
    })
}

pub(super) fn observation() -> Detail {
    let component =
        |value| Component { code: concept(), value: Some(value), data_absent_reason: None };
    Detail::Observation(Observation {
        category: vec![concept()],
        value: Some(ObservationValue::Quantity(quantity())),
        data_absent_reason: Some(concept()),
        interpretation: vec![concept()],
        body_site: Some(concept()),
        method: Some(concept()),
        reference_range: vec![ReferenceRange {
            low: Some(quantity()),
            high: Some(quantity()),
            text: words("usual"),
        }],
        component: vec![
            component(ObservationValue::CodeableConcept(concept())),
            component(ObservationValue::String("words".to_owned())),
            component(ObservationValue::Boolean(true)),
            component(ObservationValue::Integer(-7)),
            component(ObservationValue::DateTime(at("2019-05").unwrap())),
            component(ObservationValue::Period(period().unwrap())),
        ],
        issued: at("2019-05-07T10:00:00Z"),
    })
}

/// One document of each kind.
pub(super) fn documents() -> Vec<Document> {
    let factor = |level: &str| RiskFactor { level: level.to_owned(), text: "seen".to_owned() };
    let assessment = RiskAssessment {
        nature: factor("low"),
        recipient: factor("medium"),
        acquired: factor("high"),
        mitigated: factor("low"),
        conclusion: "breach".to_owned(),
    };
    let notice = Notice {
        recipient: "individual".to_owned(),
        notice_time: 1_700_000_000_000_000,
        how: "first-class mail".to_owned(),
    };
    let incident = PrivacyIncident {
        title: "Files of colleagues".to_owned(),
        description: "Opened out of curiosity".to_owned(),
        discover_time: 1_690_000_000_000_000,
        access_positions: vec![3, 300, 70_000],
        assessment: Some(assessment),
        notices: vec![notice],
        closure: words("everybody was told"),
    };
    vec![
        Document::AccessPolicy(AccessPolicy {
            status: "draft".to_owned(),
            text: "permit (principal, action, resource);".to_owned(),
        }),
        Document::BreakGlassReview(BreakGlassReview {
            person: "jdoe".to_owned(),
            verdict: "justified".to_owned(),
            text: "nobody else was at hand".to_owned(),
        }),
        Document::PrivacyIncident(incident),
        Document::PractitionerRole(PractitionerRole {
            person: "ada".to_owned(),
            name: "Ada Lovelace".to_owned(),
            references: vec!["Practitioner/7".to_owned()],
            roles: vec!["nurse".to_owned()],
            units: vec!["ward 7".to_owned()],
            organization: words("st-james"),
            period: period(),
            patient: Some(PatientId([5; 16])),
            duties: vec![Duty {
                unit: "ward 8".to_owned(),
                period: Period {
                    start: at("2019-05-06T20:00:00+02:00"),
                    end: at("2019-05-07T08:00:00+02:00"),
                },
            }],
        }),
    ]
}

pub(super) fn events() -> Vec<(String, Event)> {
    let id = EntryId([2; 16]);
    let changed = vec!["status".to_owned()];
    let reason = "heard wrong".to_owned();
    let mut events: Vec<(String, Event)> = details()
        .into_iter()
        .map(|detail| {
            let name = format!("event-entry-added-{}", detail.kind().name().replace('_', "-"));
            (name, Event::EntryAdded { id, entry: entry(detail) })
        })
        .collect();
    let note = Detail::Note(Note { text: "t".to_owned(), ..Note::default() });
    let others = [
        ("event-patient-registered", Event::PatientRegistered { identity: identity() }),
        (
            "event-identity-amended",
            Event::IdentityAmended {
                identity: Identity { deceased: Some(Deceased::No), ..Identity::default() },
                changed: changed.clone(),
                how: Amendment::Augmentation,
                reason: reason.clone(),
            },
        ),
        (
            "event-entry-amended",
            Event::EntryAmended {
                id,
                entry: Entry { detail: note, ..Entry::default() },
                changed,
                how: Amendment::Correction,
                reason: reason.clone(),
            },
        ),
        ("event-entry-retracted", Event::EntryRetracted { id, reason }),
        (
            "event-identifier-assigned",
            Event::IdentifierAssigned {
                identifier_system: "urn:mrn".to_owned(),
                identifier_value: "1001".to_owned(),
                patient: PatientId([5; 16]),
            },
        ),
        (
            "event-identifier-released",
            Event::IdentifierReleased {
                identifier_system: "urn:mrn".to_owned(),
                identifier_value: "1001".to_owned(),
                patient: PatientId([5; 16]),
            },
        ),
    ];
    events.extend(others.map(|(name, event)| (name.to_owned(), event)));
    events.extend(documents().into_iter().map(|document| {
        let kind = document.kind();
        // The second form: the bytes of the first are kept, to be read.
        let form = if kind == DocumentKind::PractitionerRole { "-2" } else { "" };
        let name = format!("event-document-filed-{}{form}", kind.name().replace('_', "-"));
        let (id, author) = (DocumentId([7; 16]), "ada".to_owned());
        (name, Event::DocumentFiled { id, document, author, reason: "as agreed".to_owned() })
    }));
    events
}

pub(super) fn stamp(version: u64) -> Stamp {
    Stamp { position: 300, version, recorded_at: 1_700_000_000_000_000, actor: [6; 16] }
}

pub(super) fn state() -> EntryState {
    EntryState {
        id: EntryId([2; 16]),
        entry: entry(observation()),
        revision: 3,
        filed: stamp(2),
        changed: stamp(4),
        last_change: Some(Change {
            fields: vec!["note".to_owned()],
            how: Amendment::Amendment,
            reason: "asked".to_owned(),
        }),
        retracted: words("wrong patient"),
    }
}

pub(super) fn access() -> AccessRecord {
    AccessRecord {
        kind: AccessKind::Denied,
        person: words("ada"),
        service: "console".to_owned(),
        roles: vec!["nurse".to_owned()],
        organisation: "st-james".to_owned(),
        purpose: "TREAT".to_owned(),
        reason: words("round"),
        relationship: words("care-team"),
        operation: "PatientFileService/GetPatientFile".to_owned(),
        outcome: Outcome::NotFound,
        request: vec![0, 1, 255],
        position: 300,
        trail: 0,
        answered_at: 0,
        first_version: 1,
        version: 4,
        policy_version: "roles-1".to_owned(),
        deciding: vec!["rule-7".to_owned()],
        masked: vec!["labels:R".to_owned()],
        answer_format: 1,
        count: 50,
        answer_digest: [8; 32],
        told: words("NOTHING_CHANGED"),
        network: words("10.0.0.7"),
        issuer: words("https://idp.example"),
        emergency: Some([9; 16]),
        circumstances: vec!["employed".to_owned(), "vip".to_owned()],
    }
}
