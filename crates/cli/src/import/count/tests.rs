use super::*;

fn result(status: v1::ImportStatus, remarks: usize) -> v1::ImportResult {
    v1::ImportResult {
        status: status.into(),
        remarks: vec![v1::Finding { code: "ucum-unit".to_owned(), ..Default::default() }; remarks],
        ..Default::default()
    }
}

fn counted_import() -> Count {
    let mut count = Count::default();
    let condition = Where::new("Condition", "a.json, entry 3".to_owned(), "Condition/1".to_owned());
    for _ in 0..6 {
        count.found("Condition");
    }
    count.answer(&condition, &result(v1::ImportStatus::Filed, 2));
    count.answer(&condition, &result(v1::ImportStatus::Unchanged, 0));
    count.answer(&condition, &result(v1::ImportStatus::Amended, 0));
    let mut refused = result(v1::ImportStatus::Refused, 0);
    refused.reason = "INVALID_ARGUMENT".to_owned();
    refused.violations = vec![v1::Finding {
        code: "required".to_owned(),
        field: "code".to_owned(),
        text: "the code is missing".to_owned(),
        ..Default::default()
    }];
    count.answer(&condition, &refused);
    count.refuse(&condition, "NO_PATIENT", "subject", "`subject` is missing");
    count.skip("Claim", None);
    count.skip("", Some("bundle entry without a resource"));
    count.not_carried(vec!["Condition.stage".to_owned()]);
    count.position(9);
    count
}

/// The same, with the last answer.
fn answered_import() -> Count {
    let mut count = counted_import();
    let condition = Where::new("Condition", "a.json, entry 9".to_owned(), "Condition/6".to_owned());
    count.answer(&condition, &result(v1::ImportStatus::Filed, 0));
    count
}

#[test]
fn every_resource_is_in_one_column() {
    let json = counted_import().json();
    assert_eq!(
        json["types"]["Condition"],
        json!({"read": 6, "filed": 1, "amended": 1, "unchanged": 1, "refused": 2,
               "unanswered": 1, "remarks": 1})
    );
    assert_eq!(json["total"], json["types"]["Condition"]);
    assert_eq!(json["skipped"], json!({"Claim": 1, "(bundle entry without a resource)": 1}));
    assert_eq!(json["refusals"][0]["reason"], "INVALID_ARGUMENT required");
    assert_eq!(json["refusals"][1]["source"], "Condition/1");
    assert_eq!(json["remarks"], json!({"ucum-unit": 2}));
    assert_eq!(json["not_carried"], json!({"Condition.stage": 1}));
}

#[test]
fn what_the_node_could_not_file_is_to_be_sent_again() {
    let found = Where::new("Condition", "a.json".to_owned(), "Condition/1".to_owned());
    for (reason, retryable) in [("NOT_FILED", true), ("INTERNAL", false), ("DAMAGED", false)] {
        let mut count = Count::default();
        count.found("Condition");
        let mut refused = result(v1::ImportStatus::Refused, 0);
        (refused.reason, refused.retryable) = (reason.to_owned(), retryable);
        count.answer(&found, &refused);
        assert!(!count.is_complete(), "{reason}");
    }
}

#[test]
fn the_text_says_what_to_do_about_what_is_missing() {
    let text = counted_import().text();
    assert!(
        text.starts_with(
            "type       read  filed  amended  unchanged  refused  no answer  with remarks\n\
         Condition     6      1        1          1        2          1             1\n\
         total         6      1        1          1        2          1             1\n"
        ),
        "{text}"
    );
    assert!(text.contains("the code is missing") && text.contains("a.json, entry 3"));
    assert!(text.contains("1 resource got no answer. Run the same import again"));
}

#[test]
fn what_cannot_be_read_and_nothing_at_all_are_no_import() {
    assert!(answered_import().is_complete(), "a refusal is an answer");
    assert!(!counted_import().is_complete(), "its file may have been cut since it was first read");
    let mut other = counted_import();
    other.refuse(&Where::new("Task", String::new(), String::new()), "NO_PATIENT", "for", "");
    assert!(!other.is_complete(), "nor does more of another type make up for it");
    let nothing = Count::default();
    assert!(!nothing.is_complete() && nothing.text().contains("Nothing was found"));
    let mut skipped = Count::default();
    skipped.skip("Claim", None);
    assert!(skipped.is_complete(), "it was read");
    let mut unreadable = answered_import();
    let (field, text) = (String::new(), String::new());
    unreadable.unreadable(String::new(), &fhir::Refusal { code: "NOT_A_RESOURCE", field, text });
    assert!(!unreadable.is_complete() && unreadable.text().contains("could be read"));
    let mut deferred = answered_import();
    deferred.deferred = 1;
    assert!(!deferred.is_complete());
    let mut standing = answered_import();
    let mut refused = result(v1::ImportStatus::Refused, 0);
    refused.violations = vec![v1::Finding { code: TAKEN_BACK.to_owned(), ..Default::default() }];
    let found = Where::new("Condition", String::new(), String::new());
    standing.answer(&found, &refused);
    assert!(!standing.is_complete() && standing.text().contains("still on file"));
    assert_eq!(standing.json()["to_be_retracted"], 1);
    let mut nobodys = answered_import();
    nobodys.refuse(&found, fhir::Refusal::TAKEN_BACK, "subject", "");
    assert!(!nobodys.is_complete() && nobodys.json()["to_be_retracted"] == 1);
    let mut open = answered_import();
    open.refuse(&Where::new(CONSENT, String::new(), String::new()), "NOT_CARRIED", "", "");
    assert!(!open.is_complete() && open.text().contains("1 consent refused"));
    assert_eq!(open.json()["consents_refused"], 1);
}

#[test]
fn deletions_have_a_heading_of_their_own() {
    let mut count = Count::default();
    count.deleted("Condition");
    count.deleted("");
    assert!(count.is_complete(), "it was read");
    let (text, json) = (count.text(), count.json());
    assert!(text.contains("Deleted in its source") && !text.contains("Not imported"), "{text}");
    assert_eq!(json["deleted_in_source"], json!({"Condition": 1, "(type not said)": 1}));
    assert_eq!(json["skipped"], json!({}));
}

#[test]
fn refusals_beyond_the_limit_are_counted() {
    let mut count = Count::default();
    let found = Where::new("Condition", String::new(), String::new());
    for _ in 0..LISTED + 2 {
        count.found("Condition");
        count.refuse(&found, "NO_ID", "id", "");
    }
    assert_eq!(count.json()["refusals"].as_array().unwrap().len(), LISTED);
    assert_eq!(count.json()["refusals_not_listed"], 2);
}
