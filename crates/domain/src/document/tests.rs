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
