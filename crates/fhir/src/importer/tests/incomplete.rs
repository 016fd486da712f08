//! Resources that lack something, or lead to what the import lacks.

use super::*;

#[test]
fn what_lacks_elements_is_refused_and_other_tags_are_not() {
    let tagged = |kind: &str, code: &str| {
        let whose = match kind {
            "Patient" => r#""identifier":[{"system":"s","value":"1"}]"#,
            _ => r#""subject":{"reference":"Patient/p"}"#,
        };
        format!(
            r#"{{"resourceType":"{kind}","id":"x",{whose},"meta":{{"tag":[
                {{"system":"urn:tags","code":"a","userSelected":true}},
                {{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"{code}"}}]}}}}"#
        )
    };
    for kind in ["Patient", "Condition", "Encounter"] {
        assert_eq!(refusal(&tagged(kind, "SUBSETTED")).code, "SUBSETTED", "{kind}");
        assert_eq!(item(&tagged(kind, "HTEST")).1, Vec::<String>::new(), "{kind}");
    }
    let untold = r#"{"resourceType":"Patient","id":"x","identifier":[{"system":"s","value":"1"}],
        "meta":{"tag":"SUBSETTED"}}"#;
    assert_eq!(refusal(untold).code, "MALFORMED_ELEMENT");
}

#[test]
fn the_words_of_what_the_import_lacks_are_named() {
    let (sent, not_carried) = item(
        r#"{"resourceType":"Procedure","id":"x","subject":{"reference":"Patient/p"},
            "encounter":{"reference":"Encounter/77","display":"a stay"},
            "reasonReference":[{"reference":"Condition/77","display":"Breast cancer"},
                {"reference":"Condition/condition","display":"Pain"},{"reference":"Condition/78"}]}"#,
    );
    let keys: Vec<_> = sent.reason_references.iter().map(|key| key.value.as_str()).collect();
    assert_eq!(keys, ["Condition/77", "Condition/condition", "Condition/78"]);
    assert_eq!(sent.encounter.unwrap().value, "Encounter/77", "perhaps of an earlier import");
    let Some(Content::Entry(entry)) = sent.content else { panic!("not an entry") };
    let Some(Detail::Procedure(procedure)) = entry.detail else { panic!("kind") };
    let words: Vec<_> = procedure.reason.iter().map(|reason| reason.text.as_str()).collect();
    assert_eq!(words, Vec::<&str>::new(), "the item is the same when the import has it");
    assert_eq!(not_carried, ["Procedure.encounter.display", "Procedure.reasonReference.display"]);

    let (sent, not_carried) = item(
        r#"{"resourceType":"Task","id":"x","for":{"reference":"Patient/p"},
            "encounter":{"reference":"Encounter/encounter","display":"a stay"},
            "focus":{"reference":"ServiceRequest/77","display":"an order"},
            "basedOn":[{"reference":"Condition/condition","display":"Pain"}]}"#,
    );
    assert_eq!(sent.focus.unwrap().value, "ServiceRequest/77");
    assert_eq!(not_carried, ["Task.focus.display"]);
}

#[test]
fn a_result_of_somebody_else_is_not_the_patients() {
    let observation = |focus: &str| {
        format!(
            r#"{{"resourceType":"Observation","id":"o","subject":{{"reference":"Patient/p"}},
                "status":"final","code":{{"text":"Blood group"}},"valueString":"A"{focus}}}"#
        )
    };
    assert_eq!(item(&observation("")).1, Vec::<String>::new());
    let staged = observation(r#","focus":[{"reference":"Condition/condition"}]"#);
    assert_eq!(item(&staged).1, ["Observation.focus"]);
    let donor = observation(r#","focus":[{"reference":"RelatedPerson/donor"}]"#);
    assert_eq!(refusal(&donor).code, "FOCUS_NOT_SUPPORTED");
}

#[test]
fn an_instant_that_is_none_and_an_empty_address_are_left_out_by_name() {
    let (sent, not_carried) = item(
        r#"{"resourceType":"Observation","id":"x","status":"final","subject":{"reference":"Patient/p"},
            "code":{"text":"Weight"},"issued":"2019-01-01"}"#,
    );
    let Some(Content::Entry(entry)) = sent.content else { panic!("not an entry") };
    let Some(Detail::Observation(observation)) = entry.detail else { panic!("kind") };
    assert_eq!(observation.issued, "");
    assert_eq!(not_carried, ["Observation.issued (no instant)"]);

    let (sent, not_carried) = item(
        r#"{"resourceType":"Patient","id":"x","identifier":[{"system":"s","value":"1"}],
            "address":[{"use":"home"},{"city":"Ulm"}]}"#,
    );
    let Some(Content::Identity(identity)) = sent.content else { panic!("not an identity") };
    assert_eq!(identity.addresses.len(), 1);
    assert_eq!(identity.addresses[0].city, "Ulm");
    assert_eq!(not_carried, ["Patient.address (empty)"]);
}
