use super::*;

fn kinds(found: &VecDeque<Found>) -> Vec<String> {
    found
        .iter()
        .map(|found| match found {
            Found::Resource(resource) => {
                format!("{} at {}", resource.key().unwrap_or_default(), resource.place)
            }
            Found::Skipped(skip) => format!("skipped {}", skip.reason),
            Found::Deleted(of_type) => format!("deleted {of_type}"),
            Found::Bad(place, refusal) => format!("bad {} at {place}", refusal.code),
        })
        .collect()
}

#[test]
fn a_bundle_gives_its_entries() {
    let text = br#"{"resourceType":"Bundle","type":"transaction","entry":[
        {"fullUrl":"urn:uuid:1","resource":{"resourceType":"Patient","id":"1"}},
        {"request":{"method":"GET","url":"Patient/2"}},
        {"resource":{"id":"3"}},
        {"resource":7}]}"#;
    assert_eq!(
        kinds(&document(text, Place::Whole)),
        [
            "Patient/1 at entry 1",
            "skipped bundle entry without a resource",
            "bad NOT_A_RESOURCE at entry 3",
            "bad NOT_A_RESOURCE at entry 4",
        ]
    );
}

#[test]
fn a_bundle_within_a_bundle_is_not_passed_over() {
    let text = br#"{"resourceType":"Bundle","type":"batch-response","entry":[
        {"resource":{"resourceType":"Bundle","type":"searchset","entry":[
            {"resource":{"resourceType":"Patient","id":"1"}}]}},
        {"resource":{"resourceType":"Patient","id":"2"}}]}"#;
    assert_eq!(
        kinds(&document(text, Place::Whole)),
        ["bad NOT_A_RESOURCE at entry 1", "Patient/2 at entry 2"]
    );
}

#[test]
fn a_history_gives_the_newest_version_only() {
    let text = br#"{"resourceType":"Bundle","type":"history","entry":[
        {"resource":{"resourceType":"Patient","id":"1","meta":{"versionId":"2"}}},
        {"resource":{"resourceType":"Patient","id":"1","meta":{"versionId":"1"}}}]}"#;
    assert_eq!(
        kinds(&document(text, Place::Whole)),
        ["Patient/1 at entry 1", "skipped older version in a history bundle"]
    );
}

#[test]
fn an_older_version_does_not_stand_in_for_a_newest_that_is_not_there() {
    let text = br#"{"resourceType":"Bundle","type":"history","entry":[
        {"request":{"method":"PUT","url":"Patient/1"}},
        {"fullUrl":"https://h.example/fhir/Patient/2","request":{"method":"POST","url":"Patient"}},
        {"resource":{"resourceType":"Patient","id":"1"}},
        {"resource":{"resourceType":"Patient","id":"2"}},
        {"resource":{"resourceType":"Patient","id":"3"}}]}"#;
    let missing = "skipped bundle entry without a resource";
    let older = "skipped older version in a history bundle";
    assert_eq!(
        kinds(&document(text, Place::Whole)),
        [missing, missing, older, older, "Patient/3 at entry 5"]
    );
}

#[test]
fn what_a_history_says_is_deleted_does_not_come_back() {
    let text = br#"{"resourceType":"Bundle","type":"history","link":[{"relation":"self","url":"x"}],"entry":[
        {"request":{"method":"DELETE","url":"https://h.example/fhir/Condition/1"}},
        {"request":{"method":"DELETE","url":"Condition/2/_history/4"}},
        {"resource":{"resourceType":"Condition","id":"1"},"request":{"method":"PUT","url":"Condition/1"}},
        {"resource":{"resourceType":"Condition","id":"3"}},
        {"request":{"method":"DELETE","url":"Condition/3"}},
        {"resource":{"resourceType":"Condition","id":"2"}}]}"#;
    let deleted = "deleted Condition";
    let older = "skipped older version in a history bundle";
    assert_eq!(
        kinds(&document(text, Place::Whole)),
        [deleted, deleted, older, "Condition/3 at entry 4", older, older]
    );
}

#[test]
fn what_a_bulk_export_says_is_deleted_is_told() {
    let text = br#"{"resourceType":"Bundle","type":"transaction","entry":[
        {"request":{"method":"DELETE","url":"Patient/2"}},
        {"request":{"method":"DELETE","url":"Condition?code=1"}},
        {"resource":{"resourceType":"Patient","id":"2"},"request":{"method":"PUT","url":"Patient/2"}}]}"#;
    assert_eq!(
        kinds(&document(text, Place::Line(1))),
        ["deleted Patient", "deleted ", "Patient/2 at entry 3"]
    );
}

#[test]
fn a_later_page_of_a_history_is_not_taken_for_the_newest() {
    let text =
        br#"{"resourceType":"Bundle","type":"history","link":[{"relation":"previous","url":"x"}],
        "entry":[{"resource":{"resourceType":"Patient","id":"1"}}]}"#;
    assert_eq!(kinds(&document(text, Place::Whole)), ["bad NOT_A_RESOURCE at the whole file"]);
}

#[test]
fn a_single_resource_and_rubbish() {
    let one = "\u{feff}{\"resourceType\":\"Condition\",\"id\":\"c\"}";
    assert_eq!(kinds(&document(one.as_bytes(), Place::Whole)), ["Condition/c at the whole file"]);
    assert_eq!(
        kinds(&document(b"{\"resourceType\":\"Cond", Place::Line(3))),
        ["bad NOT_A_RESOURCE at line 3"]
    );
    assert_eq!(
        kinds(&document(b"\xff\xfe", Place::Whole)),
        ["bad NOT_A_RESOURCE at the whole file"]
    );
}

#[test]
fn lines_are_read_one_by_one_and_a_bad_one_ends_nothing() {
    let path = std::env::temp_dir().join(format!("fhir-read-{}.NDJSON", std::process::id()));
    let text = "{\"resourceType\":\"Patient\",\"id\":\"1\"}\n\n{oops\r\n{\"resourceType\":\"Group\",\"id\":\"2\"}";
    std::fs::write(&path, text).unwrap();
    let found: VecDeque<_> = read(&path).unwrap().map(Result::unwrap).collect();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(
        kinds(&found),
        ["Patient/1 at line 1", "bad NOT_A_RESOURCE at line 3", "Group/2 at line 4"]
    );
}

#[test]
fn patients_come_first_then_encounters() {
    let phase = |resource_type: &str| Phase::of(resource_type);
    assert!(phase("Patient") < phase("Encounter") && phase("Encounter") < phase("Note"));
    assert_eq!(phase("Observation"), Phase::Entries);
    assert_eq!(phase("Claim"), Phase::NotImported);
}
