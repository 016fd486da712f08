//! Policies that speak of units and of the time, and the decisions that are remembered of them.

use super::*;
use crate::local_time::LocalTime;

/// A set in which nurses read when this holds.
fn when(condition: &str) -> String {
    format!(
        "@id(\"nurses\") permit (principal, action == Caseledger::Action::\"GetPatientFile\", resource)\n\
         when {{ {condition} }};"
    )
}

fn reading() -> Context {
    asked(Role::Nurse, Operation::GetPatientFile, "TREAT")
}

fn may(set: &Policies, facts: &Facts) -> bool {
    set.decide(&reading(), facts).unwrap().allowed
}

fn at(time: &str) -> Facts {
    Facts { time: Some(LocalTime::parse(time).expect(time)), ..Facts::default() }
}

fn in_units(staff: &[&str], patient: &[&str]) -> Facts {
    let units = |units: &[&str]| units.iter().map(|unit| (*unit).to_owned()).collect();
    Facts { staff_units: units(staff), units: units(patient), ..Facts::default() }
}

#[test]
fn a_policy_can_ask_for_a_unit_in_common() {
    let set = Policies::unfiled(&when("context.units.containsAny(principal.units)")).unwrap();
    assert!(may(&set, &in_units(&["4-west", "icu"], &["er", "icu"])));
    for (staff, patient) in
        [(&["4-west"][..], &["4-east"][..]), (&[], &["4-west"]), (&["4-west"], &[]), (&[], &[])]
    {
        assert!(!may(&set, &in_units(staff, patient)), "{staff:?} {patient:?}");
    }
    let psychiatry = Policies::unfiled(&when("!context.units.contains(\"psy\")")).unwrap();
    assert!(may(&psychiatry, &in_units(&["psy"], &["icu"])));
    assert!(!may(&psychiatry, &in_units(&["psy"], &["icu", "psy"])));
}

#[test]
fn a_policy_can_ask_for_the_time_of_day_and_the_day_of_the_week() {
    let by_day = when(
        "context.timeOfDay >= duration(\"7h30m\") && context.timeOfDay < duration(\"18h\") && \
         !(context.dayOfWeek in [Caseledger::DayOfWeek::\"sat\", Caseledger::DayOfWeek::\"sun\"])",
    );
    let set = Policies::unfiled(&by_day).unwrap();
    for (time, allowed) in [
        ("mon 07:29", false),
        ("mon 07:30", true),
        ("fri 17:59", true),
        ("fri 18:00", false),
        ("sat 12:00", false),
        ("sun 12:00", false),
        ("thu 00:00", false),
        ("thu 23:59", false),
    ] {
        assert_eq!(may(&set, &at(time)), allowed, "{time}");
    }
    let night = when(
        "context.timeOfDay >= duration(\"20h\") || context.timeOfDay.toMinutes() < 6 * 60 + 15",
    );
    let set = Policies::unfiled(&night).unwrap();
    for (time, allowed) in
        [("wed 19:59", false), ("wed 20:00", true), ("wed 06:14", true), ("wed 06:15", false)]
    {
        assert_eq!(may(&set, &at(time)), allowed, "{time}");
    }
}

#[test]
fn a_day_that_there_is_not_or_another_type_is_a_fault() {
    for condition in [
        "context.dayOfWeek == Caseledger::DayOfWeek::\"sunday\"",
        "context.dayOfWeek == \"sun\"",
        "context.timeOfDay > \"7h\"",
        "context.timeOfDay > duration(\"7 h\")",
        "context.units == \"icu\"",
        "principal.unit == \"icu\"",
    ] {
        let told = faults(&format!("\n{}", when(condition)));
        assert!(!told.is_empty() && told[0].starts_with("text: line "), "{condition}: {told:?}");
    }
}

#[test]
fn what_a_set_speaks_of_is_found_wherever_it_says_so() {
    let spoken = |condition: &str| {
        let set = Policies::unfiled(&when(condition)).expect(condition);
        (set.spoken.units, set.spoken.time)
    };
    for condition in [
        "context.reasonGiven && context.ownFile && !(context has relationship)",
        "principal.service == \"timeOfDay units context\"",
        "principal has person && principal.person like \"*dayOfWeek*\"",
    ] {
        assert_eq!(spoken(condition), (false, false), "{condition}");
    }
    for condition in [
        "context.units.contains(\"icu\")",
        "context[\"units\"].contains(\"icu\")",
        "!(principal.units.isEmpty())",
        "(if context.vip then principal else principal).units.contains(\"icu\")",
        "context has relationship && [context.relationship].containsAny(principal.units)",
    ] {
        assert_eq!(spoken(condition), (true, false), "{condition}");
    }
    for condition in [
        "context.timeOfDay < duration(\"1h\")",
        "context[\"timeOfDay\"] < duration(\"1h\")",
        "context.vip || (if context.vip then true else context.timeOfDay < duration(\"1h\"))",
        "context.dayOfWeek == Caseledger::DayOfWeek::\"sun\"",
        "[context.dayOfWeek].contains(Caseledger::DayOfWeek::\"sun\")",
        "{at: context.timeOfDay}.at < duration(\"1h\")",
        "context has timeOfDay",
    ] {
        assert_eq!(spoken(condition), (false, true), "{condition}");
    }
    for condition in [
        "(if context.vip then context else context).timeOfDay < duration(\"1h\")",
        "[context].contains(context)",
        "{all: context}.all.vip",
    ] {
        assert_eq!(spoken(condition), (true, true), "{condition}");
    }
    let shipped = Policies::shipped().unwrap();
    assert_eq!(shipped.spoken, Spoken::default(), "what Caseledger comes with");
}

#[test]
fn decisions_are_remembered_across_minutes_and_units_unless_the_set_speaks_of_them() {
    let evening = when("context.timeOfDay > duration(\"18h\")");
    let unit = when("context.units.contains(\"icu\")");
    for (text, made) in [(DEFAULT, 1), (&*evening, 24), (&*unit, 3)] {
        let set = Policies::unfiled(text).unwrap();
        for hour in 0..24 {
            for units in [&["icu"][..], &["er"], &[]] {
                let facts =
                    Facts { time: at(&format!("fri {hour:02}:03")).time, ..in_units(&[], units) };
                set.decide(&reading(), &facts).unwrap();
            }
        }
        assert_eq!(set.decided.len(), made, "{}", set.version());
    }
}

#[test]
fn entries_are_masked_by_the_units_and_the_time_of_the_call() {
    let set = |condition: &str| {
        let text = format!(
            "@id(\"see\") permit (principal, action == Caseledger::Action::\"SeeEntry\", resource)\n\
             when {{ {condition} }};"
        );
        Arc::new(Policies::unfiled(&text).unwrap())
    };
    let class = Class { kind: domain::Kind::Note, labels: [].into() };
    let sees = |set: &Arc<Policies>, facts: &Facts| {
        Requester::new(set, &reading(), facts).may_see(&class).unwrap().allowed
    };
    let units = set("context.units.containsAny(principal.units)");
    assert!(sees(&units, &in_units(&["icu"], &["icu"])));
    assert!(!sees(&units, &in_units(&["icu"], &["er"])));
    let time = set("context.timeOfDay < duration(\"12h\")");
    assert!(sees(&time, &at("tue 11:59")) && !sees(&time, &at("tue 12:00")));
}

#[test]
fn without_the_time_a_set_that_speaks_of_it_decides_nothing() {
    let set = Policies::unfiled(&when("context.timeOfDay >= duration(\"0h\")")).unwrap();
    assert!(set.speak_of_time());
    let unknown = set.decide(&reading(), &Facts::default()).unwrap_err();
    assert!(matches!(unknown, Failure::Internal { .. }), "{unknown:?}");
    assert!(may(&set, &at("mon 00:00")));
}

#[test]
fn compliance_has_to_be_let_in_at_noon_on_some_day_whatever_its_units() {
    let officer = asked(Role::ComplianceOfficer, Operation::AdoptPolicy, "HCOMPL").caller;
    let shut = |condition: &str| {
        let text = format!(
            "{DEFAULT}@id(\"x\") forbid (principal, action, resource) when {{ {condition} }};"
        );
        match Policies::unfiled(&text).unwrap().keep_the_door_open(&officer) {
            Ok(()) => String::new(),
            Err(Failure::Refused { reason: "POLICY_LOCKS_OUT", message, .. }) => message,
            Err(failure) => panic!("{failure:?}"),
        }
    };
    let never = "context.timeOfDay >= duration(\"0h\")";
    let told = shut(never);
    assert!(
        told.contains("AdoptPolicy") && told.contains("at noon on any day of the week"),
        "{told}"
    );
    let but_on_thursdays = |from: &str, to: &str| {
        format!(
            "context.dayOfWeek != Caseledger::DayOfWeek::\"thu\" || \
             context.timeOfDay < duration(\"{from}\") || context.timeOfDay > duration(\"{to}\")"
        )
    };
    assert_eq!(shut(&but_on_thursdays("12h", "12h59m")), "", "it can be put right on Thursdays");
    assert!(shut(&but_on_thursdays("23h", "23h59m")).contains("at noon"), "who is there then?");
    let elsewhere = "!(principal.units.contains(\"compliance\"))";
    let told = shut(elsewhere);
    assert!(told.contains("AdoptPolicy") && !told.contains("hour"), "units change: {told}");
}

#[test]
fn a_call_on_the_trail_is_decided_by_the_units_and_the_time_of_then() {
    let facts = in_units(&["icu"], &["icu", "er"]);
    let set = Policies::unfiled(&when(
        "context.units.containsAny(principal.units) && context.timeOfDay < duration(\"12h\")",
    ));
    let set = Arc::new(set.unwrap());
    let again = |facts: &Facts, recorded: &str| {
        let record = texts::recorded(facts);
        let recorded = LocalTime::parse(recorded).unwrap();
        let requester = Requester::recorded(&set, &record, || recorded).unwrap();
        requester.may_call(Operation::named(&record.operation).unwrap()).unwrap().allowed
    };
    assert!(again(&facts, "mon 11:59"), "when it was recorded, where nothing else is said");
    assert!(!again(&facts, "mon 12:00"));
    assert!(!again(&in_units(&["icu"], &["er"]), "mon 11:59"));
    let decided = Facts { time: LocalTime::parse("mon 11:59"), ..facts };
    assert!(again(&decided, "mon 12:00"), "when it was decided, where that is said");
}
