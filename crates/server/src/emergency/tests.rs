use super::*;

fn code(text: &str) -> Code {
    text.parse().unwrap()
}

const CODE: &str = "0123A-BCDEF-GHJKM-NPQRS-TVWXY";
const LABEL: &str = "For: ada\nGood: until May\n";

#[test]
fn an_envelope_opens_with_its_code_however_it_is_typed_or_printed() {
    let sealed = Envelope::seal(LABEL, b"a token", &code(CODE)).unwrap().to_string();
    assert!(!sealed.contains("a token"));
    let printed = [
        sealed.clone(),
        sealed.replace('\n', "\r\n"),
        format!("  {}", sealed.replace('\n', "  \n  ")),
    ];
    for text in printed {
        let envelope: Envelope = text.parse().unwrap();
        for typed in [CODE, "o1 23abcdefghjkmnpqrstvwxy\n", "OL23A BCDEF GHJKM NPQRS TVWXY"] {
            assert_eq!(envelope.open(&code(typed)).unwrap(), b"a token", "{typed}");
        }
    }
}

#[test]
fn an_envelope_that_was_changed_stays_closed_and_so_it_does_for_another_code() {
    let sealed = Envelope::seal(LABEL, b"a token", &code(CODE)).unwrap();
    let other = code("0123A-BCDEF-GHJKM-NPQRS-TVWXZ");
    assert_eq!(sealed.open(&other), Err(EnvelopeError::Closed));
    let text = sealed.to_string();
    let reopened = |text: &str| text.parse::<Envelope>().and_then(|it| it.open(&code(CODE)));
    assert_eq!(reopened(&text.replace("ada", "bob")), Err(EnvelopeError::Closed), "whose it is");
    let body = text.lines().nth(4).unwrap();
    let (first, last) = body.split_at(body.len() - 6);
    let flipped = format!("{first}{}", last.replace(|c: char| c.is_ascii_lowercase(), "A"));
    let other = if flipped == *body { format!("B{}", body.get(1..).unwrap()) } else { flipped };
    assert!(reopened(&text.replace(body, &other)).is_err(), "what is in it");
    for text in [
        "",
        "-----BEGIN CASELEDGER EMERGENCY CREDENTIAL-----",
        text.get(..text.len() - 60).unwrap(),
    ] {
        assert_eq!(reopened(text), Err(EnvelopeError::None), "{text}");
    }
    let another = keys::pem("CASELEDGER EMERGENCY CREDENTIAL", &[2; 60]);
    assert_eq!(reopened(&another), Err(EnvelopeError::Version));
}

#[test]
fn a_code_has_twenty_five_characters_and_is_never_the_same() {
    for wrong in ["", "0123A", "0123A-BCDEF-GHJKM-NPQRS-TVWXYZ", "U123A-BCDEF-GHJKM-NPQRS-TVWXY"] {
        assert_eq!(wrong.parse::<Code>(), Err(EnvelopeError::NotACode), "{wrong}");
    }
    let (one, two) = (Code::random().unwrap(), Code::random().unwrap());
    assert_ne!(one, two);
    assert_eq!(code(&one.to_string()), one);
    assert!(
        !format!("{one:?}").contains(one.to_string().get(..5).unwrap()),
        "it does not print by itself"
    );
}

fn wanted(folder: &Path, person: &str) -> Seal {
    Seal {
        key: folder.join("emergency.pem"),
        issuer: "https://emergency.hospital.example".to_owned(),
        audience: None,
        person: person.to_owned(),
        roles: vec![Role::Physician],
        organisation: "St James".to_owned(),
        days: 90,
        envelope: folder.join("envelope"),
    }
}

#[test]
fn names_that_would_write_lines_of_their_own_and_roles_that_govern_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    make_key(&folder.path().join("emergency.pem")).unwrap();
    for person in ["", " ", "ada\nGood: for ever", "ada\u{1b}[2K", &"a".repeat(257)] {
        let refused = seal(&wanted(folder.path(), person)).unwrap_err();
        assert!(matches!(refused, EmergencyError::Name("the person")), "{refused}");
    }
    for role in [Role::ComplianceOfficer, Role::HospitalIt, Role::Auditor, Role::Billing] {
        let wanted = Seal { roles: vec![Role::Nurse, role], ..wanted(folder.path(), "ada") };
        let refused = seal(&wanted).unwrap_err();
        assert!(refused.to_string().contains(role.name()), "{refused}");
    }
    assert!(!folder.path().join("envelope").exists());
    seal(&wanted(folder.path(), "ada")).unwrap();
    let again = seal(&wanted(folder.path(), "bob")).unwrap_err();
    assert!(again.to_string().contains("exists already"), "{again}");
}
