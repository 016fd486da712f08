//! Reading files: NDJSON line by line, bundles and single resources whole.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::directory::relative;
use crate::kind;
use crate::refusal::Refusal;

/// In which round a resource is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Identities.
    Patients,
    /// Visits and stays, which entries belong to.
    Encounters,
    /// Everything else that becomes an entry.
    Entries,
    /// Nothing that a patient file holds yet.
    NotImported,
}

impl Phase {
    /// The rounds in which something is sent, in order.
    pub const SENT: [Self; 3] = [Self::Patients, Self::Encounters, Self::Entries];

    pub(crate) fn of(resource_type: &str) -> Self {
        match resource_type {
            "Patient" => Self::Patients,
            "Encounter" => Self::Encounters,
            other if kind::is_mapped(other) => Self::Entries,
            _ => Self::NotImported,
        }
    }
}

/// Where in its file something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Line of an NDJSON file, from 1.
    Line(u64),
    /// Entry of a bundle, from 1.
    Entry(u64),
    /// The file is one resource.
    Whole,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(f, "line {number}"),
            Self::Entry(number) => write!(f, "entry {number}"),
            Self::Whole => f.write_str("the whole file"),
        }
    }
}

/// A resource, not yet looked into.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its type, such as "Condition".
    pub resource_type: String,
    /// Its id, if it has one.
    pub id: Option<String>,
    /// The URL by which its bundle refers to it.
    pub full_url: Option<String>,
    /// Where it was found.
    pub place: Place,
    /// Its text.
    pub json: Box<RawValue>,
}

impl Resource {
    /// In which round it is sent.
    #[must_use]
    pub fn phase(&self) -> Phase {
        Phase::of(&self.resource_type)
    }

    /// "Type/id": the key under which it is found again.
    #[must_use]
    pub fn key(&self) -> Option<String> {
        Some(format!("{}/{}", self.resource_type, self.id.as_ref()?))
    }

    /// The key under which it is sent: "Type/id", or else its full URL.
    #[must_use]
    pub fn source_key(&self) -> Option<String> {
        self.key().or_else(|| self.full_url.clone())
    }
}

/// Something that is left out on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    /// Its type, if it has one.
    pub resource_type: String,
    /// Why, in words.
    pub reason: &'static str,
}

/// What a file holds, piece by piece.
#[derive(Debug)]
pub enum Found {
    /// A resource.
    Resource(Resource),
    /// Something that is left out on purpose.
    Skipped(Skip),
    /// Word that something of this type, if it is said, was deleted in its source.
    Deleted(String),
    /// Something that is no resource.
    Bad(Place, Refusal),
}

/// The pieces of one file, in order.
pub struct Resources {
    ready: VecDeque<Found>,
    lines: Option<(BufReader<File>, u64)>,
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resources").field("ready", &self.ready.len()).finish_non_exhaustive()
    }
}

/// Opens a file: `.ndjson` and `.jsonl` are read line by line in constant memory, anything else as
/// one JSON document, a bundle of any type or a single resource.
///
/// # Errors
/// The file cannot be read. What it holds never is an error, but [`Found::Bad`].
pub fn read(path: &Path) -> io::Result<Resources> {
    let mut file = BufReader::new(File::open(path)?);
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if ["ndjson", "jsonl"].iter().any(|lines| extension.eq_ignore_ascii_case(lines)) {
        return Ok(Resources { ready: VecDeque::new(), lines: Some((file, 0)) });
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(Resources { ready: document(&bytes, Place::Whole), lines: None })
}

impl Iterator for Resources {
    type Item = io::Result<Found>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(found) = self.ready.pop_front() {
                return Some(Ok(found));
            }
            let (file, number) = self.lines.as_mut()?;
            let mut line = Vec::new();
            match file.read_until(b'\n', &mut line) {
                Ok(0) => return None,
                Ok(_) => *number += 1,
                Err(error) => {
                    self.lines = None; // nothing after a read error can be trusted
                    return Some(Err(error));
                }
            }
            if !line.trim_ascii().is_empty() {
                self.ready = document(&line, Place::Line(*number));
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    resource_type: Option<String>,
    id: Option<String>,
}

#[derive(Deserialize)]
struct Bundle {
    r#type: Option<String>,
    #[serde(default)]
    link: Vec<Link>,
    #[serde(default)]
    entry: Vec<Entry>,
}

/// Where another page of the bundle is.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Link {
    relation: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    full_url: Option<String>,
    resource: Option<Box<RawValue>>,
    request: Option<Request>,
}

/// How an entry of a history came about, or what is to be done with one of a transaction.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Request {
    method: String,
    url: String,
}

/// One JSON document: a bundle's entries, or the one resource.
fn document(bytes: &[u8], place: Place) -> VecDeque<Found> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let Ok(json) = serde_json::from_slice::<Box<RawValue>>(bytes) else {
        let refusal = Refusal::not_json("it is not JSON, or not whole");
        return VecDeque::from([Found::Bad(place, refusal)]);
    };
    match one(json, None, place) {
        Found::Resource(resource) if resource.resource_type == "Bundle" => bundle(&resource),
        other @ (Found::Resource(_) | Found::Skipped(_) | Found::Deleted(_) | Found::Bad(..)) => {
            VecDeque::from([other])
        }
    }
}

/// Why a version that is not a history's newest is passed over.
const OLDER: &str = "older version in a history bundle";

fn bundle(resource: &Resource) -> VecDeque<Found> {
    let Ok(bundle) = serde_json::from_str::<Bundle>(resource.json.get()) else {
        let refusal = Refusal::not_json("the bundle does not have the form of FHIR R4");
        return VecDeque::from([Found::Bad(resource.place, refusal)]);
    };
    let history = bundle.r#type.as_deref() == Some("history");
    let later = |link: &Link| matches!(link.relation.as_str(), "previous" | "prev");
    if history && bundle.link.iter().any(later) {
        let refusal = Refusal::not_json(
            "it is a later page of a history, so it may hold older versions of what other pages hold: \
             put the pages together in one bundle, the first one first",
        );
        return VecDeque::from([Found::Bad(resource.place, refusal)]);
    }
    let mut seen = HashSet::new();
    let mut found = VecDeque::with_capacity(bundle.entry.len());
    for (entry, number) in bundle.entry.into_iter().zip(1..) {
        let request = entry.request.unwrap_or_default();
        if request.method == "DELETE" {
            let key = relative(&request.url);
            let of_type = key.as_deref().and_then(|key| key.split('/').next()).unwrap_or_default();
            let resource_type = of_type.to_owned();
            // Older versions are no longer true, and what was made again since is not deleted.
            let older = key.is_some() && !seen.insert(key);
            found.push_back(if history && older {
                let reason = OLDER;
                Found::Skipped(Skip { resource_type, reason })
            } else {
                Found::Deleted(resource_type)
            });
            continue;
        }
        let Some(json) = entry.resource else {
            // Whatever its newest version says, an older one is no longer true.
            let key =
                entry.full_url.as_deref().and_then(relative).or_else(|| relative(&request.url));
            seen.extend(key.map(Some));
            let reason = "bundle entry without a resource";
            found.push_back(Found::Skipped(Skip { resource_type: String::new(), reason }));
            continue;
        };
        match one(json, entry.full_url, Place::Entry(number)) {
            // a server's answer to several searches: what is in it may not be passed over
            Found::Resource(inner) if inner.resource_type == "Bundle" => {
                let refusal = Refusal::not_json(
                    "it is a bundle within a bundle, which is not looked into: put it into a file of \
                     its own",
                );
                found.push_back(Found::Bad(inner.place, refusal));
            }
            // a history lists the newest version first
            Found::Resource(older) if history && !seen.insert(older.key()) => {
                let reason = OLDER;
                let resource_type = older.resource_type;
                found.push_back(Found::Skipped(Skip { resource_type, reason }));
            }
            other @ (Found::Resource(_)
            | Found::Skipped(_)
            | Found::Deleted(_)
            | Found::Bad(..)) => found.push_back(other),
        }
    }
    found
}

fn one(json: Box<RawValue>, full_url: Option<String>, place: Place) -> Found {
    match serde_json::from_str::<Head>(json.get()) {
        Ok(Head { resource_type: Some(resource_type), id }) => {
            Found::Resource(Resource { resource_type, id, full_url, place, json })
        }
        Ok(_) => Found::Bad(place, Refusal::not_json("it has no `resourceType`")),
        Err(_) => Found::Bad(place, Refusal::not_json("it is not a JSON object")),
    }
}

#[cfg(test)]
mod tests;
