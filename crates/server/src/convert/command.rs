//! Changes that a caller asks for, and the way back: where a fault that the domain found in a
//! command stands in the caller's request.

use api::v1 as proto;
use api::v1::change::Change;
use domain::{Command, Entry, EntryId, Kind};
use engine::Violation;

use super::entry::{amendment_in, entry_in, partial_in};
use super::identity::identity_in;
use super::kind::detail_field;
use super::values::{entry_id_in, required};
use super::{At, Report};

/// Changes of one contribution, at most: its records, with room for the registry's (engine).
pub const MAX_CHANGES: usize = engine::MAX_CHANGES;

/// Paths of a field mask, at most: more than there are fields is a mistake or an attack.
const MAX_MASK: usize = 64;

/// The changes as commands.
pub fn changes_in(
    from: Vec<proto::Change>,
    at: &At<'_>,
    report: &mut Report,
) -> Option<Vec<Command>> {
    if !(1..=MAX_CHANGES).contains(&from.len()) {
        report.fault(
            at,
            "count",
            format!("a contribution has 1 to {MAX_CHANGES} changes: file the rest in others"),
        );
        return None;
    }
    let commands = from
        .into_iter()
        .enumerate()
        .filter_map(|(index, change)| change_in(change, &at.index(index), report))
        .collect();
    Some(commands)
}

fn change_in(from: proto::Change, at: &At<'_>, report: &mut Report) -> Option<Command> {
    match from.change {
        Some(Change::AddEntry(add)) => {
            let at = at.field("add_entry");
            let entry = required(add.entry, &at.field("entry"), report, entry_in)?;
            Some(Command::AddEntry { id: EntryId::ZERO, entry })
        }
        Some(Change::AmendEntry(amend)) => amend_entry(amend, &at.field("amend_entry"), report),
        Some(Change::RetractEntry(retract)) => {
            let at = at.field("retract_entry");
            let id = entry_id_in(&retract.entry_id, &at.field("entry_id"), report)?;
            Some(Command::RetractEntry { id, reason: retract.reason })
        }
        Some(Change::AmendIdentity(amend)) => {
            let at = at.field("amend_identity");
            let identity = required(amend.identity, &at.field("identity"), report, identity_in);
            let mask = mask(amend.update_mask, &at, report);
            let how = amendment_in(amend.how, &at.field("how"), report);
            Some(Command::AmendIdentity {
                identity: identity?,
                mask: mask?,
                how: how?,
                reason: amend.reason,
            })
        }
        None => {
            report.fault(
                at,
                "required",
                "one of add_entry, amend_entry, retract_entry, amend_identity must be set",
            );
            None
        }
    }
}

fn amend_entry(from: proto::AmendEntry, at: &At<'_>, report: &mut Report) -> Option<Command> {
    let id = entry_id_in(&from.entry_id, &at.field("entry_id"), report);
    let mask = mask(from.update_mask, at, report);
    let how = amendment_in(from.how, &at.field("how"), report);
    // A kind's own fields cannot be cleared: an entry without them has no kind.
    let whole = mask.as_ref().is_some_and(|mask| mask.iter().any(|path| path == "detail"));
    let convert = if whole { entry_in } else { partial_in };
    let entry: Option<Entry> = required(from.entry, &at.field("entry"), report, convert);
    Some(Command::AmendEntry {
        id: id?,
        entry: entry?,
        mask: mask?,
        how: how?,
        reason: from.reason,
    })
}

fn mask(
    from: Option<prost_types::FieldMask>,
    at: &At<'_>,
    report: &mut Report,
) -> Option<Vec<String>> {
    let at = at.field("update_mask");
    let paths = from.map(|mask| mask.paths).unwrap_or_default();
    if paths.is_empty() {
        report.fault(&at, "required", "name the fields to change");
        return None;
    }
    if paths.len() > MAX_MASK {
        report.fault(&at, "too-many", format!("has more than {MAX_MASK} paths"));
        return None;
    }
    Some(paths)
}

/// Where in the caller's changes the domain's faults stand, kept while the commands are away.
#[derive(Debug)]
pub struct Places(Vec<Place>);

#[derive(Debug, Clone, Copy)]
enum Place {
    AddEntry(Kind),
    AmendEntry(Kind),
    RetractEntry,
    AmendIdentity,
    Register,
}

impl Places {
    /// Remembers what each command was made from.
    #[must_use]
    pub fn of(commands: &[Command]) -> Self {
        let places = commands.iter().map(|command| match command {
            Command::AddEntry { entry, .. } => Place::AddEntry(entry.kind()),
            Command::AmendEntry { entry, .. } => Place::AmendEntry(entry.kind()),
            Command::RetractEntry { .. } => Place::RetractEntry,
            Command::AmendIdentity { .. } => Place::AmendIdentity,
            Command::Register(_) => Place::Register,
        });
        Self(places.collect())
    }

    /// The proto path for a path of the domain's, such as `changes[2].detail.severity`.
    #[must_use]
    pub fn path(&self, found: &str) -> String {
        let indexed = found
            .strip_prefix("changes[")
            .and_then(|rest| rest.split_once(']'))
            .and_then(|(index, rest)| Some((index.parse::<usize>().ok()?, rest)));
        match indexed {
            Some((index, rest)) => match self.0.get(index) {
                Some(place) => {
                    format!("changes[{index}]{}", place.within(rest.trim_start_matches('.')))
                }
                None => found.to_owned(),
            },
            None => found.to_owned(),
        }
    }

    /// The same violations, at the places that the caller knows.
    #[must_use]
    pub fn violations(&self, found: Vec<Violation>) -> Vec<Violation> {
        found
            .into_iter()
            .map(|violation| Violation { field: self.path(&violation.field), ..violation })
            .collect()
    }
}

impl Place {
    fn within(self, field: &str) -> String {
        if field.is_empty() {
            return self.name().to_owned();
        }
        let own = matches!(head(field), "reason" | "how");
        match self {
            Self::RetractEntry => format!(".retract_entry.{field}"),
            Self::AmendEntry(_) | Self::AmendIdentity if own => format!("{}.{field}", self.name()),
            Self::AmendEntry(_) | Self::AmendIdentity if head(field) == "mask" => {
                format!("{}.update_{field}", self.name())
            }
            Self::AddEntry(kind) | Self::AmendEntry(kind) => {
                entry_at(&format!("{}.entry", self.name()), kind, field)
            }
            Self::AmendIdentity => identity_at(&format!("{}.identity", self.name()), field),
            Self::Register => format!(".{}", identity_path(field)),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::AddEntry(_) => ".add_entry",
            Self::AmendEntry(_) => ".amend_entry",
            Self::RetractEntry => ".retract_entry",
            Self::AmendIdentity => ".amend_identity",
            Self::Register => "",
        }
    }
}

/// The first name of a path.
fn head(path: &str) -> &str {
    path.split(['.', '[']).next().unwrap_or_default()
}

/// The path of a finding about an entry that stands at `at`.
#[must_use]
pub fn entry_at(at: &str, kind: Kind, path: &str) -> String {
    // The domain's word for the whole of it.
    if path == "entry" { at.to_owned() } else { format!("{at}.{}", entry_path(kind, path)) }
}

/// The path of a finding about an identity that stands at `at`.
#[must_use]
pub fn identity_at(at: &str, path: &str) -> String {
    if path == "identity" { at.to_owned() } else { format!("{at}.{}", identity_path(path)) }
}

/// Paths within an entry are the same in both worlds, but for the kind's own fields.
fn entry_path(kind: Kind, path: &str) -> String {
    let Some(rest) = path.strip_prefix("detail") else { return path.to_owned() };
    format!("{}{rest}", detail_field(kind))
}

/// Paths within an identity are the same in both worlds, but for the issuer of a number.
fn identity_path(path: &str) -> String {
    match path.strip_prefix("identifiers[").and_then(|rest| rest.strip_suffix("].system")) {
        Some(index) if index.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("identifiers[{index}].issuer")
        }
        Some(_) | None => path.to_owned(),
    }
}
