//! Accounting: what was read, and how it ended.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use api::v1;
use serde_json::{Value, json};

use crate::output::{Table, counted, one_line, thousands};

/// Refusals listed one by one in JSON: enough to work through, little enough to keep in memory.
const LISTED: usize = 1_000;

/// The server's code for an item that its source took back while its entry stands.
const TAKEN_BACK: &str = "taken-back-by-source";

/// The type of resource that keeps people out: it cannot be refused without harm.
const CONSENT: &str = "Consent";

/// Where an item comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Where {
    pub(super) resource_type: String,
    /// File and place in it.
    pub(super) location: String,
    /// "Type/id".
    pub(super) source: String,
}

impl Where {
    pub(super) fn new(resource_type: &str, location: String, source: String) -> Self {
        Self { resource_type: resource_type.to_owned(), location, source }
    }
}

/// How the resources of one type ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    read: u64,
    filed: u64,
    amended: u64,
    unchanged: u64,
    refused: u64,
    /// Of those on file, how many have remarks.
    remarks: u64,
}

impl Tally {
    fn answered(&self) -> u64 {
        self.filed + self.amended + self.unchanged + self.refused
    }

    fn unanswered(&self) -> u64 {
        self.read.saturating_sub(self.answered())
    }

    fn json(&self) -> Value {
        json!({
            "read": self.read, "filed": self.filed, "amended": self.amended,
            "unchanged": self.unchanged, "refused": self.refused,
            "unanswered": self.unanswered(), "remarks": self.remarks,
        })
    }
}

/// A reason to refuse, and how often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Refusals {
    count: u64,
    message: String,
    example: String,
}

/// The account of one import. Every resource that was read is in exactly one column.
#[derive(Debug, Default)]
pub(crate) struct Count {
    types: BTreeMap<String, Tally>,
    skipped: BTreeMap<String, u64>,
    deleted: BTreeMap<String, u64>,
    /// By type, reason and field.
    refusals: BTreeMap<(String, String, String), Refusals>,
    listed: Vec<Value>,
    /// Refused, though nothing is wrong with them: the server could not file them now.
    deferred: u64,
    /// Refused because their source takes back what stands on file: somebody has to retract it.
    taken_back: u64,
    /// Refused consents: what they forbid, nobody is kept from.
    consents: u64,
    remarks: BTreeMap<String, u64>,
    not_carried: BTreeMap<String, u64>,
    position: u64,
}

impl Count {
    /// Stands where the type would, for what is no resource.
    const UNREADABLE: &'static str = "(not a resource)";

    /// A resource that will be sent or refused.
    pub(super) fn found(&mut self, resource_type: &str) {
        self.tally(resource_type).read += 1;
    }

    /// Something that is not imported.
    pub(super) fn skip(&mut self, resource_type: &str, reason: Option<&str>) {
        let label = match reason {
            None => resource_type.to_owned(),
            Some(reason) => format!("{resource_type} ({reason})").trim_start().to_owned(),
        };
        *self.skipped.entry(label).or_default() += 1;
    }

    /// Word that something was deleted in its source.
    pub(super) fn deleted(&mut self, resource_type: &str) {
        let label = if resource_type.is_empty() { "(type not said)" } else { resource_type };
        *self.deleted.entry(label.to_owned()).or_default() += 1;
    }

    /// A resource that cannot be sent, or was refused by the server.
    pub(super) fn refuse(&mut self, found: &Where, reason: &str, field: &str, message: &str) {
        self.tally(&found.resource_type).refused += 1;
        self.consents += u64::from(found.resource_type == CONSENT);
        self.taken_back += u64::from(reason == fhir::Refusal::TAKEN_BACK);
        let key = (found.resource_type.clone(), reason.to_owned(), field.to_owned());
        let refusals = self.refusals.entry(key).or_default();
        refusals.count += 1;
        if refusals.count == 1 {
            refusals.message = one_line(message);
            refusals.example = found.location.clone();
        }
        if self.listed.len() < LISTED {
            self.listed.push(json!({
                "source": found.source, "type": found.resource_type, "location": found.location,
                "reason": reason, "field": field, "message": message,
            }));
        }
    }

    /// Something that is no resource, or may hold some and cannot be read.
    pub(super) fn unreadable(&mut self, location: String, refusal: &fhir::Refusal) {
        self.found(Self::UNREADABLE);
        let found = Where::new(Self::UNREADABLE, location, String::new());
        self.refuse(&found, refusal.code, &refusal.field, &refusal.text);
    }

    /// Elements that an item does not carry.
    pub(super) fn not_carried(&mut self, paths: Vec<String>) {
        for path in paths {
            *self.not_carried.entry(path).or_default() += 1;
        }
    }

    /// The server's word about an item.
    pub(super) fn answer(&mut self, found: &Where, result: &v1::ImportResult) {
        let tally = self.tally(&found.resource_type);
        match result.status() {
            v1::ImportStatus::Filed => tally.filed += 1,
            v1::ImportStatus::Amended => tally.amended += 1,
            v1::ImportStatus::Unchanged => tally.unchanged += 1,
            v1::ImportStatus::Refused => {
                let by_the_node = ["INTERNAL", "DAMAGED"].contains(&result.reason.as_str());
                self.deferred += u64::from(result.retryable || by_the_node);
                let first = result.violations.first();
                let field = first.map(|finding| finding.field.as_str()).unwrap_or_default();
                let code = first.map(|finding| finding.code.as_str()).unwrap_or_default();
                let text = first.map(|finding| finding.text.as_str());
                self.taken_back += u64::from(code == TAKEN_BACK);
                let reason = if code.is_empty() {
                    result.reason.clone()
                } else {
                    format!("{} {code}", result.reason).trim_start().to_owned()
                };
                self.refuse(found, &reason, field, text.unwrap_or(&result.message));
                return;
            }
            v1::ImportStatus::Unspecified => {
                let text = "the server's answer is of a newer version; update this program";
                self.refuse(found, "UNKNOWN_STATUS", "", text);
                return;
            }
        }
        if !result.remarks.is_empty() {
            tally.remarks += 1;
        }
        for remark in &result.remarks {
            *self.remarks.entry(remark.code.clone()).or_default() += 1;
        }
    }

    /// Whether all that was to be imported was read and answered: nothing is to be sent again,
    /// retracted or else protected, no file holds what cannot be read, and there was something.
    pub(crate) fn is_complete(&self) -> bool {
        let left = self.deferred + self.taken_back + self.consents + self.unanswered();
        left == 0 && !self.is_empty() && !self.types.contains_key(Self::UNREADABLE)
    }

    fn is_empty(&self) -> bool {
        self.types.is_empty() && self.skipped.is_empty() && self.deleted.is_empty()
    }

    /// Records on file when the latest results were made.
    pub(super) fn position(&mut self, position: u64) {
        self.position = self.position.max(position);
    }

    /// Resources that are sent or refused.
    pub(super) fn read(&self) -> u64 {
        self.total().read
    }

    /// Resources about which the server, or this program, has spoken.
    pub(super) fn answered(&self) -> u64 {
        self.total().answered()
    }

    /// Resources that were there at the first reading, and about which nobody has spoken.
    fn unanswered(&self) -> u64 {
        // type by type: of another one, more may have been answered than were there
        self.types.values().map(Tally::unanswered).sum()
    }

    fn tally(&mut self, resource_type: &str) -> &mut Tally {
        self.types.entry(resource_type.to_owned()).or_default()
    }

    fn total(&self) -> Tally {
        self.types.values().fold(Tally::default(), |sum, one| Tally {
            read: sum.read + one.read,
            filed: sum.filed + one.filed,
            amended: sum.amended + one.amended,
            unchanged: sum.unchanged + one.unchanged,
            refused: sum.refused + one.refused,
            remarks: sum.remarks + one.remarks,
        })
    }

    /// The account for scripts.
    pub(crate) fn json(&self) -> Value {
        let types: serde_json::Map<_, _> =
            self.types.iter().map(|(name, tally)| (name.clone(), tally.json())).collect();
        let total = self.total();
        json!({
            "types": types,
            "total": total.json(),
            "skipped": self.skipped,
            "deleted_in_source": self.deleted,
            "refusals": self.listed,
            "refused_for_now": self.deferred,
            "to_be_retracted": self.taken_back,
            "consents_refused": self.consents,
            "refusals_not_listed": total.refused.saturating_sub(self.listed.len() as u64),
            "remarks": self.remarks,
            "not_carried": self.not_carried,
            "position": self.position,
        })
    }

    /// The account for people.
    pub(crate) fn text(&self) -> String {
        let mut table = Table::with_heading([
            "type",
            "read",
            "filed",
            "amended",
            "unchanged",
            "refused",
            "no answer",
            "with remarks",
        ])
        .right_aligned(1..8);
        let total = self.total();
        for (name, tally) in
            self.types.iter().map(|(name, tally)| (name.as_str(), tally)).chain([("total", &total)])
        {
            let numbers = [
                tally.read,
                tally.filed,
                tally.amended,
                tally.unchanged,
                tally.refused,
                tally.unanswered(),
                tally.remarks,
            ];
            let [a, b, c, d, e, f, g] = numbers.map(thousands);
            table.row([name.to_owned(), a, b, c, d, e, f, g]);
        }
        let mut text = table.lines("");
        self.refusals_text(&mut text);
        section(
            &mut text,
            "Remarks of the checks; the entries are on file with them",
            &self.remarks,
        );
        section(
            &mut text,
            "Elements that have no place in an entry, and are not on file",
            &self.not_carried,
        );
        section(&mut text, "Not imported: kind not supported", &self.skipped);
        let deleted = "Deleted in its source; what of it is on file stays there";
        section(&mut text, deleted, &self.deleted);
        self.left_text(&mut text);
        // no answer came at all: there is no position to wait for
        if self.position > 0 {
            let _ = writeln!(text, "\nposition {}", thousands(self.position));
        }
        if self.unanswered() > 0 {
            let left = counted(self.unanswered(), "resource");
            let _ = writeln!(
                text,
                "{left} got no answer. Run the same import again, and leave its files as they are meanwhile: \
                 what is on file stays as it is."
            );
        }
        text
    }

    /// What is left to do besides mending what was refused.
    fn left_text(&self, text: &mut String) {
        if self.deferred > 0 {
            let _ = writeln!(
                text,
                "\n{} could not be filed now, though nothing is wrong with them: see the node's status, and \
                 run the same import again",
                counted(self.deferred, "resource")
            );
        }
        if self.taken_back > 0 {
            let _ = writeln!(
                text,
                "\n{} entered in error, as the source says now, and still on file: look at each and \
                 retract it; --json lists them",
                counted(self.taken_back, "resource")
            );
        }
        if self.consents > 0 {
            let _ = writeln!(
                text,
                "\n{} refused: nobody is kept from what they restrict. Mend them and import them again, \
                 or have a service file what they ask for",
                counted(self.consents, "consent")
            );
        }
        if self.is_empty() {
            text.push_str("\nNothing was found to import.\n");
        }
        if self.types.contains_key(Self::UNREADABLE) {
            text.push_str(
                "\nNot all of it could be read: unpack what is compressed, and mend or leave out what is no \
                 resource.\n",
            );
        }
    }

    fn refusals_text(&self, text: &mut String) {
        if self.refusals.is_empty() {
            return;
        }
        let mut rows: Vec<_> = self.refusals.iter().collect();
        rows.sort_by_key(|(_, refusals)| std::cmp::Reverse(refusals.count));
        let mut table = Table::with_heading([
            "count",
            "type",
            "reason",
            "element",
            "what is wrong",
            "first seen in",
        ])
        .right_aligned([0]);
        for ((resource_type, reason, field), refusals) in rows {
            table.row([
                thousands(refusals.count),
                resource_type.clone(),
                reason.clone(),
                field.clone(),
                refusals.message.clone(),
                refusals.example.clone(),
            ]);
        }
        let _ = write!(text, "\nRefused\n{}", table.lines("  "));
    }
}

/// A list of labels with counts, the most frequent first; nothing if it is empty.
fn section(text: &mut String, heading: &str, counts: &BTreeMap<String, u64>) {
    if counts.is_empty() {
        return;
    }
    let mut rows: Vec<_> = counts.iter().collect();
    rows.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let mut table = Table::default().right_aligned([0]);
    for (label, count) in rows {
        table.row([thousands(*count), label.clone()]);
    }
    let _ = write!(text, "\n{heading}\n{}", table.lines("  "));
}

#[cfg(test)]
mod tests;
