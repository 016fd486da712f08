use super::*;
use crate::value::{FhirDateTime, Period};

fn policy(status: &str, text: &str) -> Document {
    Document::AccessPolicy(AccessPolicy { status: status.to_owned(), text: text.to_owned() })
}

fn filed(steps: &[(&str, &str, &str)]) -> Result<Option<DocumentState>, Rejection> {
    let mut state = None;
    for (version, (status, text, author)) in (1..).zip(steps) {
        let document = policy(status, text);
        let event =
            decide_document(state.as_ref(), DocumentId([1; 16]), &document, author, "because")?;
        let stamp = Stamp { version, ..Stamp::default() };
        state = evolve_document(state, &event, stamp);
    }
    Ok(state)
}

#[test]
fn policies_are_adopted_by_somebody_else_than_who_proposed_them() {
    let proposed = ("draft", "permit();", "ada");
    let state = filed(&[proposed, ("active", "permit();", "ben")]).unwrap().unwrap();
    assert_eq!((state.revision, state.filed.author.as_str()), (2, "ada"));
    assert_eq!((state.changed.author.as_str(), state.changed.stamp.version), ("ben", 2));
    assert_eq!(filed(&[proposed, ("active", "permit();", "ada")]), Err(Rejection::SamePerson));
    assert!(filed(&[proposed, ("retired", "permit();", "ada")]).is_ok());
}

#[test]
fn what_is_adopted_is_what_was_proposed() {
    let proposed = ("draft", "permit();", "ada");
    let other = filed(&[proposed, ("active", "forbid();", "ben")]);
    assert_eq!(other, Err(Rejection::TextIsFixed));
    no_step(filed(&[("active", "permit();", "ben")]));
}

#[test]
fn a_set_is_adopted_or_withdrawn_once_and_whoever_tries_again_is_told_what_to_do() {
    let proposed = ("draft", "permit();", "ada");
    let (adopted, withdrawn) = (("active", "permit();", "ben"), ("retired", "permit();", "ada"));
    for (steps, told) in [
        ([proposed, adopted, adopted], "adopted before"),
        ([proposed, adopted, withdrawn], "adopt another set"),
        ([proposed, withdrawn, adopted], "propose its text again"),
        ([proposed, withdrawn, withdrawn], "withdrawn before"),
    ] {
        let refused = no_step(filed(&steps));
        assert!(refused.contains(told) && !refused.contains("correction"), "{refused}");
    }
}

#[test]
fn an_emergency_access_is_judged_by_somebody_else() {
    let review = |verdict: &str| {
        let (person, text) = ("ada".to_owned(), "seen".to_owned());
        let verdict = verdict.to_owned();
        Document::BreakGlassReview(BreakGlassReview { person, verdict, text })
    };
    let decide = |before: Option<&DocumentState>, verdict: &str, author: &str| {
        decide_document(before, DocumentId([1; 16]), &review(verdict), author, "seen")
    };
    assert_eq!(decide(None, "justified", "ada"), Err(Rejection::SamePerson));
    assert!(matches!(decide(None, "fine", "ben"), Err(Rejection::Invalid(_))));
    let first = decide(None, "further-inquiry", "ben").unwrap();
    let state = evolve_document(None, &first, Stamp::default());
    assert_eq!(decide(state.as_ref(), "justified", "ada"), Err(Rejection::SamePerson));
    let last = decide(state.as_ref(), "not-justified", "eve").expect("the inquiry came to this");
    let state = evolve_document(state, &last, Stamp::default());
    for verdict in ["justified", "not-justified", "further-inquiry"] {
        assert!(no_step(decide(state.as_ref(), verdict, "ben")).contains("final"), "{verdict}");
    }
}

/// The words of a refusal of a step, which must be one.
fn no_step<T: std::fmt::Debug>(refused: Result<T, Rejection>) -> String {
    let refused = refused.expect_err("no such step");
    assert_eq!(refused.code(), "STATUS_STEP_NOT_ALLOWED", "{refused}");
    assert!(matches!(refused, Rejection::DocumentStepNotAllowed(_)), "{refused:?}");
    refused.to_string()
}

/// An incident that was discovered at the first microsecond.
fn incident() -> PrivacyIncident {
    PrivacyIncident {
        title: "Files of colleagues".to_owned(),
        description: "A report from the ward".to_owned(),
        discover_time: 1,
        access_positions: vec![4, 9],
        ..PrivacyIncident::default()
    }
}

fn assessed(conclusion: &str) -> PrivacyIncident {
    let factor = || RiskFactor { level: "low".to_owned(), text: "seen".to_owned() };
    let assessment = RiskAssessment {
        nature: factor(),
        recipient: factor(),
        acquired: factor(),
        mitigated: factor(),
        conclusion: conclusion.to_owned(),
    };
    PrivacyIncident { assessment: Some(assessment), ..incident() }
}

#[test]
fn a_notice_is_due_60_days_after_discovery_unless_there_is_no_breach() {
    let due = 1 + 60 * 24 * 3_600 * 1_000_000;
    assert_eq!(incident().notice_due(), due);
    assert!(!incident().notice_overdue(due) && incident().notice_overdue(due + 1));
    assert!(assessed(RiskAssessment::BREACH).notice_overdue(due + 1));
    assert!(!assessed(RiskAssessment::LOW_PROBABILITY).notice_overdue(due + 1));
    let told = |recipient: &str| {
        let (notice_time, how) = (2, "mail".to_owned());
        let notices = vec![Notice { recipient: recipient.to_owned(), notice_time, how }];
        PrivacyIncident { notices, ..incident() }.notice_overdue(due + 1)
    };
    assert!(!told(Notice::INDIVIDUAL) && told(Notice::SECRETARY), "the individuals come first");
    let closure = Some("nothing was opened".to_owned());
    assert!(!PrivacyIncident { closure, ..incident() }.notice_overdue(due + 1));
}

#[test]
fn an_incident_is_whole_and_a_closed_one_is_opened_before_it_is_changed() {
    let decide = |before: Option<&DocumentState>, incident: PrivacyIncident| {
        let document = Document::PrivacyIncident(incident);
        decide_document(before, DocumentId([1; 16]), &document, "ada", "because")
    };
    let faulty = [
        PrivacyIncident { title: String::new(), ..incident() },
        PrivacyIncident { discover_time: 0, ..incident() },
        PrivacyIncident { access_positions: vec![9, 4], ..incident() },
        PrivacyIncident { access_positions: vec![4, 4], ..incident() },
        PrivacyIncident { access_positions: (0..=5_000).collect(), ..incident() },
        assessed("perhaps"),
    ];
    for incident in faulty {
        assert!(matches!(decide(None, incident), Err(Rejection::Invalid(_))));
    }
    assert!(decide(None, assessed(RiskAssessment::BREACH)).is_ok());
    let improbable = assessed(RiskAssessment::LOW_PROBABILITY);
    let closed = PrivacyIncident { closure: Some("done".to_owned()), ..improbable };
    let event = decide(None, closed.clone()).unwrap();
    let state = evolve_document(None, &event, Stamp::default());
    let changed = PrivacyIncident { title: "Other".to_owned(), ..closed.clone() };
    assert!(no_step(decide(state.as_ref(), changed)).contains("reopen it"));
    assert!(no_step(decide(state.as_ref(), closed)).contains("reopen it"), "closed twice");
    assert!(decide(state.as_ref(), incident()).is_ok(), "opened again");
}

#[test]
fn an_incident_is_closed_once_it_is_assessed_and_of_a_breach_the_individuals_were_told() {
    let told = |recipient: &str, notice_time| {
        let (recipient, how) = (recipient.to_owned(), "mail".to_owned());
        vec![Notice { recipient, notice_time, how }]
    };
    let closed = |incident: PrivacyIncident, notices: Vec<Notice>| {
        let closure = Some("done".to_owned());
        let document = Document::PrivacyIncident(PrivacyIncident { closure, notices, ..incident });
        match decide_document(None, DocumentId([1; 16]), &document, "ada", "because") {
            Ok(_) => Vec::new(),
            Err(Rejection::Invalid(faults)) => faults.into_iter().map(|one| one.field).collect(),
            Err(other) => panic!("{other:?}"),
        }
    };
    assert_eq!(closed(incident(), Vec::new()), ["assessment"]);
    let breach = || assessed(RiskAssessment::BREACH);
    assert_eq!(closed(breach(), Vec::new()), ["notices"]);
    assert_eq!(closed(breach(), told(Notice::SECRETARY, 2)), ["notices"]);
    assert!(closed(breach(), told(Notice::INDIVIDUAL, 2)).is_empty());
    assert!(closed(assessed(RiskAssessment::LOW_PROBABILITY), Vec::new()).is_empty());
    const DAY: u64 = 24 * 3_600 * 1_000_000;
    let discovered_later = || PrivacyIncident { discover_time: 2 * DAY + 3, ..breach() };
    let early = closed(discovered_later(), told(Notice::INDIVIDUAL, DAY - 1));
    assert_eq!(early, ["notices[0].notice_time"], "before the day of the discovery");
    let dated = closed(discovered_later(), told(Notice::INDIVIDUAL, DAY));
    assert!(dated.is_empty(), "a day alone has no hour");
}

#[test]
fn a_next_revision_says_something_new_and_why() {
    let proposed = ("draft", "permit();", "ada");
    let person = Document::PractitionerRole(PractitionerRole {
        person: "jdoe".to_owned(),
        name: "J. Doe".to_owned(),
        ..PractitionerRole::default()
    });
    let put = |before: Option<&DocumentState>| {
        decide_document(before, DocumentId([1; 16]), &person, "ada", "because")
    };
    let on_file = evolve_document(None, &put(None).unwrap(), Stamp::default());
    assert_eq!(put(on_file.as_ref()), Err(Rejection::NothingChanged));
    let state = filed(&[proposed]).unwrap().unwrap();
    let next = policy("active", "permit();");
    let silent = decide_document(Some(&state), state.id, &next, "ben", " ");
    assert_eq!(silent, Err(Rejection::ReasonMissing));
    let nobody = decide_document(Some(&state), state.id, &next, "", "because");
    assert!(matches!(nobody, Err(Rejection::Invalid(_))));
}

#[test]
fn a_duty_is_for_a_unit_and_begins_and_ends_at_a_time_of_day() {
    let faults = |unit: &str, start: &str, end: &str| {
        let at = |text: &str| FhirDateTime::parse(text).ok();
        let period = Period { start: at(start), end: at(end) };
        let document = Document::PractitionerRole(PractitionerRole {
            person: "jdoe".to_owned(),
            name: "J. Doe".to_owned(),
            duties: vec![Duty { unit: unit.to_owned(), period }],
            ..PractitionerRole::default()
        });
        match decide_document(None, DocumentId([1; 16]), &document, "ada", "rota") {
            Ok(_) => Vec::new(),
            Err(Rejection::Invalid(faults)) => {
                faults.into_iter().map(|one| (one.field, one.code)).collect()
            }
            Err(other) => panic!("{other:?}"),
        }
    };
    let (evening, morning) = ("2026-11-26T20:00:00+01:00", "2026-11-27T08:00:00+01:00");
    let fault = |field: &str, code: &str| vec![(field.to_owned(), code.to_owned())];
    assert_eq!(faults("4-west", evening, morning), []);
    assert_eq!(faults("4-west", evening, evening), []);
    assert_eq!(faults("", evening, morning), fault("duties[0].unit", "required"));
    assert_eq!(faults("4-west", evening, ""), fault("duties[0].period.end", "required"));
    assert_eq!(faults("4-west", "", morning), fault("duties[0].period.start", "required"));
    let day = faults("4-west", evening, "2026-11-27");
    assert_eq!(day, fault("duties[0].period.end", "value-not-allowed"));
    assert_eq!(faults("4-west", morning, evening), fault("duties[0].period", "period-reversed"));
}
