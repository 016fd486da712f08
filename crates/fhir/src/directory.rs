//! Who is who in an import: what references lead to.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::json::Reference;
use crate::read::{Phase, Resource};
use crate::refusal::Refusal;
use api::v1;

/// Whose file an entry belongs to: the number to find it by, and the key of the Patient of this import
/// who has it, if there is one.
pub(crate) type Whose = (v1::PatientNumber, Option<Arc<str>>);

/// What is wrong with a Patient one of whose hospital numbers another Patient of the import has.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Clash {
    /// Another Patient took its place, who has this number, too: that one is to be imported.
    MergedAway(v1::PatientNumber),
    /// Nobody can tell which of them the number means.
    Shared,
}

impl Clash {
    fn refusal(&self, field: &str) -> Refusal {
        match self {
            Self::MergedAway(_) => Refusal::new(
                "MERGED_AWAY",
                field,
                "the Patient is inactive or replaced, and another Patient of this import has one of \
                 its hospital numbers: import that one",
            ),
            Self::Shared => Refusal::new(
                "NUMBER_SHARED",
                field,
                "two Patients of this import have the same hospital number: find out whether they are \
                 one person; if so, mark one of them as replaced by the other, else correct the number, \
                 or give a number that people share its type",
            ),
        }
    }
}

/// How a Patient says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// In use.
    Active,
    /// Not in use any more, as of the dead and those long not seen; or merged, without saying so.
    Inactive,
    /// Another Patient took its place.
    Replaced,
}

/// A Patient who has some number.
#[derive(Debug)]
struct Holder {
    key: Arc<str>,
    /// Who it is, as far as it says so.
    who: Option<String>,
    standing: Standing,
}

impl Holder {
    /// Two Patients who say that they are the same person are, as when every document of an export has
    /// a Patient of its own.
    fn is(&self, other: &Self) -> bool {
        self.who.is_some() && self.who == other.who
    }
}

/// Holders of one number that are compared with each other; who comes beyond them shares it.
const COMPARED: usize = 64;

/// Who has one hospital number.
#[derive(Debug, Default)]
struct Holders(Vec<Holder>);

impl Holders {
    /// Adds a Patient, and tells whose numbers are clashing now.
    fn add(&mut self, number: &v1::PatientNumber, new: Holder) -> Vec<(Arc<str>, Clash)> {
        let Self(all) = self;
        if all.iter().any(|holder| holder.key == new.key) {
            return Vec::new();
        }
        if all.len() >= COMPARED {
            let first = all.first().is_some_and(|first| first.is(&new));
            return if first { Vec::new() } else { vec![(new.key, Clash::Shared)] };
        }
        all.push(new);
        let clash = |one: &Holder| Some((Arc::clone(&one.key), Self::clash(all, number, one)?));
        all.iter().filter_map(clash).collect()
    }

    fn clash(all: &[Holder], number: &v1::PatientNumber, one: &Holder) -> Option<Clash> {
        let others = || all.iter().filter(|other| other.key != one.key);
        let of = |standing| others().filter(move |other| other.standing == standing);
        let away = || Clash::MergedAway(number.clone());
        match one.standing {
            Standing::Active => of(Standing::Active).any(|it| !it.is(one)).then_some(Clash::Shared),
            Standing::Replaced => others().next().map(|_| away()),
            Standing::Inactive => {
                let stranger =
                    of(Standing::Active).chain(of(Standing::Inactive)).any(|it| !it.is(one));
                let merged = || of(Standing::Active).next().map(|_| away());
                if stranger { Some(Clash::Shared) } else { merged() }
            }
        }
    }

    /// Whose the number is, if it is anybody's: of who is in use, else of who was not replaced.
    fn owner(&self) -> Option<Arc<str>> {
        let of = |standing| self.0.iter().find(move |holder| holder.standing == standing);
        let standings = [Standing::Active, Standing::Inactive, Standing::Replaced];
        let first = standings.into_iter().find_map(of);
        first.map(|holder| Arc::clone(&holder.key))
    }
}

/// Something of the file that an element refers to.
#[derive(Debug)]
pub(crate) struct Target {
    /// In which round it is sent.
    pub(crate) phase: Phase,
    /// The key that it is sent under.
    pub(crate) key: String,
    /// Whether this import has it; else an earlier one may have.
    pub(crate) is_here: bool,
}

/// References of one import. Grows by a few rows a patient, one a resource of a bundle, and a number a
/// resource.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    /// Reference to a patient → the number to find it by, and its key; none if two patients claim it.
    patients: HashMap<String, Option<(v1::PatientNumber, Arc<str>)>>,
    /// "Patient/id" of those whose bundle says on which server they are.
    placed: HashSet<String>,
    /// Hospital number → who has it.
    holders: HashMap<v1::PatientNumber, Holders>,
    /// Key of a Patient who shares a hospital number with another.
    clashes: HashMap<Arc<str>, Clash>,
    /// Full URL of a bundle's entry → its type, and the key that it is sent under.
    urls: HashMap<String, (String, String)>,
    /// Hashes of the keys of all resources: of millions, the keys would take too much. What goes by a
    /// wrong one are the words of one reference.
    keys: HashSet<u64>,
}

impl Directory {
    /// Remembers how others will refer to this resource.
    pub(crate) fn learn(&mut self, resource: &Resource) {
        self.keys.extend(resource.key().map(|key| hash(&key)));
        if let (Some(url), Some(key)) = (&resource.full_url, resource.source_key()) {
            self.urls.insert(url.clone(), (resource.resource_type.clone(), key));
        }
    }

    /// Remembers whom references to this patient mean, found by this number; and whose all of its
    /// hospital numbers are. `who`: who it is, if it says so.
    pub(crate) fn learn_patient(
        &mut self,
        resource: &Resource,
        number: &v1::PatientNumber,
        numbers: Vec<v1::PatientNumber>,
        who: Option<&str>,
        standing: Standing,
    ) {
        let Some(key) = resource.source_key().map(Arc::<str>::from) else { return };
        if resource.full_url.as_deref().is_some_and(is_absolute) {
            self.placed.extend(resource.key());
        }
        for reference in resource.full_url.iter().cloned().chain(resource.key()) {
            self.patients
                .entry(reference)
                .and_modify(|known| {
                    if known.as_ref().is_none_or(|(known, _)| known != number) {
                        *known = None;
                    }
                })
                .or_insert_with(|| Some((number.clone(), Arc::clone(&key))));
        }
        for number in numbers {
            let holder = Holder { key: Arc::clone(&key), who: who.map(str::to_owned), standing };
            let clashes = self.holders.entry(number.clone()).or_default().add(&number, holder);
            for (key, clash) in clashes {
                // That nobody can tell whose something is outweighs that it is another's.
                self.clashes
                    .entry(key)
                    .and_modify(|before| {
                        if clash == Clash::Shared {
                            *before = Clash::Shared;
                        }
                    })
                    .or_insert(clash);
            }
        }
    }

    /// Refuses a Patient who cannot be told from another one of this import.
    pub(crate) fn stands_alone(&self, key: &str) -> Result<(), Refusal> {
        match self.clashes.get(key) {
            Some(clash) => Err(clash.refusal("identifier")),
            None => Ok(()),
        }
    }

    /// The patient that an element refers to.
    pub(crate) fn patient(
        &self,
        field: &str,
        reference: Option<Reference>,
    ) -> Result<Whose, Refusal> {
        let (mut number, mut key) = self.referred(field, reference)?;
        key = key.or_else(|| self.holders.get(&number)?.owner());
        // What is of who was merged away is of who has their number now.
        if let Some(Clash::MergedAway(shared)) = key.as_ref().and_then(|key| self.clashes.get(key))
        {
            key = self.holders.get(shared).and_then(Holders::owner);
            number = shared.clone();
        }
        match key.as_ref().and_then(|key| self.clashes.get(key)) {
            Some(clash) => Err(clash.refusal(field)),
            None => Ok((number, key)),
        }
    }

    /// What an element says of its patient.
    fn referred(&self, field: &str, reference: Option<Reference>) -> Result<Whose, Refusal> {
        let Some(reference) = reference else {
            let text = format!("`{field}` is missing: an entry belongs to a patient");
            return Err(Refusal::new("NO_PATIENT", field, text));
        };
        if let Some(text) = &reference.reference {
            if let Some(number) = by_search(text) {
                return Ok((number, None));
            }
            // Another server may have given the same id to somebody else.
            let here = |key: &String| !is_absolute(text) || !self.placed.contains(key);
            let known = self
                .patients
                .get(unversioned(text))
                .or_else(|| self.patients.get(&relative(text).filter(here)?));
            match known {
                Some(Some((number, key))) => return Ok((number.clone(), Some(Arc::clone(key)))),
                Some(None) => {
                    return Err(Refusal::new(
                        "PATIENT_AMBIGUOUS",
                        field,
                        "two patients of this import have the same id; import them separately, \
                         each with a --source of its own",
                    ));
                }
                None => {}
            }
        }
        match reference.identifier {
            Some(found) if found.system.is_some() && found.value.is_some() => {
                let issuer = found.system.unwrap_or_default();
                let value = found.value.unwrap_or_default();
                Ok((v1::PatientNumber { issuer, value }, None))
            }
            _ => Err(Refusal::new(
                "PATIENT_NOT_IN_IMPORT",
                field,
                format!(
                    "`{field}` does not lead to a Patient of this import; add the file that has it"
                ),
            )),
        }
    }

    /// The entry that an element refers to.
    pub(crate) fn entry(&self, reference: &Reference) -> Option<Target> {
        let text = reference.reference.as_deref()?;
        let target = if let Some((resource_type, key)) = self.urls.get(text) {
            Target { phase: Phase::of(resource_type), key: key.clone(), is_here: true }
        } else {
            let key = relative(text)?;
            let phase = Phase::of(key.split_once('/')?.0);
            Target { phase, is_here: self.keys.contains(&hash(&key)), key }
        };
        matches!(target.phase, Phase::Encounters | Phase::Entries).then_some(target)
    }
}

fn hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// "https://host/fhir/Patient/1/_history/2" → "https://host/fhir/Patient/1".
fn unversioned(reference: &str) -> &str {
    reference.split_once("/_history/").map_or(reference, |(of, _)| of)
}

/// Whether a reference says on which server it is.
fn is_absolute(reference: &str) -> bool {
    reference.contains("://")
}

/// "https://host/fhir/Patient/1/_history/2" → "Patient/1".
pub(crate) fn relative(reference: &str) -> Option<String> {
    let mut parts = unversioned(reference).rsplit('/');
    let id = parts.next().filter(|id| !id.is_empty())?;
    let resource_type = parts.next()?;
    resource_type
        .starts_with(|first: char| first.is_ascii_uppercase())
        .then(|| format!("{resource_type}/{id}"))
}

/// "Patient?identifier=issuer|value" (FHIR R4 conditional reference).
fn by_search(reference: &str) -> Option<v1::PatientNumber> {
    let token = reference.strip_prefix("Patient?identifier=")?;
    let (issuer, value) = token.split_once('|')?;
    (!issuer.is_empty() && !value.is_empty() && !value.contains('&'))
        .then(|| v1::PatientNumber { issuer: issuer.to_owned(), value: value.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_reduced_to_type_and_id() {
        let cases = [
            ("Patient/1", Some("Patient/1")),
            ("https://host/fhir/Patient/1", Some("Patient/1")),
            ("https://host/fhir/Patient/1/_history/7", Some("Patient/1")),
            ("urn:uuid:0c5e", None),
            ("#contained", None),
            ("Patient/", None),
        ];
        for (reference, expected) in cases {
            assert_eq!(relative(reference).as_deref(), expected, "{reference}");
        }
    }

    #[test]
    fn a_conditional_reference_names_the_number() {
        let number = by_search("Patient?identifier=https://h.example/mrn|42").unwrap();
        assert_eq!(
            (number.issuer.as_str(), number.value.as_str()),
            ("https://h.example/mrn", "42")
        );
        assert_eq!(by_search("Patient?name=x"), None);
        assert_eq!(by_search("Patient?identifier=42"), None);
    }
}
