//! The consecutive items of one patient, filed in as few contributions as they fit.

use api::v1 as proto;
use aws_lc_rs::digest::{Context as Sha256, SHA256};
use domain::{Entry, PatientId};
use engine::{Context, Engine, Failure, ImportOutcome, Receipt, Violation};
use prost::Message;
use tonic::Code;
use tonic_types::StatusExt;

use crate::convert::import::{
    Item, Root, Selector, invalid_out, item_in, outcome_out, refused_out, set_named,
};
use crate::status;

/// Bytes of a group, as a block would hold them: three quarters of a block's 512 KiB, since the
/// estimate of a record's size is one.
const GROUP_BYTES: usize = 384 * 1024;

/// What a record takes besides its content: header, salt, tag, lengths.
const RECORD_OVERHEAD: usize = 600;

/// Items of one patient, in order.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) selector: Selector,
    items: Vec<proto::ImportItem>,
    /// Encoded size.
    pub(super) bytes: usize,
    /// Size in a block, estimated.
    filed_bytes: usize,
}

/// What became of a group.
pub(super) struct Done {
    pub(super) selector: Selector,
    pub(super) bytes: usize,
    pub(super) results: Vec<proto::ImportResult>,
    pub(super) position: u64,
    /// Of the last access record that the results needed.
    pub(super) receipt: Option<Receipt>,
    pub(super) patient: Option<PatientId>,
    /// The version of the registry at which the selector named the patient.
    pub(super) version: Option<u64>,
}

/// An entry on its way, with what its result needs.
struct Waiting {
    number: u64,
    source: Option<proto::SourceId>,
    root: Root,
    entry: Entry,
    digest: [u8; 32],
}

impl Group {
    pub(super) fn of(selector: Selector, item: proto::ImportItem) -> Self {
        let mut group = Self { selector, items: Vec::new(), bytes: 0, filed_bytes: 0 };
        group.push(item);
        group
    }

    /// Whether one more item leaves it one contribution of at most so many items.
    pub(super) fn fits(&self, item: &proto::ImportItem, most: usize) -> bool {
        self.items.len() < most && self.filed_bytes + filed_bytes(item.encoded_len()) <= GROUP_BYTES
    }

    pub(super) fn push(&mut self, item: proto::ImportItem) {
        let bytes = item.encoded_len();
        self.bytes += bytes;
        self.filed_bytes += filed_bytes(bytes);
        self.items.push(item);
    }

    /// Files all of it; every item gets its result.
    pub(super) async fn file(
        self,
        engine: &Engine,
        context: &Context,
        call: &str,
        known: Option<(PatientId, u64)>,
    ) -> Done {
        let _turn = engine.import_turn(self.items.len()).await;
        // A number that a correction released may be somebody else's by now.
        let now = version(engine, &self.selector);
        let known = known.filter(|(_, version)| now == Some(*version));
        let done = Done {
            selector: self.selector,
            bytes: self.bytes,
            results: Vec::with_capacity(self.items.len()),
            position: 0,
            receipt: None,
            patient: known.map(|(patient, _)| patient),
            version: known.map(|(_, version)| version),
        };
        let mut filing =
            Filing { engine, context, call, done, waiting: Vec::new(), unknown: false };
        for item in self.items {
            filing.item(item).await;
        }
        filing.flush().await;
        filing.done
    }
}

/// A group being filed.
struct Filing<'a> {
    engine: &'a Engine,
    context: &'a Context,
    call: &'a str,
    done: Done,
    waiting: Vec<Waiting>,
    /// The number was looked up and is nobody's: not asked, and recorded, again for every item.
    unknown: bool,
}

impl Filing<'_> {
    async fn item(&mut self, mut item: proto::ImportItem) {
        let (number, source) = (item.number, item.source.clone());
        // The client's numbering is not part of the content: the same import again is the same.
        item.number = 0;
        let digest = digest(&[&item.encode_to_vec()]);
        match item_in(item) {
            Err(violations) => self.tell(number, source, invalid_out(violations)),
            Ok((_, Item::Identity(identity))) => {
                self.flush().await;
                let context = self.about(&[digest]);
                let before = version(self.engine, &self.done.selector);
                match self.engine.import_patient(&context, *identity).await {
                    Ok((patient, outcome, receipt)) => {
                        self.done.receipt = receipt.or(self.done.receipt);
                        if let Some(patient) = patient {
                            self.identified(patient, &outcome, before);
                        }
                        let (result, position) = outcome_out(&outcome, Root::Identity);
                        self.done.position = self.done.position.max(position);
                        self.tell(number, source, result);
                    }
                    Err(failure) => self.failed(vec![(number, source)], &failure),
                }
            }
            Ok((_, Item::Entry { mut entry, named })) => {
                let Some(patient) = self.patient(number, source.as_ref()).await else { return };
                match named.by_id(|source| self.engine.entry_id_for(patient, &source)) {
                    Err(failure) => self.failed(vec![(number, source)], &failure),
                    Ok(named) => {
                        set_named(&mut entry, named);
                        let root = Root::Entry(entry.kind());
                        let entry = *entry;
                        self.waiting.push(Waiting { number, source, root, entry, digest });
                    }
                }
            }
        }
    }

    /// Remembers whom an identity was found to be, for the items after it. One that filed nothing may
    /// have been found by another of its numbers, and these items go by the selector's.
    fn identified(&mut self, patient: PatientId, outcome: &ImportOutcome, before: Option<u64>) {
        let version = match outcome {
            ImportOutcome::Filed { .. } | ImportOutcome::Amended { .. } => {
                version(self.engine, &self.done.selector)
            }
            ImportOutcome::Unchanged { .. }
            | ImportOutcome::Invalid { .. }
            | ImportOutcome::Refused { .. }
            | ImportOutcome::Masked
            | ImportOutcome::Untold => {
                if !is_of(self.engine, &self.done.selector, patient) {
                    return;
                }
                before
            }
        };
        (self.done.patient, self.done.version) = (Some(patient), version);
    }

    /// Whose file it is; an item of nobody is refused here.
    async fn patient(
        &mut self,
        number: u64,
        source: Option<&proto::SourceId>,
    ) -> Option<PatientId> {
        if self.done.patient.is_some() {
            return self.done.patient;
        }
        let Selector::Number { issuer, value } = self.done.selector.clone() else { return None };
        // Before the look-up: what moves meanwhile is looked up again.
        let version = version(self.engine, &self.done.selector);
        let found = if self.unknown {
            Ok(None)
        } else {
            self.engine.resolve_for_import(&self.about(&[]), &issuer, &value).await
        };
        match found {
            Ok(Some(patient)) => {
                (self.done.patient, self.done.version) = (Some(patient), version);
            }
            Ok(None) => {
                self.unknown = true;
                let message = "no patient on file has the item's number: import the identity first";
                self.tell(number, source.cloned(), refused_out("PATIENT_UNKNOWN", message));
            }
            Err(failure) => self.failed(vec![(number, source.cloned())], &failure),
        }
        self.done.patient
    }

    /// Files the entries that wait, in one contribution or, when that is too large, in several.
    async fn flush(&mut self) {
        let mut parts = vec![std::mem::take(&mut self.waiting)];
        while let Some(mut part) = parts.pop() {
            let Some(patient) = self.done.patient.filter(|_| !part.is_empty()) else { return };
            let digests: Vec<[u8; 32]> = part.iter().map(|item| item.digest).collect();
            let entries = part.iter().map(|item| item.entry.clone()).collect();
            match self.engine.import_entries(&self.about(&digests), patient, entries).await {
                Ok((outcomes, receipt)) => {
                    self.done.receipt = receipt.or(self.done.receipt);
                    for (item, outcome) in part.into_iter().zip(&outcomes) {
                        let (result, position) = outcome_out(outcome, item.root);
                        self.done.position = self.done.position.max(position);
                        self.tell(item.number, item.source, result);
                    }
                }
                // What the checks remark is filed too, and nobody knew how much that is.
                Err(Failure::Invalid(_)) if part.len() > 1 => {
                    let rest = part.split_off(part.len() / 2);
                    parts.extend([rest, part]);
                }
                Err(failure) => {
                    let items = part.into_iter().map(|item| (item.number, item.source)).collect();
                    self.failed(items, &failure);
                }
            }
        }
    }

    /// The context whose request names this content: the trail and the ledger keep a hash of the
    /// items instead of the items, which are in the file anyway.
    fn about(&self, digests: &[[u8; 32]]) -> Context {
        let mut context = self.context.clone();
        let parts: Vec<&[u8]> = digests.iter().map(<[u8; 32]>::as_slice).collect();
        let value = hex::encode(digest(&parts));
        let source = Some(proto::SourceId { system: "sha256".to_owned(), value });
        let told = proto::ImportRequest {
            purpose: None,
            items: vec![proto::ImportItem { source, ..proto::ImportItem::default() }],
        };
        // One protobuf message after another reads as their merger.
        context.request.extend_from_slice(&told.encode_to_vec());
        context
    }

    fn tell(
        &mut self,
        number: u64,
        source: Option<proto::SourceId>,
        mut result: proto::ImportResult,
    ) {
        result.number = number;
        result.source = source;
        result.patient_id = self.done.patient.map(|id| id.to_string()).unwrap_or_default();
        self.done.results.push(result);
    }

    /// The result of items that could not be judged.
    fn failed(&mut self, items: Vec<(u64, Option<proto::SourceId>)>, failure: &Failure) {
        let result = failure_out(failure, self.call);
        for (number, source) in items {
            self.tell(number, source, result.clone());
        }
    }
}

/// The version of the registry where the selector's number stands; 0 for an id, which is one patient's
/// for ever. None: it is not known here.
fn version(engine: &Engine, selector: &Selector) -> Option<u64> {
    match selector {
        Selector::Id(_) => Some(0),
        Selector::Number { issuer, value } => engine.number_version(issuer, value).ok(),
    }
}

/// Whether the selector names this patient now. Not known: no, and the next item asks again.
fn is_of(engine: &Engine, selector: &Selector, patient: PatientId) -> bool {
    match selector {
        Selector::Id(id) => *id == patient,
        Selector::Number { issuer, value } => {
            engine.has_number(patient, issuer, value).unwrap_or(false)
        }
    }
}

/// The result of an item that was not judged for this.
fn failure_out(failure: &Failure, call: &str) -> proto::ImportResult {
    if let Failure::Invalid(violations) = failure {
        // Their fields are a contribution's, which the sender did not make: it is about the whole item.
        let of_the_item =
            |violation: &Violation| Violation { field: String::new(), ..violation.clone() };
        return invalid_out(violations.iter().map(of_the_item).collect());
    }
    let status = status::status(failure, call);
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    let retryable =
        matches!(status.code(), Code::Unavailable | Code::ResourceExhausted | Code::Aborted);
    proto::ImportResult { retryable, ..refused_out(&reason, status.message()) }
}

/// The result of an item that names no patient.
pub(super) fn refused_item(item: proto::ImportItem) -> proto::ImportResult {
    let (number, source) = (item.number, item.source.clone());
    let violations = item_in(item).err().unwrap_or_default();
    proto::ImportResult { number, source, ..invalid_out(violations) }
}

/// What a record of so many bytes of content takes in a block, estimated from above.
fn filed_bytes(encoded: usize) -> usize {
    vault::size_class(encoded + encoded / 4).unwrap_or(GROUP_BYTES) + RECORD_OVERHEAD
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new(&SHA256);
    for part in parts {
        hash.update(part);
    }
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(hash.finish().as_ref()).for_each(|(to, from)| *to = *from);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_that_is_too_large_is_invalid_as_a_whole() {
        let description = "sealed, these changes are too many bytes".to_owned();
        let (field, code) = ("changes".to_owned(), "too-large".to_owned());
        let failure = Failure::Invalid(vec![Violation { field, code, description }]);
        let told = failure_out(&failure, "0192");
        assert_eq!((told.reason.as_str(), told.retryable), ("INVALID_ARGUMENT", false));
        let [violation] = &told.violations[..] else { panic!("one: {told:?}") };
        assert_eq!((violation.field.as_str(), violation.code.as_str()), ("", "too-large"));
    }
}
