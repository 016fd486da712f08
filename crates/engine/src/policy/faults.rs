//! What is wrong with a text of access policies, and on which line.

use std::collections::BTreeSet;

use cedar_policy::ffi::DetailedError;
use cedar_policy::{EntityUid, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};

use super::compared;
use crate::context::{Purpose, Role};
use crate::failure::Violation;

/// Policies of one set: each access record names all that decided, beside a request of 16 KiB, in a body
/// of 256 KiB.
const MAX_POLICIES: usize = 256;
/// Bytes of a policy's id: 256 of them are 16 KiB.
const MAX_ID: usize = 64;
/// Brackets within brackets. Cedar walks an expression recursively, in frames of up to 32 KiB a bracket, and
/// a worker's stack has 2 MiB: this is a quarter of it. What Caseledger comes with nests three deep.
const MAX_NESTED: usize = 16;
/// Bytes of one policy, with what stands before it. Without brackets, "if true then true else " nests
/// deepest, 350 times, in 2 KiB each; chains of operators go deeper in less.
const MAX_POLICY: usize = 8 * 1024;

/// Whether a set may name roles, purposes, kinds of entries and relationships that there are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// A set that is on file: it was taken as it is, and goes on deciding.
    AsTheyAre,
    /// A new one: what nobody has is misspelt, and would permit and forbid nothing.
    Known,
}

/// The policies that a text says, under the ids that they give themselves; or everything that is wrong
/// with it, each fault once.
pub(super) fn read(text: &str, schema: &Schema, names: Names) -> Result<PolicySet, Vec<Violation>> {
    if let Some(at) = too_involved(text) {
        let told = format!(
            "a policy has at most {MAX_POLICY} bytes, and {MAX_NESTED} brackets within brackets"
        );
        return Err(vec![fault(text, at, &told)]);
    }
    let parsed: PolicySet = text.parse().map_err(|errors: cedar_policy::ParseErrors| {
        errors.iter().map(|error| located(text, &DetailedError::from(error))).collect::<Vec<_>>()
    })?;
    let (set, mut faults) = named(text, &parsed);
    let checked = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
    faults.extend(
        checked.validation_errors().map(|error| located(text, &DetailedError::from(error))),
    );
    if names == Names::Known {
        faults.extend(unknown(text, &parsed));
    }
    // A policy for all actions is checked for each, and has the same fault for each.
    let mut told = BTreeSet::new();
    faults.retain(|fault| told.insert(fault.description.clone()));
    if faults.is_empty() { Ok(set) } else { Err(faults) }
}

/// The policies under the ids that they give themselves, and what is wrong with these.
fn named(text: &str, parsed: &PolicySet) -> (PolicySet, Vec<Violation>) {
    let mut faults = Vec::new();
    if parsed.policies().count() > MAX_POLICIES {
        faults.push(fault(text, 0, &format!("a set has at most {MAX_POLICIES} policies")));
    }
    if parsed.templates().next().is_some() {
        let told = "a policy with ?principal or ?resource is a template, which nothing fills in";
        let at = text.find("?principal").or_else(|| text.find("?resource")).unwrap_or_default();
        faults.push(fault(text, at, told));
    }
    let mut ids = BTreeSet::new();
    let mut set = PolicySet::new();
    for (at, policy) in in_order(text, parsed) {
        let id = policy.annotation("id").unwrap_or_default().to_owned();
        let wrong = if id.is_empty() {
            Some("a policy needs an @id: access records name it".to_owned())
        } else if id.len() > MAX_ID || !id.chars().all(|one| one.is_ascii_graphic()) {
            Some(format!("an @id has at most {MAX_ID} visible ASCII characters"))
        } else if !ids.insert(id.clone()) {
            Some("this @id is another policy's".to_owned())
        } else {
            None
        };
        let added = match wrong {
            Some(told) => {
                faults.push(fault(text, at, &told));
                set.add(policy)
            }
            None => set.add(policy.new_id(PolicyId::new(id))),
        };
        if let Err(error) = added {
            faults.push(fault(text, at, &error.to_string()));
        }
    }
    (set, faults)
}

/// Roles, purposes, kinds of entries and relationships that the policies name and that there are not.
fn unknown(text: &str, parsed: &PolicySet) -> Vec<Violation> {
    let mut faults = Vec::new();
    for (at, policy) in in_order(text, parsed) {
        for named in policy.entity_literals() {
            let Some(told) = no_such(&named) else { continue };
            let written = format!("\"{}\"", named.id().escaped());
            let within = text.get(at..).and_then(|rest| rest.find(&written)).unwrap_or_default();
            faults.push(fault(text, at + within, &told));
        }
        for (named, told) in compared::unknown(&policy) {
            let written = format!("{named:?}");
            let within = text.get(at..).and_then(|rest| rest.find(&written)).unwrap_or_default();
            faults.push(fault(text, at + within, &told));
        }
    }
    faults
}

/// What is wrong with a role or a purpose that is named, if there is none such.
fn no_such(named: &EntityUid) -> Option<String> {
    let (kind, id) = (named.type_name().to_string(), named.id().unescaped());
    let (kind, all) = match kind.as_str() {
        "Caseledger::Role" => ("role", Role::ALL.map(Role::name).join(", ")),
        "Caseledger::Purpose" => ("purpose of use", Purpose::CODES.join(", ")),
        _ => return None,
    };
    let known = all.split(", ").any(|one| one == id);
    (!known).then(|| format!("there is no {kind} {}; there are {all}", named.id().escaped()))
}

/// The policies with where each begins, in the order in which they are written.
fn in_order(text: &str, parsed: &PolicySet) -> Vec<(usize, Policy)> {
    // Cedar numbers them in that order.
    let number = |policy: &Policy| -> Option<usize> {
        policy.id().to_string().strip_prefix("policy")?.parse().ok()
    };
    let mut policies: Vec<_> = parsed.policies().cloned().collect();
    policies.sort_by_key(number);
    let mut from = 0;
    let placed = policies.into_iter().map(|policy| {
        let said = policy.to_cedar().unwrap_or_default();
        let at = text.get(from..).and_then(|rest| rest.find(&said)).map_or(from, |at| from + at);
        from = at + said.len();
        (at, policy)
    });
    placed.collect()
}

fn located(text: &str, error: &DetailedError) -> Violation {
    let at = error.source_locations.first().map_or(0, |label| label.loc.start);
    let message = of_any_action(&error.message);
    let told = match &error.help {
        Some(help) => format!("{message}; {help}"),
        None => message,
    };
    fault(text, at, &told)
}

/// A fault of what policies are told, which is the same for every action, without the action's name.
fn of_any_action(message: &str) -> String {
    let named = message.split_once(" in context for Caseledger::Action::\"");
    match named.and_then(|(before, named)| Some((before, named.split_once('"')?.1))) {
        Some((before, after)) => format!("{before} in context{after}"),
        None => message.to_owned(),
    }
}

fn fault(text: &str, at: usize, told: &str) -> Violation {
    let before = text.as_bytes().iter().take(at);
    let line = 1 + before.filter(|byte| **byte == b'\n').count();
    Violation {
        field: "text".to_owned(),
        code: "policy".to_owned(),
        description: format!("line {line}: {told}"),
    }
}

/// Where a policy becomes larger than Cedar can surely walk, if one does.
fn too_involved(text: &str) -> Option<usize> {
    let (mut began, mut nested) = (0, 0_usize);
    let (mut quoted, mut comment, mut escaped) = (false, false, false);
    let mut before = b' ';
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            // Cedar's grammar: a comment ends at either.
            b'\n' | b'\r' => comment = false,
            _ if comment => {}
            b'"' if !escaped => quoted = !quoted,
            _ if quoted => {}
            b'/' if before == b'/' => comment = true,
            b';' => (began, nested) = (at, 0),
            b'(' | b'[' | b'{' => nested += 1,
            b')' | b']' | b'}' => nested = nested.saturating_sub(1),
            _ => {}
        }
        escaped = quoted && byte == b'\\' && !escaped;
        before = byte;
        if nested > MAX_NESTED || at - began > MAX_POLICY {
            return Some(at);
        }
    }
    None
}
