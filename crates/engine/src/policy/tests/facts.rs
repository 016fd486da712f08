//! What is known of caller and patient decides.

use super::*;
use crate::access::might_pass;

/// What the shipped policies say of a call of which this is known: whether it is allowed, and by which.
fn with(facts: &Facts, role: Role, operation: Operation, purpose: &str) -> (bool, Vec<String>) {
    let mut call = asked(role, operation, purpose);
    call.reason = Some("because".to_owned());
    let decided = Policies::shipped().unwrap().decide(&call, facts).unwrap();
    (decided.allowed, decided.deciding.clone())
}

fn by(policy: &str) -> (bool, Vec<String>) {
    (false, vec![policy.to_owned()])
}

#[test]
fn whose_employment_has_ended_may_do_nothing() {
    let ended = Facts { employed: Some(false), ..Facts::default() };
    for role in Role::ALL {
        for operation in Operation::ALL {
            for purpose in ["TREAT", "BTG", "HOPERAT", "HPAYMT"] {
                let (allowed, deciding) = with(&ended, role, operation, purpose);
                assert!(!allowed, "{role} {operation:?} {purpose}");
                assert_eq!(deciding, ["employment-ended"]);
            }
        }
    }
    let employed = Facts { employed: Some(true), ..Facts::default() };
    assert!(with(&employed, Role::Nurse, Operation::GetPatientFile, "TREAT").0);
}

#[test]
fn ones_own_file_is_closed_to_every_role_and_breaking_the_glass_does_not_help() {
    let own = Facts { own_file: true, relationship: Some("unit".to_owned()), ..Facts::default() };
    for role in Role::ALL {
        for operation in Operation::ALL {
            for purpose in ["TREAT", "BTG", "HCOMPL", "PATRQT"] {
                assert!(!with(&own, role, operation, purpose).0, "{role} {operation:?}");
            }
        }
    }
    let shipped = Policies::shipped().unwrap();
    let call = asked(Role::Nurse, Operation::GetPatientFile, "TREAT");
    let decided = shipped.decide(&call, &own).unwrap();
    assert_eq!((decided.break_glass, decided.deciding.as_slice()), (false, &by("own-file").1[..]));
}

#[test]
fn the_file_of_somebody_known_is_for_who_has_to_do_with_them() {
    let vip = Facts { vip: true, ..Facts::default() };
    let relationship = Some("author".to_owned());
    let known = Facts { relationship, vip: true, ..Facts::default() };
    use Operation as O;
    for operation in [O::GetPatientFile, O::GetPatientHistory, O::WatchPatientFile, O::Contribute] {
        assert_eq!(with(&vip, Role::Nurse, operation, "TREAT"), by("vip"));
        assert_eq!(with(&vip, Role::Nurse, operation, "ETREAT"), by("vip"));
        assert!(with(&vip, Role::Nurse, operation, "BTG").0);
        assert!(with(&known, Role::Nurse, operation, "TREAT").0);
    }
    assert_eq!(with(&vip, Role::CaseManager, O::Import, "TREAT"), by("vip"), "another way to file");
    assert!(with(&vip, Role::Nurse, O::FindPatient, "TREAT").0, "an id shows nothing");
    assert!(with(&vip, Role::ComplianceOfficer, O::GetPatientFile, "HCOMPL").0);
    let mut alone = asked(Role::Registrar, O::Contribute, "TREAT");
    alone.caller.person = None;
    assert!(Policies::shipped().unwrap().decide(&alone, &vip).unwrap().allowed, "results arrive");
}

#[test]
fn a_restriction_holds_but_in_an_emergency() {
    let restricted = Facts { restricted: true, ..Facts::default() };
    use Operation as O;
    for operation in [O::GetPatientFile, O::GetPatientHistory, O::WatchPatientFile, O::Contribute] {
        for purpose in ["TREAT", "ETREAT", "ERTREAT", "PATRQT"] {
            assert_eq!(with(&restricted, Role::Physician, operation, purpose), by("restriction"));
        }
        for purpose in ["BTG", "PUBHLTH"] {
            assert!(with(&restricted, Role::Physician, operation, purpose).0, "{purpose}");
        }
        let mut without_a_word = asked(Role::Physician, operation, "PUBHLTH");
        without_a_word.reason = None;
        let decision = Policies::shipped().unwrap().decide(&without_a_word, &restricted).unwrap();
        assert_eq!(decision.deciding, ["restriction"], "whoever says so says why");
    }
    let lifts =
        |facts: &Facts, purpose| with(facts, Role::ComplianceOfficer, O::Contribute, purpose);
    assert_eq!(lifts(&restricted, "PATRQT"), (true, vec!["restriction-ends".to_owned()]));
    assert!(!lifts(&restricted, "HCOMPL").0 && !lifts(&Facts::default(), "PATRQT").0);
    let import = with(&restricted, Role::CaseManager, O::Import, "TREAT");
    assert_eq!(import, by("restriction"), "another way to file");
    let mut alone = asked(Role::Registrar, O::Import, "TREAT");
    alone.caller.person = None;
    assert!(Policies::shipped().unwrap().decide(&alone, &restricted).unwrap().allowed, "arrives");
    assert!(with(&restricted, Role::ComplianceOfficer, O::GetPatientFile, "HCOMPL").0);
}

#[test]
fn a_policy_can_ask_for_a_relationship() {
    let text = r#"
        @id("treat")
        permit (principal, action == Caseledger::Action::"GetPatientFile", resource)
        when { context has relationship };
        @id("care-team-writes")
        permit (principal, action == Caseledger::Action::"Contribute", resource)
        when { context has relationship && context.relationship == "care-team" };
    "#;
    let strict = Policies::unfiled(text).unwrap();
    let may = |relationship: Option<&str>, operation| {
        let relationship = relationship.map(str::to_owned);
        let facts = Facts { relationship, ..Facts::default() };
        strict.decide(&asked(Role::Nurse, operation, "TREAT"), &facts).unwrap().allowed
    };
    assert!(!may(None, Operation::GetPatientFile));
    for relationship in ["care-team", "encounter", "unit", "task", "consult", "on-call", "author"] {
        assert!(may(Some(relationship), Operation::GetPatientFile));
        let team = relationship == "care-team";
        assert_eq!(may(Some(relationship), Operation::Contribute), team, "{relationship}");
    }
}

/// Whether a call might be let in of which nothing is known.
fn might(policies: &Arc<Policies>, call: &Context, of_patient: bool) -> bool {
    might_pass(policies, call, Facts::possible(of_patient, None)).unwrap()
}

#[test]
fn who_may_be_permitted_by_what_is_not_known_is_not_denied_for_that() {
    let shipped = Arc::new(Policies::shipped().unwrap());
    let may = |role, operation, purpose| might(&shipped, &asked(role, operation, purpose), true);
    use Operation as O;
    assert!(
        may(Role::PatientRepresentative, O::GetPatientFile, "PATRQT"),
        "a consent may permit it"
    );
    assert!(!may(Role::PatientRepresentative, O::GetPatientFile, "TREAT"));
    assert!(!may(Role::Billing, O::GetPatientHistory, "HPAYMT"), "whatever the file says");
    assert!(may(Role::ComplianceOfficer, O::Contribute, "PATRQT"), "a restriction may be lifted");
    let of_nobody = asked(Role::PatientRepresentative, O::GetPatientFile, "PATRQT");
    assert!(!might(&shipped, &of_nobody, false), "nobody is related to nobody");
    let mut emergency = asked(Role::CaseManager, O::GetPatientFile, "BTG");
    emergency.reason = Some("found unconscious".to_owned());
    assert!(might(&shipped, &emergency, true), "the glass may be broken");
    emergency.operation = O::Import;
    assert!(!might(&shipped, &emergency, true), "none covers that");
    let text = r#"
        @id("where-they-work")
        permit (principal, action == Caseledger::Action::"GetPatientFile", resource)
        when { principal has employed && principal.employed }
        when { context.units.containsAny(principal.units) };
    "#;
    let in_units = Arc::new(Policies::unfiled(text).unwrap());
    assert!(might(&in_units, &asked(Role::Nurse, O::GetPatientFile, "TREAT"), true));
    assert!(!might(&in_units, &asked(Role::Nurse, O::FindPatient, "TREAT"), true));
}
