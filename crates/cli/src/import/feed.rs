//! Reading and mapping, ahead of sending.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::v1;
use fhir::{Found, Importer, Outcome, Phase, Place, Refusal, Resource, Resources};
use prost::Message;
use tokio::sync::mpsc::Sender;

use super::count::{Count, Where};
use super::files;
use crate::failure::Failure;

/// Items sent in one message: half of what the server takes, so that a batch never waits for the
/// rest of another.
const BATCH_ITEMS: usize = 128;

/// Bytes sent in one message, far below gRPC's 4 MiB even with the largest item on top.
const BATCH_BYTES: usize = 1024 * 1024;

/// Items gathered and put in order of their patients before they are sent: files that are ordered
/// by type (NDJSON) hold the entries of one patient far apart, and the server files neighbours of
/// one patient in one contribution, which is several times quicker than one each.
const GATHER_ITEMS: usize = 16_384;

/// Bytes gathered, at most: what the reading may hold in memory.
const GATHER_BYTES: usize = 32 * 1024 * 1024;

/// An item and where it comes from.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    pub(super) item: v1::ImportItem,
    pub(super) found: Where,
    /// Key of the Patient whose it is, if it is known.
    pub(super) patient: Option<Arc<str>>,
    /// Size of the item, in bytes.
    pub(super) bytes: usize,
}

/// What the reading gives, in order.
#[derive(Debug)]
pub(super) enum Step {
    /// Items to send.
    Batch(Vec<Parcel>),
    /// A resource that cannot be sent.
    Refused(Where, Refusal),
    /// Paths of elements that an item does not carry.
    NotCarried(Vec<String>),
    /// Nothing of the next phase may be sent before all of this one is answered.
    PhaseEnd(Phase),
    /// A file could be read before and cannot now.
    Failed(Failure),
}

/// The files, once everybody in them is known.
#[derive(Debug)]
pub(super) struct Feed {
    files: Vec<PathBuf>,
    importer: Importer,
}

/// Reads everything once: who is who, and how much there is.
pub(super) fn survey(files: Vec<PathBuf>, source: &str) -> Result<(Feed, Count), Failure> {
    let mut importer = Importer::new(source);
    let mut count = Count::default();
    let (compressed, files): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|file| files::is_compressed(file));
    for file in compressed {
        let text = "the file is compressed and was not read: unpack it".to_owned();
        let refusal = Refusal { code: "COMPRESSED", field: String::new(), text };
        count.unreadable(file.display().to_string(), &refusal);
    }
    for file in &files {
        for found in open(file)? {
            match found.map_err(|error| cannot_read(file, error))? {
                Found::Resource(resource) if resource.phase() == Phase::NotImported => {
                    count.skip(&resource.resource_type, None);
                }
                Found::Resource(resource) => {
                    importer.learn(&resource);
                    count.found(&resource.resource_type);
                }
                Found::Skipped(skip) => count.skip(&skip.resource_type, Some(skip.reason)),
                Found::Deleted(resource_type) => count.deleted(&resource_type),
                Found::Bad(place, refusal) => {
                    count.unreadable(location(file, place), &refusal);
                }
            }
        }
    }
    Ok((Feed { files, importer }, count))
}

impl Feed {
    /// Gives every resource, phase by phase; ends early when nobody listens any more.
    pub(super) fn run(self, steps: &Sender<Step>) {
        // a closed channel is the listener's decision, not a fault
        let _ = self.all(steps);
    }

    fn all(&self, steps: &Sender<Step>) -> Result<(), Closed> {
        let mut batch = Batch { parcels: Vec::new(), bytes: 0, number: 0, steps };
        for phase in Phase::SENT {
            for file in &self.files {
                let resources = match open(file) {
                    Ok(resources) => resources,
                    Err(failure) => return batch.give(Step::Failed(failure)),
                };
                for found in resources {
                    match found {
                        Ok(Found::Resource(resource)) if resource.phase() == phase => {
                            self.one(file, &resource, &mut batch)?;
                        }
                        Ok(_) => {} // counted by the survey
                        Err(error) => return batch.give(Step::Failed(cannot_read(file, error))),
                    }
                }
            }
            batch.flush()?;
            batch.give(Step::PhaseEnd(phase))?;
        }
        Ok(())
    }

    fn one(&self, file: &Path, resource: &Resource, batch: &mut Batch<'_>) -> Result<(), Closed> {
        batch.number += 1;
        let mapped = self.importer.map(resource, batch.number);
        let found = Where::new(
            &resource.resource_type,
            location(file, resource.place),
            resource.source_key().unwrap_or_default(),
        );
        if !mapped.not_carried.is_empty() {
            batch.give(Step::NotCarried(mapped.not_carried))?;
        }
        match mapped.outcome {
            Outcome::Item(item) => batch.add(*item, found, mapped.patient),
            Outcome::Refused(refusal) => batch.give(Step::Refused(found, refusal)),
        }
    }
}

/// Nobody listens any more.
#[derive(Debug)]
struct Closed;

/// Items on their way to become a message.
#[derive(Debug)]
struct Batch<'a> {
    parcels: Vec<Parcel>,
    bytes: usize,
    number: u64,
    steps: &'a Sender<Step>,
}

impl Batch<'_> {
    fn add(
        &mut self,
        item: v1::ImportItem,
        found: Where,
        patient: Option<Arc<str>>,
    ) -> Result<(), Closed> {
        let bytes = item.encoded_len();
        self.bytes += bytes;
        self.parcels.push(Parcel { item, found, patient, bytes });
        if self.parcels.len() >= GATHER_ITEMS || self.bytes >= GATHER_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Sends what was gathered, the items of each patient together and in their order.
    fn flush(&mut self) -> Result<(), Closed> {
        self.bytes = 0;
        let mut parcels = std::mem::take(&mut self.parcels);
        // a stable sort: what a file says first stays first
        parcels.sort_by(|one, other| number(one).cmp(&number(other)));
        let (mut message, mut bytes) = (Vec::new(), 0);
        for parcel in parcels {
            bytes += parcel.bytes;
            message.push(parcel);
            if message.len() >= BATCH_ITEMS || bytes >= BATCH_BYTES {
                bytes = 0;
                self.give(Step::Batch(std::mem::take(&mut message)))?;
            }
        }
        if message.is_empty() { Ok(()) } else { self.give(Step::Batch(message)) }
    }

    fn give(&self, step: Step) -> Result<(), Closed> {
        self.steps.blocking_send(step).map_err(|_| Closed)
    }
}

/// The number by which the item's patient is found.
fn number(parcel: &Parcel) -> Option<(&str, &str)> {
    match parcel.item.patient.as_ref()?.patient.as_ref()? {
        v1::patient_selector::Patient::Number(number) => Some((&number.issuer, &number.value)),
        v1::patient_selector::Patient::PatientId(id) => Some(("", id)),
    }
}

fn open(file: &Path) -> Result<Resources, Failure> {
    fhir::read(file).map_err(|error| cannot_read(file, error))
}

fn cannot_read(file: &Path, error: std::io::Error) -> Failure {
    Failure::local(format!("read {}", file.display()), error)
}

fn location(file: &Path, place: Place) -> String {
    format!("{}, {place}", file.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    const PATIENT: &str =
        r#"{"resourceType":"Patient","id":"p","identifier":[{"system":"s","value":"1"}]}"#;

    fn steps_of(lines: &[String]) -> (Vec<Step>, Count) {
        let path = std::env::temp_dir().join(format!(
            "caseledger-feed-{}-{}.ndjson",
            std::process::id(),
            lines.len()
        ));
        std::fs::write(&path, lines.join("\n")).unwrap();
        let (feed, count) = survey(vec![path.clone()], "https://source.example").unwrap();
        let (sender, mut receiver) = mpsc::channel(1024);
        feed.run(&sender);
        drop(sender);
        std::fs::remove_file(&path).unwrap();
        (std::iter::from_fn(|| receiver.blocking_recv()).collect(), count)
    }

    fn condition(id: usize) -> String {
        format!(
            r#"{{"resourceType":"Condition","id":"{id}","subject":{{"reference":"Patient/p"}},"stage":[]}}"#
        )
    }

    #[test]
    fn patients_come_first_and_batches_are_bounded() {
        let mut lines: Vec<_> = (0..BATCH_ITEMS + 1).map(condition).collect();
        lines.extend([
            PATIENT.to_owned(),
            "rubbish".to_owned(),
            r#"{"resourceType":"Claim"}"#.to_owned(),
        ]);
        lines.push(
            r#"{"resourceType":"Encounter","id":"e","subject":{"reference":"Patient/x"}}"#
                .to_owned(),
        );
        let (steps, count) = steps_of(&lines);
        let said: Vec<_> = steps
            .iter()
            .filter_map(|step| match step {
                Step::Batch(parcels) => {
                    Some(format!("{} × {}", parcels.len(), parcels[0].found.resource_type))
                }
                Step::Refused(found, refusal) => Some(format!("{} {}", found.source, refusal.code)),
                Step::NotCarried(_) => None,
                Step::PhaseEnd(phase) => Some(format!("{phase:?}")),
                Step::Failed(failure) => Some(failure.report()),
            })
            .collect();
        assert_eq!(
            said,
            [
                "1 × Patient",
                "Patients",
                "Encounter/e PATIENT_NOT_IN_IMPORT",
                "Encounters",
                "128 × Condition",
                "1 × Condition",
                "Entries",
            ]
        );
        let numbers: Vec<u64> = steps
            .iter()
            .flat_map(|step| if let Step::Batch(parcels) = step { parcels.as_slice() } else { &[] })
            .map(|parcel| parcel.item.number)
            .collect();
        assert_eq!(numbers.len(), 130);
        assert!(numbers.is_sorted_by(|a, b| a < b), "each number once, in order: one patient");
        assert_eq!(count.read(), 132, "130 items, one refused here, one unreadable");
        assert_eq!(count.json()["skipped"]["Claim"], 1);
    }

    #[test]
    fn a_compressed_file_counts_as_what_cannot_be_read() {
        let files = vec![PathBuf::from("Patient.ndjson.gz")];
        let (feed, count) = survey(files, "https://source.example").unwrap();
        assert!(feed.files.is_empty() && !count.is_complete());
        assert_eq!(count.json()["refusals"][0]["reason"], "COMPRESSED");
    }

    #[test]
    fn entries_of_a_patient_are_sent_together() {
        let patient = |id: &str| {
            format!(
                r#"{{"resourceType":"Patient","id":"{id}","identifier":[{{"system":"s","value":"{id}"}}]}}"#
            )
        };
        let condition = |id: u32, patient: &str| {
            format!(
                r#"{{"resourceType":"Condition","id":"{id}","subject":{{"reference":"Patient/{patient}"}}}}"#
            )
        };
        let lines = [
            condition(1, "a"),
            condition(2, "b"),
            condition(3, "a"),
            condition(4, "b"),
            patient("b"),
            patient("a"),
        ];
        let (steps, _) = steps_of(&lines);
        let mut batches = steps
            .iter()
            .filter_map(|step| if let Step::Batch(parcels) = step { Some(parcels) } else { None });
        let sent = batches.next_back();
        let order: Vec<_> =
            sent.unwrap().iter().map(|parcel| parcel.found.source.as_str()).collect();
        assert_eq!(order, ["Condition/1", "Condition/3", "Condition/2", "Condition/4"]);
    }
}
