//! What consents on file make of a caller.

use super::*;

#[test]
fn a_related_person_whom_a_consent_permits_it_represents_the_patient_while_it_holds() {
    let consent = |status, r#type: &str, who, during| {
        let provision = Provision {
            r#type: r#type.to_owned(),
            actor: vec![actor(who)],
            period: during,
            ..Provision::default()
        };
        let consent = Consent { provision: vec![provision], ..Consent::default() };
        related(&file(&entry(status, Detail::Consent(consent))))
    };
    let mary = "RelatedPerson/jdoe";
    assert_eq!(consent("active", "permit", mary, None), Some("representative"));
    assert_eq!(consent("inactive", "permit", mary, None), None);
    assert_eq!(consent("active", "deny", mary, None), None);
    assert_eq!(consent("active", "permit", "RelatedPerson/jdoes", None), None);
    assert_eq!(consent("active", "permit", "Practitioner/jdoe", None), None, "staff is not family");
    let over = Some(period("2026-01", "2026-10"));
    assert_eq!(consent("active", "permit", mary, over), None);
}

#[test]
fn a_representative_is_one_for_what_the_consent_permits_and_while_no_later_provision_denies_it() {
    let mary = "RelatedPerson/jdoe";
    let consent = |provision| {
        let detail = Detail::Consent(Consent { provision, ..Consent::default() });
        related(&file(&entry("active", detail)))
    };
    let permit = |purposes: &[&str]| provision("permit", &[mary], purposes);
    assert_eq!(consent(vec![permit(&["TREAT"])]), Some("representative"));
    assert_eq!(consent(vec![permit(&["HPAYMT"])]), None, "for another purpose");
    let deny = || provision("deny", &[mary], &[]);
    assert_eq!(consent(vec![permit(&[]), deny()]), None, "the last one that matches holds");
    assert_eq!(consent(vec![deny(), permit(&[])]), Some("representative"));
    let elsewhere = "https://ehr.example/fhir/RelatedPerson/jdoe";
    assert_eq!(consent(vec![permit(&[]), provision("deny", &[elsewhere], &[])]), None);
    assert_eq!(
        consent(vec![provision("permit", &[elsewhere], &[])]),
        None,
        "who is there, is not here"
    );
    let version = "RelatedPerson/jdoe/_history/2";
    assert_eq!(consent(vec![provision("permit", &[version], &[])]), None, "only as it is spelt");
    assert_eq!(
        consent(vec![permit(&[]), provision("deny", &[mary], &["HPAYMT"])]),
        Some("representative")
    );
    assert!(restricted("active", vec![deny()], "PATRQT"), "and another consent may keep them out");
}

fn provision(r#type: &str, actors: &[&str], purposes: &[&str]) -> Provision {
    let coding = |code: &&str| Coding { code: (*code).to_owned(), ..Coding::default() };
    Provision {
        r#type: r#type.to_owned(),
        period: None,
        actor: actors.iter().copied().map(actor).collect(),
        purpose: purposes.iter().map(coding).collect(),
    }
}

fn restricted(status: &str, provision: Vec<Provision>, purpose: &str) -> bool {
    let consent = Detail::Consent(Consent { provision, ..Consent::default() });
    is_restricted(&file(&entry(status, consent)), purpose)
}

fn is_restricted(file: &FileFacts, purpose: &str) -> bool {
    let (caller, staff, purpose) = (caller(), staff(), Purpose::parse(purpose).unwrap());
    let known = Known {
        caller: &caller,
        purpose: &purpose,
        actor: NURSE,
        staff: Some(&staff),
        now: NOW,
        emergencies: Vec::new(),
    };
    known.is_restricted(file)
}

#[test]
fn a_consent_keeps_out_persons_roles_and_organisations() {
    for (who, meant) in [
        ("Practitioner/jdoe", true),
        ("Practitioner/1042", true),
        ("PractitionerRole/nurse", true),
        ("PractitionerRole/Nurse", true),
        ("https://ehr.example/fhir/Practitioner/jdoe", true),
        ("https://ehr.example/fhir/Practitioner/1042", true),
        ("https://ehr.example/fhir/PractitionerRole/nurse", true),
        ("https://ehr.example/fhir/Organization/St James", true),
        ("https://ehr.example/fhir/RelatedPerson/jdoe", true),
        ("https://ehr.example/fhir/Organization/St Mary", false),
        ("https://ehr.example/fhir/RelatedPerson/jdoes", false),
        ("https://ehr.example/Practitioner/fhir/jdoe", false),
        ("https://ehr.example/fhir/Practitioner/jdoe/_history/3", true),
        ("Practitioner/jdoe/_history/3", true),
        ("PractitionerRole/nurse/_history/1", true),
        ("https://ehr.example/fhir/RelatedPerson/jdoe/_history/2", true),
        ("Practitioner/other/_history/3", false),
        ("Practitioner/other/_history/jdoe", false),
        ("Organization/St James", true),
        ("Practitioner/other", false),
        ("PractitionerRole/physician", false),
        ("Organization/St Mary", false),
        ("Practitioner/nurse", false),
    ] {
        let denied = vec![provision("deny", &[who], &[])];
        assert_eq!(restricted("active", denied.clone(), "TREAT"), meant, "{who}");
        assert!(!restricted("inactive", denied.clone(), "TREAT"));
        assert!(!restricted("proposed", denied, "TREAT"), "not agreed yet");
    }
    assert!(restricted("active", vec![provision("deny", &["x", "jdoe"], &[])], "TREAT"));
}

#[test]
fn what_was_paid_in_full_is_denied_for_payment_and_its_kinds_alone() {
    let paid = || vec![provision("deny", &[], &["HPAYMT"])];
    for (purpose, meant) in
        [("HPAYMT", true), ("COVAUTH", true), ("TREAT", false), ("CAREMGT", false)]
    {
        assert_eq!(restricted("active", paid(), purpose), meant, "{purpose}");
    }
}

#[test]
fn the_last_provision_that_matches_holds_and_only_in_its_time() {
    let all_but = |who: &str| {
        vec![provision("deny", &["Organization/St James"], &[]), provision("permit", &[who], &[])]
    };
    assert!(!restricted("active", all_but("Practitioner/jdoe"), "TREAT"));
    assert!(restricted("active", all_but("Practitioner/other"), "TREAT"));
    let until = |end: &str| {
        let period = Some(period("2026-01", end));
        vec![Provision { period, ..provision("deny", &[], &[]) }]
    };
    assert!(restricted("active", until("2026-11-26"), "TREAT"));
    assert!(!restricted("active", until("2026-11-25"), "TREAT"));
}

#[test]
fn one_consent_that_denies_is_enough() {
    let consent = |r#type: &str| {
        let provision = vec![provision(r#type, &["jdoe"], &[])];
        entry("active", Detail::Consent(Consent { provision, ..Consent::default() }))
    };
    let mut both = file(&consent("deny"));
    both.entry(EntryId([2; 16]), &consent("permit"), (REGISTRAR, NOW - DAY));
    assert!(is_restricted(&both, "TREAT"));
}
