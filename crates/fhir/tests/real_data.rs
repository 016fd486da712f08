//! The synthetic hospitals in the shared folder, if there is one: every resource ends in exactly
//! one way, and whatever is refused is refused for a reason that is known here.

#![expect(clippy::unwrap_used, reason = "a test, with helpers outside its functions")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fhir::{Found, Importer, Outcome, Phase, read};

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "json" || kind == "ndjson"))
        .collect();
    files.sort();
    files
}

#[derive(Debug, Default, PartialEq)]
struct Count {
    found: usize,
    items: BTreeMap<String, usize>,
    refused: BTreeMap<String, usize>,
    not_imported: usize,
    not_carried: BTreeMap<String, usize>,
}

fn import(files: &[PathBuf]) -> Count {
    let mut importer = Importer::new("https://trial.example");
    let mut count = Count::default();
    for file in files {
        for found in read(file).unwrap() {
            count.found += 1;
            match found.unwrap() {
                Found::Resource(resource) => {
                    importer.learn(&resource);
                    count.not_imported += usize::from(resource.phase() == Phase::NotImported);
                }
                Found::Skipped(_) | Found::Deleted(_) => count.not_imported += 1,
                Found::Bad(_, refusal) => {
                    *count.refused.entry(refusal.code.to_owned()).or_default() += 1
                }
            }
        }
    }
    for phase in Phase::SENT {
        for found in files.iter().flat_map(|file| read(file).unwrap()) {
            let Found::Resource(resource) = found.unwrap() else { continue };
            if resource.phase() != phase {
                continue;
            }
            let mapped = importer.map(&resource, 0);
            for path in mapped.not_carried {
                *count.not_carried.entry(path).or_default() += 1;
            }
            match mapped.outcome {
                Outcome::Item(item) => {
                    assert!(item.patient.is_some() && item.source.is_some());
                    *count.items.entry(resource.resource_type).or_default() += 1;
                }
                Outcome::Refused(refusal) => {
                    *count
                        .refused
                        .entry(format!("{} {}", resource.resource_type, refusal.code))
                        .or_default() += 1;
                }
            }
        }
    }
    let ended = count.items.values().sum::<usize>() + count.refused.values().sum::<usize>();
    assert_eq!(ended + count.not_imported, count.found, "every resource ends in one way");
    count
}

fn counts<const N: usize>(rows: [(&str, usize); N]) -> BTreeMap<String, usize> {
    rows.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

#[test]
fn synthea_is_mapped_whole() {
    let Some(folder) = testkit::shared::folder("data/synthea") else { return };
    let count = import(&files(&folder));
    eprintln!("{:#?}", count.not_carried);
    assert_eq!(count.refused, BTreeMap::new());
    assert_eq!(
        count.items,
        counts([
            ("AllergyIntolerance", 32),
            ("Condition", 331),
            ("Encounter", 1283),
            ("Immunization", 616),
            ("MedicationRequest", 269),
            ("Observation", 6383),
            ("Patient", 48),
            ("Procedure", 648),
        ])
    );
}

#[test]
fn the_hospital_is_mapped_whole() {
    let Some(folder) = testkit::shared::folder("data/hospital") else { return };
    let count = import(&files(&folder));
    eprintln!("{:#?}", count.not_carried);
    assert_eq!(count.refused, BTreeMap::new());
    assert_eq!(
        count.items,
        counts([
            ("AllergyIntolerance", 951),
            ("CareTeam", 1104),
            ("Condition", 3433),
            ("DocumentReference", 406),
            ("Encounter", 1124),
            ("Immunization", 1500),
            ("MedicationRequest", 3307),
            ("Observation", 3000),
            ("Patient", 871),
            ("Procedure", 150),
            ("ServiceRequest", 4222),
        ])
    );
}

/// The project's own samples, which are always there.
#[test]
fn the_samples_are_mapped_whole() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/samples");
    let count = import(&files(&samples));
    eprintln!("{:#?}", count.not_carried);
    assert_eq!(count.refused, BTreeMap::new());
    assert_eq!(count.items.get("Patient"), Some(&16));
    assert!(count.items.len() >= 8, "{:?}", count.items);
}
