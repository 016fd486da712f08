//! `caseledger prove`: evidence that anybody can check years later with nothing of ours installed.
//!
//! A zip of `README.txt` (what it proves and how to check it), `check.py` with `forms.py`, `checkpoint.txt`,
//! `policy.txt`, `evidence.json` (leaves, proofs), and of every record that it is about `bodies/N.bin` (as on file)
//! and `records/N.json` (what the node says it says, which `check.py` reads in the body by itself).

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::ExitCode;

use api::v1;
use api::v1::patient_file_service_client::PatientFileServiceClient;
use ledger::SubjectId;
use ledger::checkpoint::Checkpoint;
use ledger::policy::Policy;
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::connection::connect;
use crate::evidence::{self, About, Checked, Evidence};
use crate::failure::Failure;
use crate::json;
use crate::options::Global;
use crate::output::Output;
use crate::patient::{self, Named};
use crate::proof;
use crate::purpose::{self, Otherwise};
use crate::stopping::Stopping;

use self::options::Prove;

pub(crate) mod options;
mod package;

const CHECK: &str = include_str!("prove/check.py");
const FORMS: &str = include_str!("prove/forms.py");
const COVER: &str = include_str!("prove/cover.txt");

pub(crate) async fn run(
    global: &Global,
    wanted: &Prove,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let (policy_text, given) = match &wanted.policy {
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .map_err(|error| Failure::local(format!("read {}", file.display()), error))?;
            (text, true)
        }
        None => (proof::node_policy(global, &wanted.which).await?, false),
    };
    let policy: Policy =
        policy_text.parse().map_err(|error| Failure::Usage(format!("--policy: {error}")))?;
    let mut stopping = Stopping::new()?.or_hung_up()?;
    // Before anything is asked for, and so recorded. It holds what records say, and their keys.
    let package = package::begun(&wanted.output)?;
    let made = tokio::select! {
        made = make(global, wanted, &policy, &policy_text, given, package.as_file()) => made,
        () = stopping.asked() => Err(package::interrupted(&wanted.output)),
    };
    match made? {
        Ok(told) => {
            package::keep(package, &wanted.output)?;
            let json = || {
                json!({"verdict": "intact", "file": wanted.output, "records": told.records,
                "opened": told.opened, "number_shown": told.number,
                "size": told.checkpoint.size, "origin": told.checkpoint.origin})
            };
            output.show(json, || told.text(&wanted.output, given))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(found) => found.show(output),
    }
}

/// What is in a package.
struct Told {
    checkpoint: Checkpoint,
    records: usize,
    opened: usize,
    about: About,
    /// Of a patient named by number: whether their records show that it is theirs.
    number: Option<bool>,
}

impl Told {
    fn text(&self, file: &Path, given: bool) -> String {
        let Self { checkpoint, records, opened, about, number } = self;
        let complete = match (about, records) {
            (About::Patient(_), 0) => {
                "the ledger holds nothing about this patient, as the checkpoint shows"
            }
            (About::Patient(_), _) => {
                "nothing about the patient is left out, as the checkpoint shows"
            }
            (About::Position(_), _) => "it is on file, as the checkpoint shows",
            (About::Range(..), _) => "they are on file, and no other stands between them",
        };
        let number = match number {
            Some(false) => "\nthat the number typed is this patient's is the node's word",
            Some(true) | None => "",
        };
        let policy = match given {
            true => "",
            false => {
                "\nthe policy came from the node: compare policy.txt with one that you got from the \
                 administrators"
            }
        };
        format!(
            "{}: {records} record(s), {opened} of them opened, under the checkpoint of {} leaves\n\
             {complete}{number}{policy}\n\
             check it:  unzip it, and in its folder:  python3 check.py",
            file.display(),
            checkpoint.size
        )
    }
}

async fn make(
    global: &Global,
    wanted: &Prove,
    policy: &Policy,
    policy_text: &str,
    given: bool,
    file: &File,
) -> Result<Result<Told, crate::verify::Found>, Failure> {
    let (about, named) = about(global, wanted).await?;
    let request = v1::ProveRequest {
        purpose: Some(purpose::of(global, Otherwise::Always("HCOMPL"))?),
        ledger: Some(wanted.which.ledger.id()),
        about: Some(match about {
            About::Patient(subject) => v1::prove_request::About::PatientId(hex::encode(subject.0)),
            About::Position(position) => v1::prove_request::About::Position(position),
            About::Range(first, end) => {
                v1::prove_request::About::Range(v1::LeafRange { first, end })
            }
        }),
        contents: !wanted.headers_only && wanted.range.is_none(),
    };
    let evidence = match evidence::fetch(global, request).await? {
        Ok(evidence) => evidence,
        Err(found) => return Ok(Err(found)),
    };
    let (checkpoint, checked) = match evidence.check(policy, wanted.which.ledger.of(), about) {
        Ok(checked) => checked,
        Err(found) => return Ok(Err(found)),
    };
    let number = match evidence::bears(named.as_ref(), wanted.which.ledger.of(), &checked) {
        Ok(number) => number,
        Err(found) => return Ok(Err(found)),
    };
    let told = Told {
        records: checked.len(),
        opened: checked.iter().filter(|one| one.opened).count(),
        checkpoint,
        about,
        number,
    };
    let described = describe(&evidence, &checked, &told.checkpoint, about, wanted);
    let cover = cover(&told, named.as_ref(), wanted, given);
    let written = write(file, &described, &cover, policy_text, &evidence, &checked);
    written.map_err(|error| Failure::local(format!("write {}", wanted.output.display()), error))?;
    Ok(Ok(told))
}

/// What is to be proved, and the patient as typed.
async fn about(global: &Global, wanted: &Prove) -> Result<(About, Option<Named>), Failure> {
    if let Some(position) = wanted.position {
        return Ok((About::Position(position), None));
    }
    if let Some((first, end)) = wanted.range {
        return Ok((About::Range(first, end), None));
    }
    let typed = wanted.patient.as_deref().unwrap_or_default();
    let named = patient::parse(typed, &wanted.issuer.issuer)?;
    let mut client = PatientFileServiceClient::new(connect(global).await?);
    let purpose = purpose::of(global, Otherwise::Always("HCOMPL"))?;
    let id = patient::resolve(&mut client, global, purpose, named.clone()).await?;
    let id = id.parse().map_err(|error| Failure::local("read the patient's id", error))?;
    Ok((About::Patient(id), Some(named)))
}

/// `evidence.json`.
fn describe(
    evidence: &Evidence,
    checked: &[Checked<'_>],
    checkpoint: &Checkpoint,
    about: About,
    wanted: &Prove,
) -> Value {
    let proof = &evidence.proof;
    let hexes = |hashes: &[Vec<u8>]| hashes.iter().map(hex::encode).collect::<Vec<_>>();
    let end = |end: &v1::SubjectSummary| {
        json!({"subject": hex::encode(&end.subject), "count": end.count, "last": end.last,
            "chained": hex::encode(&end.chained)})
    };
    let map = proof
        .map
        .as_ref()
        .map(|map| json!({"siblings": hexes(&map.siblings), "end": map.end.as_ref().map(end)}));
    let leaf = |leaf: &v1::EvidenceLeaf| {
        let about = checked.binary_search_by_key(&leaf.position, |one| one.leaf.position).is_ok();
        let with_body = about && !leaf.body.is_empty();
        json!({
            "position": leaf.position,
            "leaf": hex::encode(&leaf.leaf),
            "body": with_body.then(|| body_name(leaf.position)),
            "record_key": (!leaf.record_key.is_empty()).then(|| hex::encode(&leaf.record_key)),
            "content": leaf.content.as_ref().map(|_| content_name(leaf.position)),
        })
    };
    json!({
        "format": "caseledger-evidence/1",
        "origin": checkpoint.origin,
        "ledger": wanted.which.ledger.of().to_string(),
        "about": match about {
            About::Patient(SubjectId(id)) => json!({"patient": hex::encode(id)}),
            About::Position(position) => json!({"position": position}),
            About::Range(first, end) => json!({"range": [first, end]}),
        },
        "made_at": jiff::Timestamp::now().to_string(),
        "receipt": hex::encode(&proof.receipt),
        "first": proof.first,
        "map": map,
        "hashes": hexes(&proof.hashes),
        "leaves": evidence.leaves.iter().map(leaf).collect::<Vec<_>>(),
    })
}

fn body_name(position: u64) -> String {
    format!("bodies/{position}.bin")
}

fn content_name(position: u64) -> String {
    format!("records/{position}.json")
}

/// The page on top: what it proves, in plain words.
fn cover(told: &Told, named: Option<&Named>, wanted: &Prove, given: bool) -> String {
    let mut what = String::new();
    // Writing to a String cannot fail.
    let _ = match told.about {
        About::Patient(subject) => write!(
            what,
            "everything that the ledger \"{}\" holds about the patient\nwith the id {subject}: {} record(s)",
            wanted.which.ledger.of(),
            told.records
        ),
        About::Position(position) => {
            write!(
                what,
                "the record at position {position} of the ledger \"{}\"",
                wanted.which.ledger.of()
            )
        }
        About::Range(first, end) => {
            write!(
                what,
                "every entry of the ledger \"{}\" from position {first} to {}",
                wanted.which.ledger.of(),
                end - 1
            )
        }
    };
    if let Some(Named::Number { issuer, value }) = named {
        let shown = match told.number {
            Some(true) => "which stands in these records",
            Some(false) | None => "which is theirs by the word of the node",
        };
        let _ = write!(what, ",\nnamed by the number {value} of {issuer},\n{shown}");
    }
    let policy = match given {
        true => "given by whoever made this package",
        false => "told by the node itself",
    };
    COVER
        .replace("{what}", &what)
        .replace("{opened}", &told.opened.to_string())
        .replace("{size}", &told.checkpoint.size.to_string())
        .replace("{origin}", &told.checkpoint.origin)
        .replace("{policy}", policy)
        .replace("{made}", &jiff::Timestamp::now().to_string())
}

fn write(
    file: &File,
    described: &Value,
    cover: &str,
    policy: &str,
    evidence: &Evidence,
    checked: &[Checked<'_>],
) -> std::io::Result<()> {
    let mut zip = ZipWriter::new(BufWriter::new(file));
    let mut add = |name: &str, bytes: &[u8]| -> std::io::Result<()> {
        zip.start_file(name, SimpleFileOptions::default().large_file(false))?;
        zip.write_all(bytes)
    };
    add("README.txt", cover.as_bytes())?;
    add("check.py", CHECK.as_bytes())?;
    add("forms.py", FORMS.as_bytes())?;
    add("checkpoint.txt", evidence.proof.note.as_bytes())?;
    add("policy.txt", policy.as_bytes())?;
    add("evidence.json", &serde_json::to_vec_pretty(described)?)?;
    for one in checked.iter().filter(|one| !one.leaf.body.is_empty()) {
        add(&body_name(one.leaf.position), &one.leaf.body)?;
        let said = match &one.leaf.content {
            Some(v1::evidence_leaf::Content::Event(event)) => json::of("FiledEvent", event),
            Some(v1::evidence_leaf::Content::Access(access)) => json::of("Access", access),
            None => continue,
        };
        add(&content_name(one.leaf.position), &serde_json::to_vec_pretty(&said)?)?;
    }
    zip.finish()?.flush()?;
    file.sync_all()
}
