//! Patients who share a hospital number, and whose the entries are then.

use super::*;

/// A Patient with these untyped numbers and other elements.
fn person(id: &str, numbers: &[&str], more: &str) -> Resource {
    let identifiers: Vec<_> = numbers
        .iter()
        .map(|value| format!(r#"{{"system":"https://hospital.example/mrn","value":"{value}"}}"#))
        .collect();
    let identifiers = identifiers.join(",");
    resource(&format!(
        r#"{{"resourceType":"Patient","id":"{id}","identifier":[{identifiers}]{more}}}"#
    ))
}

/// An import of these, one way round and the other.
fn both_ways(people: &[Resource]) -> [Importer; 2] {
    let mut importers = [(); 2].map(|()| Importer::new("https://source.example"));
    let [one, other] = &mut importers;
    people.iter().for_each(|person| one.learn(person));
    people.iter().rev().for_each(|person| other.learn(person));
    importers
}

/// Of a resource: the Patient whose it is and the number that names them, or why it is refused.
fn whose(importer: &Importer, resource: &Resource) -> Result<(String, String), &'static str> {
    let mapped = importer.map(resource, 1);
    let item = match mapped.outcome {
        Outcome::Item(item) => item,
        Outcome::Refused(refusal) => return Err(refusal.code),
    };
    let Some(Patient::Number(number)) = item.patient.unwrap().patient else { panic!("number") };
    Ok((mapped.patient.as_deref().unwrap_or_default().to_owned(), number.value))
}

fn condition_of(subject: &str) -> Resource {
    resource(&format!(
        r#"{{"resourceType":"Condition","id":"c","subject":{{"reference":"{subject}"}}}}"#
    ))
}

fn of(key: &str, number: &str) -> Result<(String, String), &'static str> {
    Ok((key.to_owned(), number.to_owned()))
}

#[test]
fn who_was_merged_away_does_not_replace_who_has_the_number_now() {
    let ilse = r#","birthDate":"1950-03-02","name":[{"family":"Grünwald","given":["Ilse"]}]"#;
    let inactive = format!(r#","active":false{ilse}"#);
    for gone in
        [inactive.as_str(), r#","link":[{"type":"replaced-by","other":{"reference":"Patient/1"}}]"#]
    {
        let survivor = format!(r#","active":true,"link":[{{"type":"replaces"}}]{ilse}"#);
        let people = [
            person("1", &["MR-1", "MR-2"], &survivor),
            // Their own number comes first.
            person("2", &["MR-0", "MR-2"], gone),
            person("3", &["MR-3"], r#","active":false"#),
        ];
        for importer in both_ways(&people) {
            let told: Vec<_> = people.iter().map(|person| whose(&importer, person)).collect();
            let expected = [of("Patient/1", "MR-1"), Err("MERGED_AWAY"), of("Patient/3", "MR-3")];
            assert_eq!(told, expected, "{gone}");
            let of_gone = whose(&importer, &condition_of("Patient/2"));
            assert_eq!(of_gone, of("Patient/1", "MR-2"), "the survivor's");
            assert_eq!(whose(&importer, &condition_of("Patient/3")), of("Patient/3", "MR-3"));
        }
    }
}

#[test]
fn of_two_patients_with_one_number_neither_is_sent() {
    let people = [
        person("1", &["MR-1", "000"], ""),
        person("2", &["MR-2", "000"], ""),
        person("3", &["MR-3"], ""),
        // Nobody tells whose these are.
        person("4", &["000"], r#","active":false"#),
        person("5", &["MR-3"], r#","active":false,"birthDate":"1920""#),
    ];
    for importer in both_ways(&people) {
        let told: Vec<_> = people.iter().map(|person| whose(&importer, person)).collect();
        let shared = || Err("NUMBER_SHARED");
        let expected = [shared(), shared(), of("Patient/3", "MR-3"), shared(), shared()];
        assert_eq!(told, expected);
        assert_eq!(whose(&importer, &condition_of("Patient/3")), of("Patient/3", "MR-3"));
        for subject in [
            "Patient/1",
            "Patient/2",
            "Patient/4",
            "Patient/5",
            "Patient?identifier=https://hospital.example/mrn|MR-1",
        ] {
            assert_eq!(whose(&importer, &condition_of(subject)), shared(), "{subject}");
        }
    }
}

#[test]
fn two_who_are_gone_and_have_one_number_leave_nobody() {
    let replaced = r#","link":[{"type":"replaced-by","other":{"reference":"Patient/9"}}]"#;
    for (gone, code) in [(r#","active":false"#, "NUMBER_SHARED"), (replaced, "MERGED_AWAY")] {
        let people = [person("1", &["MR-1"], gone), person("2", &["MR-1"], gone)];
        for importer in both_ways(&people) {
            for person in &people {
                assert_eq!(whose(&importer, person), Err(code));
            }
            assert_eq!(whose(&importer, &condition_of("Patient/2")), Err(code));
        }
    }
}

#[test]
fn a_number_that_very_many_have_is_nobodys() {
    let people: Vec<_> = (0..200).map(|id| person(&id.to_string(), &["0"], "")).collect();
    for importer in both_ways(&people) {
        assert!(people.iter().all(|person| whose(&importer, person) == Err("NUMBER_SHARED")));
    }
}

#[test]
fn numbers_that_are_no_hospital_numbers_may_be_shared() {
    let insured = |id: &str, number: &str| {
        let insurance = r#"{"system":"https://insurer.example","value":"9","type":{"coding":[
            {"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"SN"}]}}"#;
        resource(&format!(
            r#"{{"resourceType":"Patient","id":"{id}","identifier":[{insurance},
                {{"system":"https://hospital.example/mrn","value":"{number}"}}]}}"#
        ))
    };
    // One of them comes with two files of the export.
    let people = [insured("1", "MR-1"), insured("2", "MR-2"), insured("1", "MR-1")];
    for importer in both_ways(&people) {
        assert_eq!(whose(&importer, &people[0]), of("Patient/1", "MR-1"));
        assert_eq!(whose(&importer, &people[1]), of("Patient/2", "MR-2"));
        let by_number = condition_of("Patient?identifier=https://hospital.example/mrn|MR-2");
        assert_eq!(whose(&importer, &by_number), of("Patient/2", "MR-2"));
    }
}

#[test]
fn who_comes_with_each_document_under_another_id_is_one_person() {
    let ilse = r#","birthDate":"1950-03-02","name":[{"family":"Grünwald","given":["Ilse"]}]"#;
    let other = r#","birthDate":"1951-03-02","name":[{"family":"Grünwald","given":["Ilse"]}]"#;
    let people = [person("1", &["MR-1"], ilse), person("2", &["MR-1"], ilse)];
    for importer in both_ways(&people) {
        assert_eq!(whose(&importer, &people[0]), of("Patient/1", "MR-1"));
        assert_eq!(whose(&importer, &people[1]), of("Patient/2", "MR-1"));
        assert_eq!(whose(&importer, &condition_of("Patient/2")), of("Patient/2", "MR-1"));
    }
    let [one, two] = people;
    let people = [one, two, person("3", &["MR-1"], other)];
    for importer in both_ways(&people) {
        for person in &people {
            assert_eq!(whose(&importer, person), Err("NUMBER_SHARED"));
        }
    }
}
