//! Generates values of every domain type: what a client may send, right or wrong.

use domain::*;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

#[path = "generate/kinds.rs"]
mod kinds;

use kinds::detail;

/// A text: mostly harmless, sometimes what should not be there.
pub(crate) fn text() -> BoxedStrategy<String> {
    prop_oneof![80 => good_text(), 1 => any::<String>(), 1 => Just(String::new())].boxed()
}

fn good_text() -> BoxedStrategy<String> {
    "[a-zA-Zäß][a-zA-Zäß ]{0,11}".boxed()
}

fn choice(values: &'static [&'static str]) -> BoxedStrategy<String> {
    prop_oneof![80 => select(values).prop_map(str::to_owned), 1 => text()].boxed()
}

pub(crate) fn date_time() -> BoxedStrategy<FhirDateTime> {
    let texts = prop_oneof![
        "(19|20)[0-9][0-9]",
        "(19|20)[0-9][0-9]-0[1-9]",
        "(19|20)[0-9][0-9]-(0[1-9]|1[012])-[012][1-8]",
        "(19|20)[0-9][0-9]-0[1-9]-1[0-9]T1[0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-]0[0-9]:30)",
    ];
    texts.prop_map(|text| FhirDateTime::parse(&text).expect("the pattern is that of FHIR")).boxed()
}

pub(crate) fn decimal() -> BoxedStrategy<Decimal> {
    "-?(0|[1-9][0-9]{0,5})(\\.[0-9]{1,4})?([eE][+-]?[0-9])?"
        .prop_map(|text| Decimal::parse(&text).expect("the pattern is that of FHIR"))
        .boxed()
}

fn system_and_code() -> BoxedStrategy<(String, String)> {
    let known = select(vec![
        ("http://snomed.info/sct", "38341003"),
        ("http://snomed.info/sct", "34552-0"),
        ("http://loinc.org", "8480-6"),
        ("http://loinc.org", "ABG_or_VBG"),
        ("http://hl7.org/fhir/sid/icd-10-cm", "E66.3"),
        ("http://unitsofmeasure.org", "K/uL"),
        ("http://hl7.org/fhir/sid/us-npi", "9999"),
    ]);
    prop_oneof![
        80 => known.prop_map(|(system, code)| (system.to_owned(), code.to_owned())),
        1 => (text(), text()),
    ]
    .boxed()
}

pub(crate) fn coding() -> BoxedStrategy<Coding> {
    (system_and_code(), of(good_text()), of(good_text()))
        .prop_map(|((system, code), version, display)| Coding { system, version, code, display })
        .boxed()
}

pub(crate) fn concept() -> BoxedStrategy<CodeableConcept> {
    let concept = |(coding, text)| CodeableConcept { coding, text };
    prop_oneof![
        40 => (vec(coding(), 1..3), of(text())).prop_map(concept),
        40 => (vec(coding(), 0..2), text().prop_map(Some)).prop_map(concept),
        1 => Just(CodeableConcept::default()),
    ]
    .boxed()
}

fn period() -> BoxedStrategy<Period> {
    let ordered = (date_time(), date_time()).prop_map(|(one, other)| {
        let (start, end) =
            if one.earliest() <= other.earliest() { (one, other) } else { (other, one) };
        Period { start: Some(start), end: Some(end) }
    });
    prop_oneof![
        20 => ordered,
        20 => date_time().prop_map(|start| Period { start: Some(start), end: None }),
        1 => (of(date_time()), of(date_time())).prop_map(|(start, end)| Period { start, end }),
    ]
    .boxed()
}

fn effective() -> BoxedStrategy<Effective> {
    prop_oneof![
        3 => date_time().prop_map(Effective::At),
        1 => period().prop_map(Effective::During),
    ]
    .boxed()
}

fn quantity() -> BoxedStrategy<Quantity> {
    let unit = select(vec!["mg", "IU/L", "K/uL", "(score)", "{score}"]);
    (decimal(), of(choice(&["<", ">="])), of(good_text()), of(unit))
        .prop_map(|(value, comparator, words, code)| Quantity {
            value,
            comparator,
            unit: words,
            system: code.map(|_| "http://unitsofmeasure.org".to_owned()),
            code: code.map(str::to_owned),
        })
        .boxed()
}

fn actor() -> BoxedStrategy<Actor> {
    let reference = prop_oneof![
        Just("http://hl7.org/fhir/sid/us-npi|9999".to_owned()),
        "Practitioner/[a-z0-9]{1,4}",
    ];
    (reference, of(good_text()))
        .prop_map(|(reference, display)| Actor { reference, display })
        .boxed()
}

fn source() -> BoxedStrategy<SourceId> {
    (good_text(), good_text()).prop_map(|(system, value)| SourceId { system, value }).boxed()
}

/// Few, so that the same is delivered again.
fn delivered() -> BoxedStrategy<Option<[u8; 32]>> {
    of((0u8..3).prop_map(|byte| [byte; 32])).boxed()
}

fn identifier() -> BoxedStrategy<Identifier> {
    (good_text(), text(), of(choice(&["usual", "old"])), of(concept()), of(period()))
        .prop_map(|(system, value, r#use, kind, period)| Identifier {
            system,
            value,
            r#use,
            kind,
            period,
        })
        .boxed()
}

fn name() -> BoxedStrategy<HumanName> {
    let parts = || vec(good_text(), 0..3);
    let words = (of(choice(&["official", "maiden"])), of(good_text()), of(good_text()));
    (words, parts(), parts(), parts(), of(period()))
        .prop_map(|((r#use, text, family), given, prefix, suffix, period)| HumanName {
            r#use,
            text,
            family,
            given,
            prefix,
            suffix,
            period,
        })
        .boxed()
}

fn address() -> BoxedStrategy<Address> {
    let part = || of(good_text());
    let parts = (part(), part(), part(), part(), part(), part());
    (of(choice(&["home", "work"])), vec(good_text(), 0..3), parts, of(period()))
        .prop_map(|(r#use, line, (city, district, state, postal_code, country, text), period)| {
            Address { r#use, line, city, district, state, postal_code, country, text, period }
        })
        .boxed()
}

fn telecom() -> BoxedStrategy<ContactPoint> {
    let system = of(choice(&["phone", "email"]));
    (system, good_text(), of(choice(&["home"])), of(0u32..4), of(period()))
        .prop_map(|(system, value, r#use, rank, period)| ContactPoint {
            system,
            value,
            r#use,
            rank,
            period,
        })
        .boxed()
}

fn deceased() -> BoxedStrategy<Deceased> {
    prop_oneof![date_time().prop_map(Deceased::At), Just(Deceased::Yes), Just(Deceased::No)].boxed()
}

pub(crate) fn identity() -> BoxedStrategy<Identity> {
    let lists =
        (vec(identifier(), 0..3), vec(name(), 0..3), vec(address(), 0..2), vec(telecom(), 0..2));
    let confidential = (vec(telecom(), 0..2), vec(address(), 0..2), vec(coding(), 0..2));
    let life = (of(date_time()), of(deceased()), of(choice(&["male", "female"])));
    let words = (of(choice(&["F", "M"])), of(concept()), of(coding()), of(good_text()));
    let rest = (of(any::<bool>()), any::<bool>(), of(good_text()), of(source()), delivered());
    (lists, life, words, confidential, rest)
        .prop_map(|(lists, life, words, confidential, rest)| Identity {
            identifiers: lists.0,
            names: lists.1,
            preferred_name: words.3,
            birth_date: life.0,
            deceased: life.1,
            sex: life.2,
            sex_at_birth: words.0,
            gender_identity: words.1,
            language: words.2,
            interpreter_needed: rest.0,
            addresses: lists.2,
            telecoms: lists.3,
            unidentified: rest.1,
            alias: rest.2,
            confidential_telecoms: confidential.0,
            confidential_addresses: confidential.1,
            labels: confidential.2,
            source: rest.3,
            delivered: rest.4,
        })
        .boxed()
}

pub(crate) fn entry_id() -> BoxedStrategy<EntryId> {
    // Few, so that commands meet.
    (1u8..5).prop_map(|byte| EntryId([byte; 16])).boxed()
}

/// Why the author stands by what the checks remark; once in a while of nothing.
fn overrides() -> BoxedStrategy<Option<Override>> {
    let code = prop_oneof![8 => Just(String::new()), 1 => good_text()];
    of((code, good_text()).prop_map(|(finding_code, reason)| Override { finding_code, reason }))
        .boxed()
}

/// An override without a code is made one of the first remark, if there is one.
fn answering(mut entry: Entry, answer: Option<Override>) -> Entry {
    let Some(mut answer) = answer else { return entry };
    let remarks = entry.validate().into_iter().filter(|found| found.severity == Severity::Remark);
    let codes: Vec<String> = remarks.map(|found| found.code).collect();
    if answer.finding_code.is_empty() {
        let Some(code) = codes.first() else { return entry };
        answer.finding_code.clone_from(code);
    }
    entry.overrides.push(answer);
    entry
}

/// A status of the kind, or with `which` 2 one that few kinds have.
fn status(detail: &Detail, which: usize) -> String {
    let statuses = match detail.kind() {
        Kind::Condition => ["active", "resolved"],
        Kind::AllergyIntolerance => ["active", "inactive"],
        Kind::MedicationRequest => ["active", "stopped"],
        Kind::Procedure => ["in-progress", "completed"],
        Kind::Observation => ["preliminary", "final"],
        Kind::Immunization => ["completed", "not-done"],
        Kind::Encounter => ["in-progress", "finished"],
        Kind::Note => ["current", "superseded"],
        Kind::CareTeam | Kind::Consent => ["active", "inactive"],
        Kind::ServiceRequest => ["active", "revoked"],
        Kind::Task => ["requested", "completed"],
    };
    statuses.get(which).unwrap_or(&"completed").to_string()
}

pub(crate) fn entry() -> BoxedStrategy<Entry> {
    let what = (proptest::option::weighted(0.95, 0usize..3), concept(), detail());
    let when = (of(effective()), of(date_time()), of(entry_id()), of(good_text()));
    let who = (of(actor()), of(actor()), of(actor()));
    let rest = (vec(coding(), 0..2), of(source()), of(text()), overrides(), delivered());
    (what, when, who, rest)
        .prop_map(|(what, when, who, rest)| {
            let entry = Entry {
                status: what.0.map(|which| status(&what.2, which)),
                code: what.1,
                effective: when.0,
                recorded_date: when.1,
                recorder: who.0,
                asserter: who.1,
                verifier: who.2,
                encounter: when.2,
                unit: when.3,
                labels: rest.0,
                source: rest.1,
                delivered: rest.4,
                note: rest.2,
                detail: what.2,
                findings: Vec::new(),
                overrides: Vec::new(),
            };
            answering(entry, rest.3)
        })
        .boxed()
}

/// The entry without some of what it says: bit by bit a field or the last of a list.
pub(crate) fn less(mut entry: Entry, bits: u16) -> Entry {
    let fields: [fn(&mut Entry); 9] = [
        |entry| entry.recorded_date = None,
        |entry| entry.recorder = None,
        |entry| entry.asserter = None,
        |entry| entry.verifier = None,
        |entry| entry.encounter = None,
        |entry| entry.unit = None,
        |entry| entry.note = None,
        |entry| drop(entry.labels.pop()),
        |entry| drop(entry.code.coding.pop()),
    ];
    for (bit, leave_out) in fields.into_iter().enumerate() {
        if bits >> bit & 1 == 1 {
            leave_out(&mut entry);
        }
    }
    entry
}

fn how() -> BoxedStrategy<Amendment> {
    select(vec![Amendment::Correction, Amendment::Amendment, Amendment::Augmentation]).boxed()
}

fn mask(fields: &'static [&'static str]) -> BoxedStrategy<Vec<String>> {
    prop_oneof![
        1 => Just(fields.iter().map(|name| (*name).to_owned()).collect()),
        4 => vec(select(fields).prop_map(str::to_owned), 1..4),
    ]
    .boxed()
}

pub(crate) fn command() -> BoxedStrategy<Command> {
    let amend_identity = (identity(), mask(Identity::FIELDS), how(), text()).prop_map(
        |(identity, mask, how, reason)| Command::AmendIdentity { identity, mask, how, reason },
    );
    let amend_entry = (entry_id(), entry(), mask(Entry::FIELDS), how(), text()).prop_map(
        |(id, entry, mask, how, reason)| Command::AmendEntry { id, entry, mask, how, reason },
    );
    prop_oneof![
        2 => identity().prop_map(Command::Register),
        2 => amend_identity,
        6 => (entry_id(), entry()).prop_map(|(id, entry)| Command::AddEntry { id, entry }),
        6 => amend_entry,
        1 => (entry_id(), text()).prop_map(|(id, reason)| Command::RetractEntry { id, reason }),
    ]
    .boxed()
}

pub(crate) fn stamp() -> BoxedStrategy<Stamp> {
    (any::<u64>(), any::<u64>(), any::<u64>(), any::<[u8; 16]>())
        .prop_map(|(position, version, recorded_at, actor)| Stamp {
            position,
            version,
            recorded_at,
            actor,
        })
        .boxed()
}

/// Any document, also such as no rule lets be filed.
fn document() -> BoxedStrategy<Document> {
    let policy = |(status, text)| Document::AccessPolicy(AccessPolicy { status, text });
    let review = |(person, verdict, text)| {
        Document::BreakGlassReview(BreakGlassReview { person, verdict, text })
    };
    let incident = |(title, discover_time, access_positions, closure)| {
        let rest = PrivacyIncident::default();
        Document::PrivacyIncident(PrivacyIncident {
            title,
            discover_time,
            access_positions,
            closure,
            ..rest
        })
    };
    let duty = (text(), period()).prop_map(|(unit, period)| Duty { unit, period });
    let person = |(person, units, period, duties)| {
        let rest = PractitionerRole::default();
        Document::PractitionerRole(PractitionerRole { person, units, period, duties, ..rest })
    };
    prop_oneof![
        (text(), vec(text(), 0..3), of(period()), vec(duty, 0..3)).prop_map(person),
        (text(), text()).prop_map(policy),
        (text(), text(), text()).prop_map(review),
        (text(), any::<u64>(), vec(any::<u64>(), 0..5), of(text())).prop_map(incident),
    ]
    .boxed()
}

/// Any event, also such as `decide` would never make.
pub(crate) fn event() -> BoxedStrategy<Event> {
    let changed = || vec(good_text(), 0..3);
    prop_oneof![
        identity().prop_map(|identity| Event::PatientRegistered { identity }),
        (identity(), changed(), how(), text()).prop_map(|(identity, changed, how, reason)| {
            Event::IdentityAmended { identity, changed, how, reason }
        }),
        (entry_id(), entry()).prop_map(|(id, entry)| Event::EntryAdded { id, entry }),
        (entry_id(), entry(), changed(), how(), text()).prop_map(
            |(id, mut entry, changed, how, reason)| {
                entry.findings = entry.validate();
                Event::EntryAmended { id, entry, changed, how, reason }
            }
        ),
        (entry_id(), text()).prop_map(|(id, reason)| Event::EntryRetracted { id, reason }),
        (text(), text(), any::<[u8; 16]>()).prop_map(|(system, value, patient)| {
            Event::IdentifierReleased {
                identifier_system: system,
                identifier_value: value,
                patient: PatientId(patient),
            }
        }),
        (text(), text(), any::<[u8; 16]>()).prop_map(|(system, value, patient)| {
            Event::IdentifierAssigned {
                identifier_system: system,
                identifier_value: value,
                patient: PatientId(patient),
            }
        }),
        (any::<[u8; 16]>(), document(), text(), text()).prop_map(
            |(id, document, author, reason)| Event::DocumentFiled {
                id: DocumentId(id),
                document,
                author,
                reason,
            }
        ),
    ]
    .boxed()
}
