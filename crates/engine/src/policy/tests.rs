mod facts;
mod spoken;
mod texts;

use std::time::Duration;

use super::*;
use crate::access::check;
use crate::context::{Caller, Operation, Purpose, Role};
use crate::masking::Class;

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
    assert_eq!(shipped.version(), "default/4+704f0987", "another text needs another version");
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
fn breaking_the_glass_is_advised_only_where_an_emergency_access_can_cover_the_call() {
    let shipped = Arc::new(Policies::shipped().unwrap());
    let barred = |operation, purpose| {
        let mut call = asked(Role::CaseManager, operation, purpose);
        call.reason = Some("found unconscious".to_owned());
        check(&shipped, &call, Facts::default()).unwrap().expect_err("barred")
    };
    for operation in [Operation::RegisterPatient, Operation::SettleRequest, Operation::Import] {
        assert!(!barred(operation, "TRAIN").break_glass, "{operation:?}");
        let emergency = barred(operation, "BTG");
        assert_eq!(emergency.reason, Failure::GLASS_NOT_BROKEN);
        assert!(!emergency.break_glass && !emergency.hidden, "{operation:?}");
    }
    for purpose in ["TRAIN", "BTG"] {
        assert!(barred(Operation::Contribute, purpose).break_glass, "{purpose}");
    }
    let told = |break_glass| {
        Failure::Denied { reason: Failure::GLASS_NOT_BROKEN, break_glass }.to_string()
    };
    assert!(
        told(true).contains("break the glass first") && !told(false).contains("break the glass")
    );
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
            let directory = [
                Operation::PutPractitionerRole,
                Operation::GetPractitionerRole,
                Operation::ListPractitionerRoles,
                Operation::SettleRequest,
            ];
            let rules = [Operation::GetPolicy, Operation::ListPolicies];
            let operated = Purpose::parse(purpose).unwrap().is_kind_of("HOPERAT");
            let run = directory.contains(&operation) || rules.contains(&operation);
            let blind = operation == Operation::GetNodeStatus || (run && operated);
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
fn only_people_of_compliance_change_policies_and_those_who_run_or_check_read_them() {
    let may = |operation, purpose: &str| -> Vec<Role> {
        let may = |role: &Role| decided(*role, operation, purpose).allowed;
        Role::ALL.into_iter().filter(may).collect()
    };
    for operation in [Operation::ProposePolicy, Operation::AdoptPolicy, Operation::TryPolicy] {
        assert_eq!(may(operation, "HCOMPL"), [Role::ComplianceOfficer], "{operation:?}");
        assert_eq!(may(operation, "PATRQT"), [], "{operation:?}");
    }
    let readers = [Role::ComplianceOfficer, Role::HospitalIt, Role::Auditor];
    assert_eq!(may(Operation::GetPolicy, "HOPERAT"), readers);
    let mut service = asked(Role::ComplianceOfficer, Operation::AdoptPolicy, "HCOMPL");
    service.caller.person = None;
    let shipped = Policies::shipped().unwrap();
    assert!(!shipped.decide(&service, &Facts::default()).unwrap().allowed, "nobody agreed");
}

/// What is wrong with a text.
fn faults(text: &str) -> Vec<String> {
    match Policies::unfiled(text) {
        Ok(_) => Vec::new(),
        Err(Failure::Invalid(faults)) => faults
            .into_iter()
            .map(|fault| format!("{}: {}", fault.field, fault.description))
            .collect(),
        Err(failure) => panic!("{failure:?}"),
    }
}

/// What is decided of entries of a class for somebody in these roles, who gives a reason.
fn entries(
    roles: &[Role],
    person: Option<&str>,
    purpose: &str,
    kind: domain::Kind,
    labels: &[&str],
) -> Decision {
    let mut asking = asked(Role::Nurse, Operation::GetPatientFile, purpose);
    asking.caller.roles = roles.to_vec();
    asking.caller.person = person.map(str::to_owned);
    asking.reason = Some("because".to_owned());
    let shipped = Arc::new(Policies::shipped().unwrap());
    let requester = Requester::new(&shipped, &asking, &Facts::default());
    let labels = labels.iter().map(|label| (*label).to_owned()).collect();
    requester.may_see(&Class { kind, labels }).unwrap().as_ref().clone()
}

fn sees(role: Role, purpose: &str, kind: domain::Kind, labels: &[&str]) -> bool {
    entries(&[role], Some("jdoe"), purpose, kind, labels).allowed
}

#[test]
fn unprotected_entries_are_seen_by_those_who_need_them() {
    use domain::Kind::{Encounter, Procedure};
    for kind in domain::Kind::ALL.iter().copied() {
        for role in [Role::Physician, Role::Nurse, Role::CaseManager] {
            assert!(sees(role, "CAREMGT", kind, &["N", "ward-7"]), "{role} {kind:?}");
        }
        assert!(sees(Role::ComplianceOfficer, "HCOMPL", kind, &[]));
        assert_eq!(sees(Role::Registrar, "PATADMIN", kind, &[]), kind == Encounter);
        let billed = kind == Encounter || kind == Procedure;
        assert_eq!(sees(Role::Billing, "COVERAGE", kind, &[]), billed);
        assert!(!sees(Role::Billing, "TREAT", kind, &[]));
        // Who bills and nurses sees for a bill what a bill needs.
        let both = [Role::Billing, Role::Nurse];
        assert_eq!(entries(&both, Some("jdoe"), "HPAYMT", kind, &[]).allowed, billed);
    }
}

#[test]
fn specially_protected_entries_are_seen_to_treat_and_by_few() {
    let kind = domain::Kind::Encounter;
    for label in ["R", "V", "PSY", "SUD", "ETH", "42CFRPart2", "HIV", "SDV", "PSYTHPN"] {
        let labels = ["N", label];
        let seen = |role, purpose| sees(role, purpose, kind, &labels);
        assert!(seen(Role::Physician, "TREAT") && seen(Role::Physician, "CAREMGT"), "{label}");
        assert!(!seen(Role::Physician, "HQUALIMP") && !seen(Role::Physician, "PATRQT"), "{label}");
        let of_therapy = label == "PSYTHPN";
        for purpose in ["CAREMGT", "RECORDMGT"] {
            assert_eq!(seen(Role::CaseManager, purpose), !of_therapy, "{purpose} {label}");
        }
        assert!(!seen(Role::CaseManager, "HPAYMT") && !seen(Role::CaseManager, "HOPERAT"));
        assert!(!seen(Role::Nurse, "TREAT"), "{label}");
        for role in [Role::Physician, Role::Nurse, Role::CaseManager] {
            assert!(seen(role, "BTG"), "{role} {label}");
        }
        assert!(!seen(Role::Nurse, "ETREAT") && !seen(Role::Nurse, "ERTREAT"), "anybody could say");
        assert!(seen(Role::ComplianceOfficer, "HCOMPL"), "{label}");
        for purpose in Purpose::CODES {
            assert!(!seen(Role::Registrar, purpose), "{purpose} {label}");
            assert!(!seen(Role::Billing, purpose), "{purpose} {label}");
        }
    }
    let masked = entries(&[Role::Nurse], Some("jdoe"), "TREAT", kind, &["PSY"]);
    assert_eq!(masked.deciding, ["specially-protected"]);
    assert!(masked.break_glass, "the glass could be broken");
}

#[test]
fn an_interface_engine_may_change_what_it_delivered_and_no_person_may_in_its_place() {
    let kind = domain::Kind::Condition;
    for labels in [&[][..], &["PSY"]] {
        let seen =
            |person, purpose| entries(&[Role::Registrar], person, purpose, kind, labels).allowed;
        assert!(seen(None, "RECORDMGT"));
        assert!(!seen(None, "PATADMIN") && !seen(Some("jdoe"), "RECORDMGT"));
    }
}

#[test]
fn who_may_not_read_files_sees_no_entry() {
    let shipped = Arc::new(Policies::shipped().unwrap());
    let class = Class { kind: domain::Kind::Encounter, labels: [].into() };
    for role in Role::ALL {
        for purpose in Purpose::CODES {
            let mut asking = asked(role, Operation::GetPatientFile, purpose);
            asking.reason = Some("because".to_owned());
            let requester = Requester::new(&shipped, &asking, &Facts::default());
            let reads = requester.may_call(Operation::GetPatientFile).unwrap().allowed;
            assert_eq!(requester.may_see(&class).unwrap().allowed, reads, "{role} {purpose}");
        }
    }
}
