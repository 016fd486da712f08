//! What the cases are about: entries as they are filed every day.

use anyhow::Context as _;
use domain::{
    Actor, CodeableConcept, Coding, Decimal, Detail, Effective, Entry, EntryId, EntryState,
    FhirDateTime, Note, Observation, ObservationValue, Quantity, ReferenceRange, SourceId, Stamp,
};
use ledger::header::{HEADER_FORMAT, SUITE_SEALED};
use ledger::{
    ActorId, ContributionId, Hash, Header, KeyId, LeafType, LedgerId, NodeId, RecordId, SubjectId,
};

/// When everything is recorded: microseconds since the Unix epoch, UTC.
pub(crate) const NOW: u64 = 1_790_000_000_000_000;

/// The node that seals.
pub(crate) const NODE: NodeId = NodeId([1; 16]);

/// The header of a record that begins its chain.
pub(crate) fn header(subject: SubjectId, contribution: ContributionId, key: KeyId) -> Header {
    Header {
        format: HEADER_FORMAT,
        leaf: LeafType::Record,
        suite: SUITE_SEALED,
        ledger: LedgerId::RECORDS,
        record_id: RecordId([3; 16]),
        contribution_id: contribution,
        index: 0,
        count: 1,
        subject,
        version: 1,
        previous: Hash::ZERO,
        recorded_at: NOW,
        node: NODE,
        actor: ActorId([4; 16]),
        envelope_version: schema::CURRENT_ENVELOPE,
        data_key: key,
        key_commitment: Hash([6; 32]),
        body_length: 0,
        body_hash: Hash::ZERO,
    }
}

fn concept(system: &str, code: &str, display: &str) -> CodeableConcept {
    let coding = Coding {
        system: system.to_owned(),
        code: code.to_owned(),
        display: Some(display.to_owned()),
        ..Coding::default()
    };
    CodeableConcept { coding: vec![coding], text: Some(display.to_owned()) }
}

fn person(number: u32, name: &str) -> Option<Actor> {
    Some(Actor { reference: format!("Practitioner/{number}"), display: Some(name.to_owned()) })
}

fn millimoles(value: &str) -> anyhow::Result<Quantity> {
    Ok(Quantity {
        value: Decimal::parse(value).ok().context("a decimal")?,
        comparator: None,
        unit: Some("mmol/L".to_owned()),
        system: Some("http://unitsofmeasure.org".to_owned()),
        code: Some("mmol/L".to_owned()),
    })
}

/// A laboratory result with its reference range.
pub(crate) fn observation() -> anyhow::Result<Entry> {
    let day = FhirDateTime::parse("2026-03-05T08:15:00+01:00").ok().context("a time")?;
    Ok(Entry {
        status: Some("final".to_owned()),
        code: concept("http://loinc.org", "2823-3", "Potassium"),
        effective: Some(Effective::At(day)),
        recorder: person(17, "Ngozi Adeyemi"),
        asserter: person(21, "Björn Þórsson"),
        unit: Some("ICU 2".to_owned()),
        source: Some(SourceId { system: "urn:lab".to_owned(), value: "2026/0305-17".to_owned() }),
        detail: Detail::Observation(Observation {
            value: Some(ObservationValue::Quantity(millimoles("4.10")?)),
            reference_range: vec![ReferenceRange {
                low: Some(millimoles("3.5")?),
                high: Some(millimoles("5.1")?),
                text: None,
            }],
            ..Observation::default()
        }),
        ..Entry::default()
    })
}

/// A progress note of a few lines.
pub(crate) fn note() -> Entry {
    Entry {
        status: Some("current".to_owned()),
        code: concept("http://loinc.org", "11506-3", "Progress note"),
        recorder: person(17, "Ngozi Adeyemi"),
        detail: Detail::Note(Note {
            title: Some("Morning round".to_owned()),
            author: None,
            text: "Slept well, no fever, drinks and eats. Potassium in range since yesterday. \
                   Cannula out; mobilises with help. Discharge planned for Thursday. "
                .repeat(3),
        }),
        ..Entry::default()
    }
}

/// A file's entries, results and notes in turn.
pub(crate) fn states(count: u8) -> anyhow::Result<Vec<EntryState>> {
    (0..count)
        .map(|number| {
            let entry = if number.is_multiple_of(2) { observation()? } else { note() };
            Ok(EntryState {
                id: EntryId([number; 16]),
                entry,
                revision: 1,
                filed: Stamp::default(),
                changed: Stamp::default(),
                last_change: None,
                retracted: None,
            })
        })
        .collect()
}
