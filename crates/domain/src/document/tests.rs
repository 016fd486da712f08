use super::*;

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
    assert_eq!(filed(&[("active", "permit();", "ben")]), Err(Rejection::StatusStepNotAllowed));
    let back = filed(&[proposed, ("retired", "permit();", "ada"), ("active", "permit();", "ben")]);
    assert_eq!(back, Err(Rejection::StatusStepNotAllowed));
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
    assert!(decide(state.as_ref(), "not-justified", "eve").is_ok(), "who thinks better of it");
    assert_eq!(decide(state.as_ref(), "justified", "ada"), Err(Rejection::SamePerson));
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
    let closed = PrivacyIncident { closure: Some("done".to_owned()), ..incident() };
    let event = decide(None, closed.clone()).unwrap();
    let state = evolve_document(None, &event, Stamp::default());
    let changed = PrivacyIncident { title: "Other".to_owned(), ..closed };
    assert_eq!(decide(state.as_ref(), changed), Err(Rejection::StatusStepNotAllowed));
    assert!(decide(state.as_ref(), incident()).is_ok(), "opened again");
}

#[test]
fn a_next_revision_says_something_new_and_why() {
    let proposed = ("draft", "permit();", "ada");
    assert_eq!(filed(&[proposed, proposed]), Err(Rejection::NothingChanged));
    let state = filed(&[proposed]).unwrap().unwrap();
    let next = policy("active", "permit();");
    let silent = decide_document(Some(&state), state.id, &next, "ben", " ");
    assert_eq!(silent, Err(Rejection::ReasonMissing));
    let nobody = decide_document(Some(&state), state.id, &next, "", "because");
    assert!(matches!(nobody, Err(Rejection::Invalid(_))));
}
