//! The shipped patients are what `deploy/samples/README.md` says: whole, distinct, of a size that
//! somebody can read. Whether their codes hold is the import's to say.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::repository::{self, File};
use crate::{assert_none, assert_seen};

const FOLDER: &str = "deploy/samples/";
const PEOPLE: usize = 12;
const ENTRIES: std::ops::RangeInclusive<usize> = 10..=60;
const ISSUER: &str = "https://hospital.example/mrn";

fn resources(bundle: &Value) -> impl Iterator<Item = &Value> {
    bundle["entry"].as_array().into_iter().flatten().map(|entry| &entry["resource"])
}

/// What is wrong inside one bundle.
fn faults(bundle: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let count = resources(bundle).count();
    if !ENTRIES.contains(&count) {
        found.push(format!("{count} entries"));
    }
    let patients = resources(bundle).filter(|r| r["resourceType"] == "Patient").count();
    if patients != 1 {
        found.push(format!("{patients} patients"));
    }
    let urls: BTreeSet<&str> = bundle["entry"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|e| e["fullUrl"].as_str())
        .collect();
    if urls.len() != count {
        found.push(format!("{} distinct fullUrl for {count} entries", urls.len()));
    }
    for resource in resources(bundle) {
        for key in ["subject", "patient", "encounter"] {
            let reference = resource[key]["reference"].as_str();
            found.extend(
                reference.filter(|r| !urls.contains(r)).map(|r| format!("`{key}` points at {r}")),
            );
        }
    }
    found
}

fn numbers(bundle: &Value) -> Vec<&str> {
    resources(bundle)
        .filter_map(|resource| resource["identifier"].as_array())
        .flatten()
        .filter(|identifier| identifier["system"] == ISSUER)
        .filter_map(|identifier| identifier["value"].as_str())
        .collect()
}

fn violations(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let readme = files.iter().find(|file| file.path == format!("{FOLDER}README.md"));
    let described = |name: &str| readme.is_some_and(|r| r.text.contains(&format!("`{name}`")));
    for file in files {
        let name = file.path.strip_prefix(FOLDER).and_then(|name| name.strip_suffix(".json"));
        let Some(name) = name else { continue };
        let bundle: Value = match serde_json::from_str(&file.text) {
            Ok(bundle) => bundle,
            Err(error) => {
                found.push(format!("{name}: {error}"));
                continue;
            }
        };
        found.extend(faults(&bundle).into_iter().map(|fault| format!("{name}: {fault}")));
        let own = numbers(&bundle);
        if own.len() != 1 || !own.iter().all(|number| seen.insert((*number).to_owned())) {
            found.push(format!("{name}: needs one hospital number of its own, has {own:?}"));
        }
        if !described(name) {
            found.push(format!("{name}: the README of the samples does not mention it"));
        }
    }
    if seen.len() < PEOPLE {
        found.push(format!("{} people, at least {PEOPLE}", seen.len()));
    }
    found
}

#[test]
fn the_samples_are_whole_and_distinct() {
    assert_none("samples", &violations(&repository::files()));
}

#[test]
fn a_broken_sample_is_seen() {
    let person = |number: usize, entries: usize| {
        let observation = |n: usize| {
            json!({ "fullUrl": format!("urn:{number}:{n}"), "resource": {
                "resourceType": "Observation", "subject": { "reference": format!("urn:{number}") } } })
        };
        let patient = json!({ "fullUrl": format!("urn:{number}"), "resource": {
            "resourceType": "Patient",
            "identifier": [{ "system": ISSUER, "value": format!("N-{number}") }] } });
        let all = std::iter::once(patient).chain((1..entries).map(observation));
        json!({ "resourceType": "Bundle", "entry": all.collect::<Vec<_>>() })
    };
    let file = |name: &str, bundle: &Value| {
        File::new(&format!("{FOLDER}{name}.json"), &bundle.to_string())
    };
    let mut files: Vec<File> =
        (1..=PEOPLE).map(|n| file(&format!("p{n}"), &person(n, 10))).collect();
    let names: String = (1..=PEOPLE).map(|n| format!("`p{n}` ")).collect();
    files.push(File::new(&format!("{FOLDER}README.md"), &names));
    assert_none("whole", &violations(&files));

    let mut dangling = person(2, 10);
    dangling["entry"][3]["resource"]["encounter"]["reference"] = json!("urn:nowhere");
    files[1] = file("p2", &dangling);
    files[2] = file("p3", &person(3, 9));
    files[3] = file("p4", &person(1, 60));
    files[4] = File::new(&format!("{FOLDER}p5.json"), "{");
    files.push(file("p99", &person(99, 10)));
    assert_seen(
        &violations(&files),
        &[
            "p2: `encounter` points at urn:nowhere",
            "p3: 9 entries",
            "p4: needs one hospital number",
            "p5: EOF",
            "p99: the README",
            "11 people",
        ],
    );
}
