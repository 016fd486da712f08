use std::time::Duration;

use super::*;
use crate::context::{Caller, Operation, Purpose, Role};

fn asked(role: Role, operation: Operation, purpose: &str) -> Context {
    Context {
        caller: Caller {
            person: Some("jdoe".to_owned()),
            service: "console".to_owned(),
            roles: vec![role],
            organisation: "hospital".to_owned(),
            network: None,
            issuer: None,
        },
        purpose: Purpose::parse(purpose).unwrap(),
        reason: None,
        operation,
        request: Vec::new(),
        patience: Duration::ZERO,
    }
}

fn decided(role: Role, operation: Operation, purpose: &str) -> Decision {
    let shipped = Policies::shipped().unwrap();
    shipped.decide(&asked(role, operation, purpose), &Facts::default()).unwrap().as_ref().clone()
}

#[test]
fn the_shipped_policies_are_the_version_that_they_say() {
    let shipped = Policies::shipped().unwrap();
    assert_eq!(shipped.version(), "default/1+5a9cebf7", "another text needs another version");
}

#[test]
fn who_decided_is_told() {
    let treated = decided(Role::Nurse, Operation::GetPatientFile, "CAREMGT");
    assert_eq!((treated.allowed, treated.deciding), (true, vec!["treat".to_owned()]));
    let trained = decided(Role::CaseManager, Operation::GetPatientFile, "TRAIN");
    assert!(!trained.allowed && trained.break_glass);
    assert_eq!(trained.deciding, ["no-rehearsal-on-patients"]);
    let curious = decided(Role::HospitalIt, Operation::GetPatientFile, "TREAT");
    assert!(!curious.allowed && !curious.break_glass && curious.deciding.is_empty());
}

#[test]
fn a_broken_glass_needs_a_reason() {
    let shipped = Policies::shipped().unwrap();
    let mut asked = asked(Role::Nurse, Operation::GetPatientFile, "BTG");
    let silent = shipped.decide(&asked, &Facts::default()).unwrap();
    assert_eq!(
        (silent.allowed, silent.deciding.as_slice()),
        (false, &["break-glass-says-why".to_owned()][..])
    );
    asked.reason = Some("found unconscious".to_owned());
    assert!(shipped.decide(&asked, &Facts::default()).unwrap().allowed);
}

#[test]
fn hospital_it_sees_no_patient_data_and_nobody_without_a_role_anything() {
    let shipped = Policies::shipped().unwrap();
    for operation in Operation::ALL {
        for purpose in Purpose::CODES {
            let mut call = asked(Role::HospitalIt, operation, purpose);
            call.reason = Some("because".to_owned());
            let may = shipped.decide(&call, &Facts::default()).unwrap().allowed;
            let blind = operation == Operation::GetNodeStatus;
            let rehearsed = ["HTEST", "SYSDEV", "TRAIN"].contains(&purpose);
            assert_eq!(may, blind && !rehearsed, "{operation:?} {purpose}");
            call.caller.roles.clear();
            assert!(
                !shipped.decide(&call, &Facts::default()).unwrap().allowed,
                "{operation:?} {purpose}"
            );
        }
    }
}

#[test]
fn only_compliance_and_audit_review_accesses_and_only_compliance_what_they_showed() {
    let may = |operation, purpose: &str| -> Vec<Role> {
        let may = |role: &Role| decided(*role, operation, purpose).allowed;
        Role::ALL.into_iter().filter(may).collect()
    };
    for operation in [Operation::ListAccesses, Operation::ReadEntries, Operation::Prove] {
        assert_eq!(may(operation, "HCOMPL"), [Role::ComplianceOfficer, Role::Auditor]);
    }
    for operation in [Operation::Replay, Operation::ProveContents] {
        assert_eq!(may(operation, "HCOMPL"), [Role::ComplianceOfficer]);
    }
}

#[test]
fn policies_that_the_model_does_not_know_are_refused() {
    let wrong = [
        "permit (principal, action, resource);",
        "@id(\"a\") permit (principal, action, resource) when { context.mood == \"good\" };",
        "@id(\"a\") permit (principal in Caseledger::Rule::\"nurse\", action, resource);",
        "@id(\"a\") permit (principal, action == Caseledger::Action::\"Erase\", resource);",
        "@id(\"a\") permit (principal, action, resource)",
    ];
    for text in wrong {
        assert!(Policies::parse("wrong/1", text).is_err(), "{text}");
    }
}
