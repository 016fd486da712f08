//! Policies of a hospital's own: their texts, what they may not do, and what they say of the trail.

use schema::AccessRecord;

use super::super::*;
use super::*;
use crate::local_time::LocalTime;

const FINE: &str = "@id(\"a\") permit (principal, action, resource);\n";

#[test]
fn every_fault_of_a_text_is_told_with_its_line() {
    let wrong = [
        "permit (principal, action, resource);",
        "@id(\"a\") permit (principal, action, resource);",
        "@id(\"b\") permit (principal, action, resource) when { context.mood == \"good\" };",
        "@id(\"c\") permit (principal in Caseledger::Rule::\"nurse\", action, resource);",
        "@id(\"d\") permit (principal, action == Caseledger::Action::\"Erase\", resource);",
        "@id(\"e\") permit (principal == ?principal, action, resource);",
        "@id(\"two words\") permit (principal, action, resource);",
    ];
    assert!(faults(FINE).is_empty());
    for text in wrong {
        let told = faults(&format!("{FINE}\n{text}"));
        assert!(
            !told.is_empty() && told.iter().all(|one| one.starts_with("text: line 3: ")),
            "{told:?}"
        );
    }
    let together = faults(&format!("{FINE}{}", wrong.join("\n")));
    for line in 2..=8 {
        let named = format!("text: line {line}: ");
        assert!(together.iter().any(|one| one.starts_with(&named)), "{line}: {together:?}");
    }
    let broken = faults(&format!("{FINE}\n\npermit (principal, action, resource)\nforbid"));
    assert!(broken[0].starts_with("text: line 5: "), "{broken:?}");
}

#[test]
fn a_role_or_purpose_that_there_is_not_is_a_fault_with_its_line() {
    let misspelt = "@id(\"b\") forbid (\n principal in Caseledger::Role::\"nurze\",\n action, resource)\n\
                    unless { context.purpose in Caseledger::Purpose::\"TREET\" };";
    let text = format!("{FINE}{misspelt}");
    let told = faults(&text);
    assert_eq!(told.len(), 2, "{told:?}");
    for (line, what) in [(3, "no role nurze; there are "), (5, "no purpose of use TREET; ")] {
        let begins = format!("text: line {line}: there is {what}");
        assert!(told.iter().any(|one| one.starts_with(&begins)), "{what} {told:?}");
    }
    let on_file = Policies::on_file(DocumentId([1; 16]), &text);
    assert!(on_file.is_ok(), "what was adopted before goes on deciding");
}

#[test]
fn a_kind_of_entry_or_relationship_that_there_is_not_is_a_fault_with_its_line() {
    let text = "@id(\"a\") permit (principal, action == Caseledger::Action::\"SeeEntry\", resource)\n\
                when { resource.kind == \"notes\" || \"Note\" != resource.kind ||\n\
                [\"note\", \"conditions\"].contains(resource.kind) }\n\
                unless { context has relationship && context.relationship == \"care team\" };";
    let told = faults(text);
    let wrong = [
        (2, "kind of entry notes; there are "),
        (2, "kind of entry Note; there are "),
        (3, "kind of entry conditions; there are "),
        (4, "relationship care team; there are care-team, encounter, "),
    ];
    assert_eq!(told.len(), wrong.len(), "{told:?}");
    for (line, what) in wrong {
        let begins = format!("text: line {line}: there is no {what}");
        assert!(told.iter().any(|one| one.starts_with(&begins)), "{what} {told:?}");
    }
    assert!(Policies::on_file(DocumentId([1; 16]), text).is_ok(), "what was adopted before");
}

#[test]
fn a_fault_of_a_policy_for_all_actions_is_told_once() {
    let told = faults("@id(\"a\") permit (principal, action, resource) when { context.mood };");
    assert_eq!(told.len(), 1, "{told:?}");
}

#[test]
fn a_text_that_could_exhaust_a_stack_is_refused_before_it_is_parsed() {
    let of = |condition: &str| {
        format!("{FINE}@id(\"b\") permit (principal, action, resource) when {{ {condition} }};")
    };
    let nested = |depth: usize| of(&format!("{}true{}", "(".repeat(depth), ")".repeat(depth)));
    let chain = |length: usize| of(&format!("true{}", " && true".repeat(length)));
    let cases = |depth: usize| of(&format!("{}true", "if true then true else ".repeat(depth)));
    let (open, close) = ("!(".repeat(15), ")".repeat(15));
    let both = of(&format!("{open}{}true{close}", "if true then true else ".repeat(340)));
    let within = [nested(15), chain(1_000), cases(345), both];
    let on_a_small_stack = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
    let read = on_a_small_stack.spawn(move || within.map(|text| faults(&text))).unwrap();
    for told in read.join().unwrap() {
        assert!(told.iter().all(|one| !one.contains("has at most")), "{told:?}");
    }
    for text in [
        nested(16),
        nested(60_000),
        chain(1_020),
        cases(360),
        of(&format!("\"{}\" == \";\"", ";".repeat(8_192))),
        of(&format!("// why\r{}true{}", "(".repeat(16), ")".repeat(16))),
    ] {
        let told = faults(&text);
        assert!(
            told.len() == 1 && told[0].contains("has at most 8192 bytes, and 16 brackets"),
            "{told:?}"
        );
    }
    let strings = of(&format!("principal.service == \"{}\"", "(;".repeat(1_000)));
    assert!(faults(&strings).is_empty(), "what strings hold does not nest");
    let many: String =
        (0..257).map(|number| FINE.replace("\"a\"", &format!("\"p{number}\""))).collect();
    assert!(faults(&many)[0].contains("at most 256 policies"));
}

#[test]
fn a_set_that_shuts_compliance_out_is_not_to_be_adopted() {
    let officer = asked(Role::ComplianceOfficer, Operation::AdoptPolicy, "HCOMPL").caller;
    let shut = |text: &str| match Policies::unfiled(text).unwrap().keep_the_door_open(&officer) {
        Ok(()) => String::new(),
        Err(Failure::Refused { reason: "POLICY_LOCKS_OUT", message, .. }) => message,
        Err(failure) => panic!("{failure:?}"),
    };
    assert_eq!(shut(DEFAULT), "");
    let without = |action: &str| {
        format!(
            "{DEFAULT}@id(\"x\") forbid (principal, action == Caseledger::Action::\"{action}\", resource);"
        )
    };
    for action in ["ProposePolicy", "AdoptPolicy", "GetPolicy", "ListAccesses"] {
        assert!(shut(&without(action)).contains(&format!("/{action} for any purpose")), "{action}");
    }
    assert_eq!(shut(&without("Replay")), "", "what they need not do to replace it");
    let one_person = format!(
        "{DEFAULT}@id(\"x\") forbid (principal, action == Caseledger::Action::\"AdoptPolicy\", resource)\n\
         unless {{ principal has person && principal.person == \"jdoe\" }};"
    );
    assert!(shut(&one_person).contains("AdoptPolicy"), "adoption takes two, and people leave");
    let listed = format!(
        "{DEFAULT}@id(\"x\") forbid (principal, action == Caseledger::Action::\"AdoptPolicy\", resource)\n\
         when {{ principal has employed }};"
    );
    assert!(
        shut(&listed).contains("AdoptPolicy"),
        "who is in the staff directory is an officer, too"
    );
    let in_an_emergency = format!(
        "{DEFAULT}@id(\"x\") forbid (principal, action in Caseledger::Action::\"Govern\", resource)\n\
         unless {{ context.purpose == Caseledger::Purpose::\"BTG\" }};\n\
         @id(\"y\") permit (principal, action in Caseledger::Action::\"Govern\", resource)\n\
         when {{ context.purpose == Caseledger::Purpose::\"BTG\" }};"
    );
    assert!(
        shut(&in_an_emergency).contains("AdoptPolicy"),
        "no emergency access covers a call that is about no patient"
    );
    let overflows = format!(
        "{DEFAULT}@id(\"x\") forbid (principal, action, resource) when {{ 9223372036854775807 + 1 > 0 }};"
    );
    assert!(shut(&overflows).contains("AdoptPolicy"), "what cannot be evaluated lets nobody in");
}

/// The record of a nurse's reading of a file of which this was known.
pub(super) fn recorded(facts: &Facts) -> AccessRecord {
    AccessRecord {
        kind: schema::AccessKind::Shown,
        person: Some("jdoe".to_owned()),
        service: "console".to_owned(),
        roles: vec!["nurse".to_owned()],
        organisation: "hospital".to_owned(),
        purpose: "TREAT".to_owned(),
        reason: None,
        relationship: facts.relationship.clone(),
        operation: Operation::GetPatientFile.name().to_owned(),
        outcome: schema::Outcome::Shown,
        request: Vec::new(),
        position: 0,
        trail: 0,
        answered_at: 0,
        first_version: 0,
        version: 0,
        policy_version: String::new(),
        deciding: Vec::new(),
        circumstances: facts.circumstances(),
        masked: Vec::new(),
        answer_format: 1,
        count: 0,
        answer_digest: [0; 32],
        told: None,
        network: None,
        issuer: None,
        emergency: facts.emergency,
    }
}

#[test]
fn a_call_on_the_trail_is_decided_as_it_was_or_not_at_all() {
    let record = |operation: &str, role: &str, reason: Option<&str>| AccessRecord {
        roles: vec![role.to_owned()],
        purpose: "BTG".to_owned(),
        reason: reason.map(str::to_owned),
        operation: operation.to_owned(),
        ..recorded(&Facts::default())
    };
    let shipped = Arc::new(Policies::shipped().unwrap());
    let decided = |record: &AccessRecord| {
        let operation = Operation::named(&record.operation)?;
        let requester = Requester::recorded(&shipped, record, LocalTime::default)?;
        Some(requester.may_call(operation).unwrap())
    };
    let again = |record: &AccessRecord| decided(record).map(|decided| decided.allowed);
    for operation in Operation::ALL {
        let said = record(operation.name(), "nurse", Some("because"));
        let mut call = asked(Role::Nurse, operation, "BTG");
        call.reason = Some("because".to_owned());
        let first = shipped.decide(&call, &Facts::default()).unwrap();
        assert_eq!(decided(&said), Some(first), "{operation:?}");
    }
    let read = Operation::GetPatientFile.name();
    assert_eq!(again(&record(read, "nurse", None)), Some(false), "no reason was given");
    assert_eq!(again(&record(read, "sorcerer", None)), None, "of a later version");
    assert_eq!(again(&record("PatientFileService/Erase", "nurse", None)), None);
}
