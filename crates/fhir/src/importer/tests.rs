use api::v1::entry::Detail;

use super::*;
use crate::read::Place;

mod incomplete;
mod people;

const MRN: &str = "https://hospital.example/mrn";

fn resource(json: &str) -> Resource {
    let head: serde_json::Value = serde_json::from_str(json).unwrap();
    let id = head["id"].as_str().map(str::to_owned);
    Resource {
        resource_type: head["resourceType"].as_str().unwrap().to_owned(),
        full_url: id.as_ref().map(|id| format!("urn:uuid:{id}")),
        id,
        place: Place::Whole,
        json: serde_json::value::RawValue::from_string(json.to_owned()).unwrap(),
    }
}

fn patient() -> Resource {
    resource(
        r#"{"resourceType":"Patient","id":"p","identifier":[
            {"system":"https://insurer.example","value":"9"},
            {"system":"https://hospital.example/mrn","value":"1",
             "type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR"}]}}],
            "name":[{"use":"official","family":"Muster","given":["Erika"]},{"use":"usual","given":["Rika"]}],
            "gender":"female","birthDate":"1961-04"}"#,
    )
}

fn importer() -> Importer {
    let mut importer = Importer::new("https://source.example");
    importer.learn(&patient());
    for other in ["Encounter", "Condition"] {
        let id = other.to_ascii_lowercase();
        importer.learn(&resource(&format!(r#"{{"resourceType":"{other}","id":"{id}"}}"#)));
    }
    importer
}

fn item(json: &str) -> (v1::ImportItem, Vec<String>) {
    let mapped = importer().map(&resource(json), 7);
    match mapped.outcome {
        Outcome::Item(item) => (*item, mapped.not_carried),
        Outcome::Refused(refusal) => panic!("refused: {refusal:?}"),
    }
}

fn entry(json: &str) -> (v1::Entry, Vec<String>) {
    let (item, not_carried) = item(json);
    let Some(Content::Entry(entry)) = item.content else { panic!("not an entry") };
    (*entry, not_carried)
}

fn refusal(json: &str) -> Refusal {
    match importer().map(&resource(json), 7).outcome {
        Outcome::Item(_) => panic!("not refused"),
        Outcome::Refused(refusal) => refusal,
    }
}

#[test]
fn a_patient_is_found_by_the_medical_record_number() {
    let mapped = importer().map(&patient(), 7);
    let Outcome::Item(item) = mapped.outcome else { panic!("refused") };
    assert_eq!(item.number, 7);
    let source = item.source.unwrap();
    assert_eq!(
        (source.system.as_str(), source.value.as_str()),
        ("https://source.example", "Patient/p")
    );
    let Some(Patient::Number(number)) = item.patient.unwrap().patient else { panic!("no number") };
    assert_eq!((number.issuer.as_str(), number.value.as_str()), (MRN, "1"));
    let Some(Content::Identity(identity)) = item.content else { panic!("not an identity") };
    assert_eq!(identity.birth_date, "1961-04");
    assert_eq!(identity.preferred_name, "Rika");
    assert_eq!(identity.names.len(), 2);
    assert_eq!(mapped.not_carried, Vec::<String>::new());
}

#[test]
fn a_patient_without_a_name_is_unidentified() {
    let json = r#"{"resourceType":"Patient","id":"u","identifier":[{"system":"s","value":"1"}],
        "name":[{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason",
        "valueCode":"unknown"}],"use":"temp","text":"Unknown Heron-Seven"}],
        "_birthDate":{"extension":[]},"maritalStatus":{"text":"M"}}"#;
    let (item, not_carried) = item(json);
    let Some(Content::Identity(identity)) = item.content else { panic!("not an identity") };
    assert!(identity.unidentified && identity.names.is_empty());
    assert_eq!(identity.alias, "Unknown Heron-Seven");
    assert_eq!(not_carried, ["Patient.maritalStatus"]);
}

#[test]
fn an_old_medical_record_number_does_not_name_the_patient() {
    let number = |value: &str, usage: &str| v1::Identifier {
        issuer: MRN.to_owned(),
        value: value.to_owned(),
        r#use: usage.to_owned(),
        kind: Some(v1::CodeableConcept {
            coding: vec![v1::Coding { code: "MR".to_owned(), ..Default::default() }],
            text: String::new(),
        }),
        period: None,
    };
    let found = patient::number(&[number("1", "old"), number("2", "usual")]).unwrap();
    assert_eq!(found.value, "2");
}

#[test]
fn numbers_keep_their_precision() {
    let (entry, _) = entry(
        r#"{"resourceType":"Observation","id":"o","subject":{"reference":"Patient/p"},"status":"final",
            "code":{"text":"weight"},"valueQuantity":{"value":70.00,"unit":"kg"},
            "referenceRange":[{"low":{"value":1e1}}],
            "component":[{"code":{"text":"x"},"valueInteger":3}]}"#,
    );
    let Some(Detail::Observation(observation)) = entry.detail else { panic!("kind") };
    let Some(v1::observation_value::Value::Quantity(weight)) = observation.value.unwrap().value
    else {
        panic!("value")
    };
    assert_eq!(weight.value, "70.00");
    assert_eq!(observation.reference_range[0].low.as_ref().unwrap().value, "1e1");
    assert_eq!(
        observation.component[0].value.as_ref().unwrap().value,
        Some(v1::observation_value::Value::Integer(3))
    );
}

#[test]
fn references_lead_to_source_ids_whichever_form_they_have() {
    for reference in
        ["Encounter/encounter", "urn:uuid:encounter", "https://h.example/Encounter/encounter"]
    {
        let (item, not_carried) = item(&format!(
            r#"{{"resourceType":"Procedure","id":"x","subject":{{"reference":"urn:uuid:p"}},"status":"completed",
                "encounter":{{"reference":"{reference}"}},"code":{{"text":"x"}},
                "reasonReference":[{{"reference":"urn:uuid:condition"}},{{"reference":"urn:uuid:y","display":"pain"}}]}}"#
        ));
        assert_eq!(item.encounter.unwrap().value, "Encounter/encounter");
        assert_eq!(item.reason_references[0].value, "Condition/condition");
        let Some(Content::Entry(entry)) = item.content else { panic!("not an entry") };
        let Some(Detail::Procedure(procedure)) = entry.detail else { panic!("kind") };
        assert_eq!(procedure.reason[0].text, "pain");
        assert_eq!(not_carried, Vec::<String>::new());
    }
}

#[test]
fn what_a_bundle_knows_by_its_url_alone_is_found_by_it() {
    let nameless = |url: &str, json: &str| {
        let full_url = Some(format!("urn:uuid:{url}"));
        Resource { full_url, ..resource(json) }
    };
    let mut importer = importer();
    for resource in [
        nameless("stay", r#"{"resourceType":"Encounter"}"#),
        nameless("order", r#"{"resourceType":"ServiceRequest"}"#),
    ] {
        importer.learn(&resource);
    }
    let task = nameless(
        "task",
        r#"{"resourceType":"Task","for":{"reference":"Patient/p"},"status":"requested",
            "encounter":{"reference":"urn:uuid:stay"},"focus":{"reference":"urn:uuid:order"},
            "basedOn":[{"reference":"urn:uuid:order"}],"reasonReference":{"reference":"urn:uuid:stay"}}"#,
    );
    let mapped = importer.map(&task, 7);
    let Outcome::Item(item) = mapped.outcome else { panic!("refused") };
    let keys = [item.source, item.encounter, item.focus].map(|key| key.unwrap().value);
    assert_eq!(keys, ["urn:uuid:task", "urn:uuid:stay", "urn:uuid:order"]);
    assert_eq!(item.based_on[0].value, "urn:uuid:order");
    assert_eq!(item.reason_references[0].value, "urn:uuid:stay");
    assert_eq!(mapped.not_carried, Vec::<String>::new());
    let astray = nameless(
        "task",
        r#"{"resourceType":"Task","for":{"reference":"Patient/p"},
            "encounter":{"reference":"urn:uuid:order"}}"#,
    );
    assert_eq!(importer.map(&astray, 7).not_carried, ["Task.encounter (not in this import)"]);
}

#[test]
fn what_has_no_place_is_named_not_dropped() {
    let (entry, not_carried) = entry(
        r##"{"resourceType":"MedicationRequest","id":"m","subject":{"reference":"Patient/p"},"status":"active",
            "intent":"order","medicationReference":{"reference":"#1"},
            "contained":[{"resourceType":"Medication","id":"1","code":{"text":"Insulin"}}],
            "authoredOn":"2026-01-02","requester":{"display":"Dr A"},
            "encounter":{"reference":"urn:uuid:elsewhere"},
            "dosageInstruction":[{"text":"t","sequence":1,"doseAndRate":[{"rateQuantity":{"value":1}}]}],
            "substitution":{"allowedBoolean":true}}"##,
    );
    assert_eq!(entry.code.unwrap().text, "Insulin");
    assert_eq!(entry.asserter.unwrap().display, "Dr A");
    assert_eq!(
        not_carried,
        [
            "MedicationRequest.contained.resourceType",
            "MedicationRequest.dosageInstruction.doseAndRate.rateQuantity",
            "MedicationRequest.encounter (not in this import)",
            "MedicationRequest.substitution",
        ]
    );
}

/// Checks what of a resource of this kind with these elements is not carried.
fn loses<const N: usize>(kind: &str, elements: &str, lost: [&str; N]) {
    let patient = match kind {
        "Patient" => r#""identifier":[{"system":"s","value":"1"}]"#,
        "AllergyIntolerance" => r#""patient":{"reference":"Patient/p"}"#,
        _ => r#""subject":{"reference":"Patient/p"}"#,
    };
    let json = format!(r#"{{"resourceType":"{kind}","id":"x",{patient},{elements}}}"#);
    assert_eq!(item(&json).1, lost.map(|path| format!("{kind}.{path}")), "{elements}");
}

#[test]
fn what_stands_beside_something_carried_is_named_too() {
    loses(
        "Condition",
        r#""recorder":{"reference":"Practitioner/7","type":"Practitioner","identifier":{"value":"7"}}"#,
        ["recorder.identifier"],
    );
    let typed = r#""performer":[{"display":"Dr A","type":"Practitioner"}]"#;
    loses("Observation", typed, ["performer.type"]);
    let insulin = r#""medicationReference":{"reference":"Medication/1","display":"Insulin"}"#;
    loses("MedicationRequest", insulin, ["medicationReference.reference"]);
    let active = r#""clinicalStatus":{"text":"Active","coding":[{"system":"s","code":"active"}]}"#;
    loses("Condition", active, []);
    loses(
        "AllergyIntolerance",
        r#""clinicalStatus":{"text":"since spring","coding":[{"code":"active"},{"code":"a"}]},
            "verificationStatus":{"text":"seen"}"#,
        [
            "clinicalStatus.coding (second and later)",
            "clinicalStatus.text",
            "verificationStatus.text",
        ],
    );
    let document = |more: &str| {
        format!(
            r#"{more},"content":[{{"attachment":{{"contentType":"text/plain","data":"QQ==","title":"T"}}}}]"#
        )
    };
    loses("DocumentReference", &document(r#""description":"D""#), ["description"]);
    let encounters =
        r#""context":{"encounter":[{"reference":"Encounter/encounter"},{"display":"x"}]}"#;
    let second = "context.encounter (second and later)";
    loses("DocumentReference", &document(encounters), [second]);
    let label = r#""securityLabel":[{"text":"for the chief only"}]"#;
    loses("DocumentReference", &document(label), ["securityLabel.text"]);
}

#[test]
fn what_stands_beside_something_carried_of_a_patient_is_named_too() {
    let language = |language: &str| format!(r#""communication":[{{"language":{{{language}}}}}]"#);
    let in_words = language(r#""text":"Plautdietsch""#);
    loses("Patient", &in_words, ["communication.language.text"]);
    let two = r#""coding":[{"system":"urn:ietf:bcp:47","code":"de"},{"system":"urn:ietf:bcp:47","code":"nds"}]"#;
    loses("Patient", &language(two), ["communication.language.coding (second and later)"]);

    let gender = |parts: &str| {
        let url = "http://hl7.org/fhir/StructureDefinition/individual-genderIdentity";
        format!(r#"{{"url":"{url}","extension":[{parts}]}}"#)
    };
    let value = r#"{"url":"value","valueCodeableConcept":{"text":"x"}}"#;
    loses("Patient", &format!(r#""extension":[{}]"#, gender(value)), []);
    let with_comment = gender(&format!(r#"{value},{{"url":"comment","valueString":"y"}}"#));
    let without_value = gender(r#"{"url":"period","valuePeriod":{}}"#);
    loses(
        "Patient",
        &format!(r#""extension":[{with_comment},{without_value}]"#),
        [
            "extension:individual-genderIdentity",
            "extension:individual-genderIdentity (other than its value)",
        ],
    );

    let absent = |reason: &str| {
        let url = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";
        let extension = format!(r#""extension":[{{"url":"{url}","valueCode":"{reason}"}}]"#);
        format!(r#""name":[{{"family":"A","given":["B"],"text":"C",{extension}}}]"#)
    };
    let family = "name.family (of a name that is absent)";
    let given = "name.given (of a name that is absent)";
    loses("Patient", &absent("unknown"), [family, given]);
    loses("Patient", &absent("masked"), ["name (masked)", family, given]);
}

#[test]
fn a_gender_identity_in_parts_is_kept_and_no_other_takes_its_place() {
    let (item, _) = item(
        r#"{"resourceType":"Patient","id":"x","identifier":[{"system":"s","value":"1"}],"extension":[
            {"url":"http://hl7.org/fhir/StructureDefinition/individual-genderIdentity",
             "extension":[{"url":"value","valueCodeableConcept":{"text":"one"}}]},
            {"url":"http://hl7.org/fhir/StructureDefinition/individual-genderIdentity",
             "extension":[{"url":"period","valuePeriod":{}}]}]}"#,
    );
    let Some(Content::Identity(identity)) = item.content else { panic!("not an identity") };
    assert_eq!(identity.gender_identity.unwrap().text, "one");
}

#[test]
fn a_part_that_an_entry_cannot_have_is_left_out_and_the_rest_is_kept() {
    let (patient, not_carried) = item(
        r#"{"resourceType":"Patient","id":"x","identifier":[{"system":"s","value":"0"},
            {"type":{"coding":[{"code":"MR"}]},"system":"s","value":"1"}],
            "name":[{"family":"Muster","given":["Erika",null,"Eva"],"_given":[null,{"id":"a"},null]}],
            "telecom":[{"system":"phone"},{"system":"phone","value":"555"}],
            "communication":[{"language":{"coding":[{"code":"de"}]}}]}"#,
    );
    let Some(Patient::Number(number)) = patient.patient.unwrap().patient else { panic!("number") };
    assert_eq!(number.value, "1", "the medical record number");
    let Some(Content::Identity(identity)) = patient.content else { panic!("not an identity") };
    let kind = identity.identifiers[1].kind.as_ref().unwrap();
    assert_eq!((kind.coding.len(), kind.text.as_str()), (0, "MR"));
    assert_eq!(identity.names[0].given, ["Erika", "Eva"]);
    assert_eq!((identity.telecoms.len(), identity.language), (1, None));
    assert_eq!(
        not_carried,
        [
            "Patient.communication.language.coding (without system or code)",
            "Patient.identifier.type.coding (without system or code)",
            "Patient.name._given",
            "Patient.telecom (without value)",
        ]
    );

    let (entry, not_carried) = entry(
        r#"{"resourceType":"Observation","id":"o","subject":{"reference":"Patient/p"},"status":"final",
            "code":{"coding":[{"code":"bp","display":"Blood pressure"}]},"valueQuantity":{"unit":"mm[Hg]"},
            "interpretation":[{"coding":[{"system":"s","code":"H"},{"code":"high"}]}],
            "referenceRange":[{"low":{"unit":"mm[Hg]"}}],"component":[{"code":{"text":"x"},
            "valueQuantity":{"comparator":"<"}}]}"#,
    );
    assert_eq!(entry.code.unwrap().text, "Blood pressure");
    let Some(Detail::Observation(observation)) = entry.detail else { panic!("kind") };
    assert!(observation.value.is_none() && observation.reference_range.is_empty());
    assert!(observation.component[0].value.is_none());
    let high = &observation.interpretation[0];
    assert_eq!((high.coding.len(), high.text.as_str()), (1, ""));
    assert_eq!(
        not_carried,
        [
            "Observation.code.coding (without system or code)",
            "Observation.component.valueQuantity (without value)",
            "Observation.interpretation.coding (without system or code)",
            "Observation.referenceRange.low (without value)",
            "Observation.valueQuantity (without value)",
        ]
    );
}

#[test]
fn a_plain_text_document_is_a_note() {
    let document = |content: &str| {
        format!(
            r#"{{"resourceType":"DocumentReference","id":"d","subject":{{"reference":"Patient/p"}},"status":"current",
                "type":{{"text":"note"}},"date":"2026-01-01T00:00:00Z","content":[{content}],
                "securityLabel":[{{"coding":[{{"code":"R"}}]}}],"meta":{{"security":[{{"code":"PSY"}}]}},
                "context":{{"encounter":[{{"reference":"Encounter/encounter"}}]}}}}"#
        )
    };
    let plain = r#"{"attachment":{"contentType":"text/plain; charset=utf-8","data":"R3LDvMOf\nZQ==","title":"T"}}"#;
    let (entry, _) = entry(&document(plain));
    let Some(Detail::NoteDetail(note)) = entry.detail else { panic!("kind") };
    assert_eq!((note.text.as_str(), note.title.as_str()), ("Grüße", "T"));
    assert_eq!(
        entry.labels.iter().map(|label| label.code.as_str()).collect::<Vec<_>>(),
        ["R", "PSY"]
    );
    let in_error = document(plain).replacen('{', r#"{"docStatus":"entered-in-error","#, 1);
    assert_eq!(self::entry(&in_error).0.status, "entered-in-error");
    for other in [
        r#"{"attachment":{"contentType":"application/pdf","data":"AA=="}}"#,
        r#"{"attachment":{"contentType":"text/plain","url":"https://x"}}"#,
        r#"{"attachment":{"contentType":"text/plain","data":"/w=="}}"#,
    ] {
        assert_eq!(refusal(&document(other)).code, "NO_PLAIN_TEXT", "{other}");
    }
}

#[test]
fn what_its_source_takes_back_is_sent_whatever_is_left_of_it() {
    let who = r#""subject":{"reference":"Patient/p"},"patient":{"reference":"Patient/p"},
        "for":{"reference":"Patient/p"}"#;
    let refuted = r#""verificationStatus":{"coding":[{"code":"entered-in-error"}]}"#;
    let status = r#""status":"entered-in-error""#;
    for (kind, said) in [
        ("AllergyIntolerance", refuted),
        ("CareTeam", status),
        ("Condition", refuted),
        ("Consent", status),
        ("DocumentReference", status),
        ("DocumentReference", r#""status":"current","docStatus":"entered-in-error""#),
        ("Encounter", status),
        ("Immunization", status),
        ("MedicationRequest", status),
        ("Observation", r#""status":"entered-in-error","valueRatio":{}"#),
        ("Procedure", status),
        ("ServiceRequest", r#""status":"entered-in-error","note":[{"text":"not him"}]"#),
        ("Task", status),
    ] {
        let json = format!(r#"{{"resourceType":"{kind}","id":"x",{who},{said}}}"#);
        let (entry, not_carried) = entry(&json);
        assert_eq!(
            (entry.status.as_str(), entry.note.as_str()),
            ("entered-in-error", ""),
            "{kind}"
        );
        assert_eq!(not_carried, Vec::<String>::new(), "{kind}");
        // What the server asks of any of its kind.
        let detail = entry.detail.unwrap();
        assert!(!matches!(&detail, Detail::EncounterDetail(stay) if stay.class.is_none()));
        assert!(!matches!(&detail, Detail::Consent(consent) if consent.scope.is_none()));
    }
    let nobodys = r#"{"resourceType":"Observation","id":"x","status":"entered-in-error"}"#;
    assert_eq!(refusal(nobodys).code, "TAKEN_BACK");
    let other =
        r#"{"resourceType":"DocumentReference","id":"x","subject":{"reference":"Patient/p"}}"#;
    assert!(refusal(other).text.contains("exactly one content"));
}

#[test]
fn a_care_team_keeps_its_members_and_their_periods() {
    let (entry, not_carried) = entry(
        r#"{"resourceType":"CareTeam","id":"t","subject":{"reference":"Patient/p"},"status":"active",
            "name":"Ward 7","category":[{"text":"team"}],"period":{"start":"2026-01-01"},
            "participant":[{"member":{"reference":"Practitioner/7"},"role":[{"text":"nurse"},{"text":"x"}],
            "period":{"end":"2026-02"}},{"role":[{"text":"nobody"}]}],
            "managingOrganization":[{"reference":"Organization/1"}],"telecom":[{"value":"1"}]}"#,
    );
    let Some(Detail::CareTeam(team)) = entry.detail else { panic!("kind") };
    let [member] = team.participant.as_slice() else { panic!("one member") };
    assert_eq!(member.member.as_ref().unwrap().reference, "Practitioner/7");
    assert_eq!(member.role.as_ref().unwrap().text, "nurse");
    assert_eq!(member.period.as_ref().unwrap().end, "2026-02");
    assert_eq!((team.name.as_str(), team.managing_organization.len()), ("Ward 7", 1));
    assert_eq!((entry.status.as_str(), entry.code.unwrap().text.as_str()), ("active", "team"));
    assert_eq!(
        not_carried,
        [
            "CareTeam.participant (without member)",
            "CareTeam.participant.role (second and later)",
            "CareTeam.telecom",
        ]
    );
}

#[test]
fn a_consent_is_a_rule_and_its_exceptions_or_it_is_refused() {
    let consent = |provision: &str| {
        format!(
            r#"{{"resourceType":"Consent","id":"c","patient":{{"reference":"Patient/p"}},"status":"active",
                "scope":{{"text":"privacy"}},"category":[{{"text":"restriction"}}],"dateTime":"2026-01-01",
                "policyRule":{{"text":"45 CFR 164.522(a)"}},"provision":{provision}}}"#
        )
    };
    let actor = |who: &str| format!(r#"[{{"role":{{"text":"IRCP"}},"reference":{who}}}]"#);
    let one = actor(r#"{"reference":"Practitioner/7"}"#);
    let ruled = format!(
        r#"{{"type":"deny","purpose":[{{"code":"HPAYMT"}}],"provision":[{{"type":"permit","actor":{one}}}]}}"#
    );
    let (entry, _) = entry(&consent(&ruled));
    let Some(Detail::Consent(found)) = entry.detail else { panic!("kind") };
    let [rule, exception] = found.provision.as_slice() else { panic!("two provisions") };
    assert_eq!((rule.r#type.as_str(), rule.purpose[0].code.as_str()), ("deny", "HPAYMT"));
    assert_eq!(exception.actor[0].reference, "Practitioner/7");
    let nameless = actor(r#"{"display":"Dr A"}"#);
    for narrower in [
        r#"{"type":"deny","securityLabel":[{"code":"PSY"}]}"#.to_owned(),
        r#"{"type":"deny","class":[{"code":"Note"}]}"#.to_owned(),
        r#"{"type":"deny","data":[{"meaning":"instance"}]}"#.to_owned(),
        r#"{"type":"deny","provision":[{"type":"permit","provision":[{"type":"deny"}]}]}"#
            .to_owned(),
        format!(r#"{{"type":"deny","actor":{nameless}}}"#),
    ] {
        assert_eq!(refusal(&consent(&narrower)).code, "PROVISION_NOT_UNDERSTOOD", "{narrower}");
    }
}

#[test]
fn what_the_root_of_a_consent_is_limited_to_limits_its_exceptions() {
    let consent = |provision: &str| {
        format!(
            r#"{{"resourceType":"Consent","id":"c","patient":{{"reference":"Patient/p"}},"status":"active",
                "scope":{{"text":"privacy"}},"policyRule":{{"text":"OPTIN"}},"provision":{provision}}}"#
        )
    };
    let provisions = |provision: &str| {
        let Some(Detail::Consent(found)) = entry(&consent(provision)).0.detail else { panic!() };
        let line = |one: &v1::Provision| {
            let end = one.period.as_ref().map(|period| period.end.as_str()).unwrap_or_default();
            let who: Vec<_> = one.actor.iter().map(|actor| actor.reference.as_str()).collect();
            let why: Vec<_> = one.purpose.iter().map(|purpose| purpose.code.as_str()).collect();
            format!("{} {end} {} {}", one.r#type, who.join(","), why.join(","))
        };
        found.provision.iter().map(line).collect::<Vec<_>>()
    };
    let (mother, st_james) = (
        r#""actor":[{"reference":{"reference":"RelatedPerson/m"}}]"#,
        r#""actor":[{"reference":{"reference":"Organization/St James"}}]"#,
    );
    let jdoe = r#""actor":[{"reference":{"reference":"Practitioner/jdoe"}}]"#;
    let (until, paid) =
        (r#""period":{"end":"2027"}"#, r#""purpose":[{"system":"s","code":"HPAYMT"}]"#);
    let kept = [
        (
            format!(r#"{{{until},"provision":[{{"type":"permit",{mother}}}]}}"#),
            vec!["permit 2027 RelatedPerson/m "],
        ),
        (
            format!(
                r#"{{{st_james},{paid},"provision":[{{"type":"deny"}},{{"type":"deny",{paid}}}]}}"#
            ),
            vec!["deny  Organization/St James HPAYMT"; 2],
        ),
        (
            format!(
                r#"{{"type":"permit",{until},{mother},"provision":[{{"type":"deny",{paid}}}]}}"#
            ),
            vec!["permit 2027 RelatedPerson/m ", "deny 2027 RelatedPerson/m HPAYMT"],
        ),
        // somebody of those who are denied
        (
            format!(r#"{{"type":"deny",{st_james},"provision":[{{"type":"permit",{jdoe}}}]}}"#),
            vec!["deny  Organization/St James ", "permit  Practitioner/jdoe "],
        ),
        // more may be denied than permitted
        (
            format!(r#"{{"type":"permit",{st_james},"provision":[{{"type":"deny",{jdoe}}}]}}"#),
            vec!["permit  Organization/St James ", "deny  Practitioner/jdoe "],
        ),
        (
            format!(r#"{{{paid},"provision":[{{"type":"deny","purpose":[{{"code":"TREAT"}}]}}]}}"#),
            vec!["deny   TREAT"],
        ),
        ("{}".to_owned(), vec![]),
    ];
    for (provision, expected) in kept {
        assert_eq!(provisions(&provision), expected, "{provision}");
    }
    for unclear in [
        // a limit of nothing
        format!("{{{until}}}"),
        format!("{{{jdoe}}}"),
        format!("{{{paid}}}"),
        // neither permitted nor denied
        format!(r#"{{{until},"provision":[{{{mother}}}]}}"#),
        // perhaps beyond the limit
        format!(r#"{{{until},"provision":[{{"type":"permit","period":{{"end":"2028"}}}}]}}"#),
        format!(r#"{{"type":"deny",{st_james},"provision":[{{"type":"permit",{mother}}}]}}"#),
    ] {
        assert_eq!(refusal(&consent(&unclear)).code, "PROVISION_NOT_UNDERSTOOD", "{unclear}");
    }
}

#[test]
fn a_consult_keeps_who_asks_whom_for_what() {
    let (entry, not_carried) = entry(
        r#"{"resourceType":"ServiceRequest","id":"s","subject":{"reference":"Patient/p"},
            "status":"active","intent":"order","priority":"urgent","category":[{"text":"Consultation"}],
            "code":{"text":"Cardiology consult"},"authoredOn":"2026-01-02",
            "occurrencePeriod":{"start":"2026-01-02","end":"2026-01-04"},
            "requester":{"reference":"Practitioner/7"},"performerType":{"text":"Cardiologist"},
            "performer":[{"reference":"Practitioner/8"},{"display":"Dr A"}],"bodySite":[{"text":"Heart"}],
            "locationReference":[{"display":"4 West"}],"reasonCode":[{"text":"Chest pain"}],
            "reasonReference":[{"display":"a finding elsewhere"}],"note":[{"text":"today"}],
            "patientInstruction":"fast","identifier":[{"value":"1"}]}"#,
    );
    assert_eq!((entry.status.as_str(), entry.recorded_date.as_str()), ("active", "2026-01-02"));
    assert_eq!(entry.asserter.unwrap().reference, "Practitioner/7");
    assert_eq!(
        (entry.code.unwrap().text.as_str(), entry.note.as_str()),
        ("Cardiology consult", "today")
    );
    let Some(v1::effective::Value::During(when)) = entry.effective.unwrap().value else {
        panic!("a period")
    };
    assert_eq!((when.start.as_str(), when.end.as_str()), ("2026-01-02", "2026-01-04"));
    let Some(Detail::ServiceRequest(asked)) = entry.detail else { panic!("kind") };
    assert_eq!((asked.intent.as_str(), asked.priority.as_str()), ("order", "urgent"));
    let whom: Vec<_> = asked.performer.iter().map(|one| (&*one.reference, &*one.display)).collect();
    assert_eq!(whom, [("Practitioner/8", ""), ("", "Dr A")]);
    assert_eq!(asked.performer_type.unwrap().text, "Cardiologist");
    assert_eq!((&*asked.category[0].text, &*asked.body_site[0].text), ("Consultation", "Heart"));
    assert_eq!(asked.location[0].display, "4 West");
    let why: Vec<_> = asked.reason.iter().map(|reason| reason.text.as_str()).collect();
    assert_eq!(why, ["Chest pain", "a finding elsewhere"]);
    assert_eq!(not_carried, ["ServiceRequest.identifier", "ServiceRequest.patientInstruction"]);
    let not_to = r#"{"resourceType":"ServiceRequest","id":"s","subject":{"reference":"Patient/p"},
        "status":"active","intent":"order","doNotPerform":true,"code":{"text":"Resuscitation"}}"#;
    assert_eq!(refusal(not_to).code, "DO_NOT_PERFORM");
}

#[test]
fn a_task_keeps_who_is_to_do_what_until_when_and_what_it_is_about() {
    let task = r#"{"resourceType":"Task","id":"t","for":{"reference":"Patient/p"},"status":"requested",
        "intent":"order","priority":"asap","code":{"text":"fulfill"},"description":"Arrange transport",
        "focus":{"reference":"ServiceRequest/s"},
        "basedOn":[{"reference":"ServiceRequest/s"},{"reference":"urn:uuid:elsewhere"}],
        "authoredOn":"2026-01-02","lastModified":"2026-01-03","requester":{"reference":"Practitioner/7"},
        "owner":{"reference":"Practitioner/8"},"executionPeriod":{"start":"2026-01-03"},
        "reasonCode":{"text":"cannot walk"},"reasonReference":{"reference":"Condition/c"},
        "restriction":{"repetitions":1,"period":{"end":"2026-01-04"}}}"#;
    let (item, not_carried) = item(task);
    let named = |key: &Option<v1::SourceId>| key.as_ref().map(|key| key.value.clone());
    assert_eq!(named(&item.focus).as_deref(), Some("ServiceRequest/s"));
    let keys = |keys: &[v1::SourceId]| keys.iter().map(|key| key.value.clone()).collect::<Vec<_>>();
    assert_eq!(keys(&item.based_on), ["ServiceRequest/s"]);
    assert_eq!(keys(&item.reason_references), ["Condition/c"]);
    let Some(Content::Entry(entry)) = item.content else { panic!("not an entry") };
    assert_eq!((entry.status.as_str(), entry.recorded_date.as_str()), ("requested", "2026-01-02"));
    assert_eq!(entry.code.unwrap().text, "fulfill");
    assert_eq!(entry.asserter.unwrap().reference, "Practitioner/7");
    let Some(v1::effective::Value::During(when)) = entry.effective.unwrap().value else {
        panic!("a period")
    };
    assert_eq!(when.start, "2026-01-03");
    let Some(Detail::Task(task)) = entry.detail else { panic!("kind") };
    assert_eq!((task.intent.as_str(), task.priority.as_str()), ("order", "asap"));
    assert_eq!(task.description, "Arrange transport");
    assert_eq!(task.owner.unwrap().reference, "Practitioner/8");
    assert_eq!(task.restriction.unwrap().end, "2026-01-04");
    assert_eq!(task.reason[0].text, "cannot walk");
    assert_eq!(
        not_carried,
        ["Task.basedOn (not in this import)", "Task.lastModified", "Task.restriction.repetitions"]
    );
}

#[test]
fn labels_of_a_patient_are_labels_of_the_file() {
    let (item, _) = item(
        r#"{"resourceType":"Patient","id":"p","identifier":[{"system":"urn:mrn","value":"1"}],
            "meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"CEL"}]}}"#,
    );
    let Some(Content::Identity(identity)) = item.content else { panic!("not an identity") };
    assert_eq!(identity.labels[0].code, "CEL");
}

#[test]
fn an_encounter_without_a_type_is_what_its_class_says() {
    let (entry, _) = entry(
        r#"{"resourceType":"Encounter","id":"e","subject":{"reference":"Patient/p"},"status":"finished",
            "class":{"code":"EMER"},"period":{"start":"2026-01-01T10:00:00+01:00"}}"#,
    );
    assert_eq!(entry.code.unwrap().coding[0].code, "EMER");
    let Some(v1::effective::Value::During(period)) = entry.effective.unwrap().value else {
        panic!("period")
    };
    assert_eq!((period.start.as_str(), period.end.as_str()), ("2026-01-01T10:00:00+01:00", ""));
}

#[test]
fn each_reason_for_refusal_has_its_code() {
    let cases = [
        (r#"{"resourceType":"Condition","id":"c","code":{"text":"x"}}"#, "NO_PATIENT"),
        (
            r#"{"resourceType":"Condition","id":"c","subject":{"reference":"Patient/other"}}"#,
            "PATIENT_NOT_IN_IMPORT",
        ),
        (
            r#"{"resourceType":"Condition","id":"c","subject":{"reference":"Group/1"}}"#,
            "PATIENT_NOT_IN_IMPORT",
        ),
        (r#"{"resourceType":"Patient","id":"c","identifier":[{"value":"1"}]}"#, "NO_IDENTIFIER"),
        (
            r#"{"resourceType":"Observation","id":"c","subject":{"reference":"Patient/p"},"valueRatio":{}}"#,
            "VALUE_NOT_SUPPORTED",
        ),
        (
            r#"{"resourceType":"Observation","id":"c","subject":{"reference":"Patient/p"},
                "valueQuantity":{"value":"70"}}"#,
            "MALFORMED_ELEMENT",
        ),
        (
            r#"{"resourceType":"MedicationRequest","id":"c","subject":{"reference":"Patient/p"},"doNotPerform":true}"#,
            "DO_NOT_PERFORM",
        ),
        (
            r#"{"resourceType":"MedicationRequest","id":"c","subject":{"reference":"Patient/p"}}"#,
            "MEDICATION_NOT_NAMED",
        ),
        (
            r#"{"resourceType":"Condition","id":"c","implicitRules":"x","subject":{"reference":"Patient/p"}}"#,
            "MODIFIER_NOT_UNDERSTOOD",
        ),
        (
            r#"{"resourceType":"Immunization","id":"c","patient":{"reference":"Patient/p"},"isSubpotent":true}"#,
            "MODIFIER_NOT_UNDERSTOOD",
        ),
        (
            r#"{"resourceType":"Observation","id":"c","subject":{"reference":"Patient/p"},
                "component":[{"code":{"text":"x"}},{"modifierExtension":[{"url":"negated"}]}]}"#,
            "MODIFIER_NOT_UNDERSTOOD",
        ),
        (
            r#"{"resourceType":"MedicationRequest","id":"c","subject":{"reference":"Patient/p"},
                "medicationCodeableConcept":{"text":"x"},
                "dosageInstruction":[{"timing":{"modifierExtension":[]}}]}"#,
            "MODIFIER_NOT_UNDERSTOOD",
        ),
        (
            r#"{"resourceType":"Consent","id":"c","patient":{"reference":"Patient/p"},
                "provision":{"type":"permit","modifierExtension":[{"url":"not"}]}}"#,
            "MODIFIER_NOT_UNDERSTOOD",
        ),
    ];
    for (json, code) in cases {
        assert_eq!(refusal(json).code, code, "{json}");
    }
    let mut nameless =
        resource(r#"{"resourceType":"Condition","subject":{"reference":"Patient/p"}}"#);
    nameless.full_url = None;
    let Outcome::Refused(refusal) = importer().map(&nameless, 1).outcome else { panic!("mapped") };
    assert_eq!(refusal.code, "NO_ID");
}

#[test]
fn a_patient_can_be_named_by_number_alone() {
    for subject in [
        r#"{"reference":"Patient?identifier=https://hospital.example/mrn|1"}"#,
        r#"{"identifier":{"system":"https://hospital.example/mrn","value":"1"}}"#,
    ] {
        let (item, _) =
            item(&format!(r#"{{"resourceType":"Condition","id":"c","subject":{subject}}}"#));
        let Some(Patient::Number(number)) = item.patient.unwrap().patient else { panic!("number") };
        assert_eq!((number.issuer.as_str(), number.value.as_str()), (MRN, "1"));
    }
}

#[test]
fn two_patients_with_one_id_are_not_confused() {
    let mut importer = importer();
    importer.learn(&resource(
        r#"{"resourceType":"Patient","id":"p","identifier":[{"system":"https://other.example","value":"5"}]}"#,
    ));
    let condition =
        resource(r#"{"resourceType":"Condition","id":"c","subject":{"reference":"Patient/p"}}"#);
    let Outcome::Refused(refusal) = importer.map(&condition, 1).outcome else { panic!("mapped") };
    assert_eq!(refusal.code, "PATIENT_AMBIGUOUS");
}

#[test]
fn a_patient_of_another_server_is_not_the_one_here_with_the_same_id() {
    let mut importer = Importer::new("https://source.example");
    let mut here = patient();
    here.full_url = Some("https://here.example/fhir/Patient/p".to_owned());
    importer.learn(&here);
    let refused = |reference: &str| {
        let condition = resource(&format!(
            r#"{{"resourceType":"Condition","id":"c","subject":{{"reference":"{reference}"}}}}"#
        ));
        match importer.map(&condition, 1).outcome {
            Outcome::Item(_) => None,
            Outcome::Refused(refusal) => Some(refusal.code),
        }
    };
    for reference in [
        "Patient/p",
        "https://here.example/fhir/Patient/p",
        "https://here.example/fhir/Patient/p/_history/2",
    ] {
        assert_eq!(refused(reference), None, "{reference}");
    }
    for reference in
        ["https://other.example/fhir/Patient/p", "https://other.example/fhir/Patient/p/_history/2"]
    {
        assert_eq!(refused(reference), Some("PATIENT_NOT_IN_IMPORT"), "{reference}");
    }
}

#[test]
fn an_item_at_the_limit_is_sent_and_one_above_is_not() {
    let note = |length: usize| {
        format!(
            r#"{{"resourceType":"Condition","id":"c","subject":{{"reference":"Patient/p"}},"note":[{{"text":"{}"}}]}}"#,
            "x".repeat(length)
        )
    };
    let (small, _) = item(&note(MAX_ITEM - 1024));
    let rest = MAX_ITEM - small.encoded_len();
    let (largest, _) = item(&note(MAX_ITEM - 1024 + rest));
    assert_eq!(largest.encoded_len(), MAX_ITEM);
    assert_eq!(refusal(&note(MAX_ITEM - 1024 + rest + 1)).code, "TOO_LARGE");
}
