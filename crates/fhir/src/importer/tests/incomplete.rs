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
