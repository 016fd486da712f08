use super::*;

fn access(scope: EmergencyScope) -> EmergencyAccess {
    EmergencyAccess {
        id: [7; 16],
        person: "jdoe".to_owned(),
        actor: ActorId([5; 16]),
        roles: vec!["nurse".to_owned()],
        reason_code: "OVRER".to_owned(),
        reason: "found unconscious".to_owned(),
        scope,
        from: 1_000,
        until: 2_000,
        ended: None,
    }
}

fn record(access: &EmergencyAccess, operation: Operation, told: String) -> AccessRecord {
    AccessRecord {
        kind: schema::AccessKind::Query,
        person: Some(access.person.clone()),
        service: "console".to_owned(),
        roles: access.roles.clone(),
        organisation: String::new(),
        purpose: "BTG".to_owned(),
        reason: Some(access.reason.clone()),
        relationship: None,
        operation: operation.name().to_owned(),
        outcome: Outcome::Shown,
        request: Vec::new(),
        position: 0,
        trail: 0,
        answered_at: 0,
        first_version: 0,
        version: 0,
        policy_version: String::new(),
        deciding: Vec::new(),
        circumstances: Vec::new(),
        masked: Vec::new(),
        answer_format: 1,
        count: 1,
        answer_digest: [0; 32],
        told: Some(told),
        network: None,
        issuer: None,
        emergency: Some(access.id),
    }
}

fn header(recorded_at: u64) -> Header {
    Header {
        format: ledger::header::HEADER_FORMAT,
        leaf: ledger::LeafType::Record,
        suite: ledger::header::SUITE_SEALED,
        ledger: ledger::LedgerId::ACCESS,
        record_id: ledger::RecordId([1; 16]),
        contribution_id: ledger::ContributionId([1; 32]),
        index: 0,
        count: 1,
        subject: SubjectId([2; 16]),
        version: 1,
        previous: ledger::Hash::ZERO,
        recorded_at,
        node: ledger::NodeId([3; 16]),
        actor: ActorId([5; 16]),
        envelope_version: 1,
        data_key: ledger::KeyId([4; 16]),
        key_commitment: ledger::Hash::ZERO,
        body_length: 0,
        body_hash: ledger::Hash::ZERO,
    }
}

#[test]
fn what_the_trail_tells_is_what_was_begun_and_ended() {
    for scope in [
        EmergencyScope::Patient(PatientId([3; 16])),
        EmergencyScope::Entry(PatientId([3; 16]), EntryId([4; 16])),
        EmergencyScope::Unit("Ward 3 East".to_owned()),
    ] {
        let begun = access(scope);
        let mut known = Known::default();
        let start = record(&begun, Operation::BreakGlass, begun.told());
        known.take(&header(1_001), &start);
        known.take(&header(1_001), &start);
        assert_eq!(known.register.values().collect::<Vec<_>>(), [&begun]);
        let end = |told: &str| record(&begun, Operation::EndEmergencyAccess, told.to_owned());
        known.take(&header(1_600), &end("ended"));
        known.take(&header(1_700), &end("ended 1500"));
        known.take(&header(1_710), &end("ended 1550"));
        assert_eq!(known.register[&begun.id].ended, Some(1_500), "the first end counts");
    }
}

#[test]
fn what_was_denied_or_reads_otherwise_opens_nothing() {
    let begun = access(EmergencyScope::Patient(PatientId([3; 16])));
    let mut known = Known::default();
    let start = record(&begun, Operation::BreakGlass, begun.told());
    known.take(&header(1_001), &AccessRecord { outcome: Outcome::Denied, ..start.clone() });
    known.take(
        &header(1_001),
        &AccessRecord { operation: "Other/Call".to_owned(), ..start.clone() },
    );
    known.take(&header(1_001), &AccessRecord { told: Some("until 9".to_owned()), ..start });
    assert!(known.register.is_empty());
}

#[test]
fn it_is_open_until_it_expires_or_is_ended() {
    let mut begun = access(EmergencyScope::Unit("Ward 3".to_owned()));
    assert!(begun.open(1_999));
    assert!(!begun.open(2_000), "it expires by itself");
    begun.ended = Some(1_200);
    assert!(!begun.open(1_300));
}

#[test]
fn one_begun_by_a_clock_far_ahead_is_not_open() {
    let (from, until) = (AHEAD + 1_000, 2 * AHEAD);
    let begun =
        EmergencyAccess { from, until, ..access(EmergencyScope::Unit("Ward 3".to_owned())) };
    assert!(!begun.open(999));
    assert!(begun.open(1_000), "clocks differ a little");
}

#[test]
fn one_for_an_entry_covers_reading_and_changes_of_that_entry_alone() {
    let (entry, other) = (EntryId([4; 16]), EntryId([5; 16]));
    let retract = |id| Command::RetractEntry { id, reason: "slip".to_owned() };
    let amend = |id| Command::AmendEntry {
        id,
        entry: domain::Entry::default(),
        mask: Vec::new(),
        how: domain::Amendment::Correction,
        reason: "slip".to_owned(),
    };
    let add = Command::AddEntry { id: entry, entry: domain::Entry::default() };
    let contributes = |changes: &[Command]| is_about(Operation::Contribute, entry, changes);
    assert!(contributes(&[amend(entry), retract(entry)]));
    assert!(!contributes(&[amend(entry), retract(other)]));
    assert!(!contributes(&[amend(entry), add]));
    assert!(!contributes(&[]));
    let reads = [
        Operation::GetPatientFile,
        Operation::GetPatientHistory,
        Operation::FindPatient,
        Operation::WatchPatientFile,
    ];
    let covered = Operation::ALL.into_iter().filter(|call| is_about(*call, entry, &[]));
    assert_eq!(covered.collect::<Vec<_>>(), reads, "what masks nothing is not for one entry");
    assert!(!is_about(Operation::Import, entry, &[amend(entry)]));
}

#[test]
fn of_several_the_widest_is_used_and_then_the_one_begun_last() {
    let patient = PatientId([3; 16]);
    let begun = |scope, from| EmergencyAccess { from, ..access(scope) };
    let of = |entry, from| begun(EmergencyScope::Entry(patient, EntryId([entry; 16])), from);
    let whole = begun(EmergencyScope::Patient(patient), 1);
    let unit = begun(EmergencyScope::Unit("Ward 3".to_owned()), 1);
    let (first, last) = (of(4, 2), of(5, 3));
    assert!(whole.rank() > last.rank() && unit.rank() > last.rank());
    assert!(last.rank() > first.rank());
    assert_eq!((first.patient(), first.alone()), (Some(patient), Some(EntryId([4; 16]))));
    assert_eq!((whole.alone(), unit.alone()), (None, None));
}
