//! The units of persons and of patients.

use super::*;

#[test]
fn the_units_of_a_person_are_theirs_and_those_of_duties_that_hold_now() {
    let duty = |unit: &str, end: &str| Duty {
        unit: unit.to_owned(),
        period: period("2026-11-26T08:00:00Z", end),
    };
    let duties = vec![
        duty("icu", "2026-11-26T12:00:00Z"),
        duty("4-east", "2026-11-26T11:59:59.999999Z"),
        duty("4-west", "2026-11-26T20:00:00Z"),
    ];
    let on_duty = PractitionerRole { duties, ..staff() };
    assert_eq!(Vec::from_iter(units_of(&on_duty, NOW)), ["4-west", "icu"]);
    assert_eq!(
        Vec::from_iter(units_of(&on_duty, NOW + 1_000_000)),
        ["4-west"],
        "no longer on call"
    );
}

#[test]
fn the_units_of_a_patient_are_those_of_encounters_that_are_not_over() {
    let here = |status: &str, unit: &str| Entry {
        unit: Some(unit.to_owned()),
        ..entry(status, stay("x"))
    };
    let left = Some(Effective::During(period("2026-11-20", "2026-11-25")));
    let today = Some(Effective::During(period("2026-11-20", "2026-11-26")));
    let mut file = FileFacts::default();
    for (id, entry) in [
        here("in-progress", "4-west"),
        here("planned", "or-2"),
        here("finished", "er"),
        Entry { effective: left, ..here("arrived", "4-east") },
        Entry { effective: today, ..here("arrived", "icu") },
        here("arrived", "4-west"),
        entry("arrived", stay("x")),
        Entry { unit: Some("lab".to_owned()), ..entry("active", team("jdoe", None)) },
    ]
    .iter()
    .enumerate()
    {
        let id = u8::try_from(id).unwrap();
        file.entry(EntryId([id; 16]), entry, (REGISTRAR, NOW - DAY));
    }
    assert_eq!(Vec::from_iter(file.units(NOW)), ["4-west", "icu", "or-2"]);
    assert_eq!(Vec::from_iter(file.units(NOW + DAY)), ["4-west", "or-2"]);
}

#[test]
fn of_too_many_units_those_are_told_that_person_and_patient_have_in_common() {
    let named = |number| format!("{number:0>1024}");
    let many: Vec<_> = (0..9).map(named).collect();
    let units = |numbers: &[usize]| numbers.iter().map(|number| many[*number].clone()).collect();
    let all: BTreeSet<&str> = many.iter().map(String::as_str).collect();
    let few: BTreeSet<&str> = many.iter().skip(6).map(String::as_str).collect();
    assert_eq!(told(&all, &BTreeSet::new()), units(&[0, 1, 2, 3]));
    assert_eq!(told(&all, &few), units(&[0, 6, 7, 8]));
    assert_eq!(told(&few, &all), units(&[6, 7, 8]), "as many as there are");
}
