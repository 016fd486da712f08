//! Sets of access policies, and what trying one tells.

use api::v1 as proto;
use domain::{Authored, DocumentId};
use engine::{
    CallKind, Difference, PolicyAnswer, PolicyChange, TrialQuery, TrialSums, Tried, WhichPolicy,
};

use super::values::{document_in, text_out, time_in, time_out};
use super::{At, Report};

/// How the set that Caseledger comes with is named.
const SHIPPED: &str = "default";

/// Accesses told singly when the caller does not say.
const LISTED: usize = 200;
/// Accesses told singly at most: some 2 MiB, in messages of a hundred.
const MOST_LISTED: usize = 10_000;

/// The set that is named; the one in force if none is.
pub fn which_in(from: &str, at: &At<'_>, report: &mut Report) -> Option<WhichPolicy> {
    match from {
        "" => Some(WhichPolicy::InForce),
        SHIPPED => Some(WhichPolicy::Shipped),
        id => document_in(id, at, report).map(WhichPolicy::Of),
    }
}

/// The proposal that is to be adopted or withdrawn.
pub fn proposal_in(from: &str, at: &At<'_>, report: &mut Report) -> Option<DocumentId> {
    if from != SHIPPED {
        return document_in(from, at, report);
    }
    let why = "is the set that Caseledger comes with, which nobody proposed: to put it in force again, \
               propose its text";
    report.fault(at, "not-a-proposal", why);
    None
}

/// What is tried on what.
pub fn trial_in(from: &proto::TryPolicyRequest, report: &mut Report) -> Option<TrialQuery> {
    use proto::try_policy_request::Tried as Given;
    let at = At::TOP;
    let tried = match &from.tried {
        Some(Given::Text(text)) => Some(Tried::Text(text.clone())),
        Some(Given::PolicyId(id)) if !id.is_empty() => {
            which_in(id, &at.field("policy_id"), report).map(Tried::OnFile)
        }
        Some(Given::PolicyId(_)) | None => {
            report.missing(&at.field("tried"));
            None
        }
    };
    let start = match from.start_time {
        Some(time) => time_in(time, &at.field("start_time"), report),
        None => {
            report.missing(&at.field("start_time"));
            None
        }
    };
    let end = from.end_time.and_then(|time| time_in(time, &at.field("end_time"), report));
    if start.zip(end).is_some_and(|(start, end)| start >= end) {
        report.fault(&at.field("end_time"), "time-range", "must be after start_time");
    }
    let list = match usize::try_from(from.max_accesses) {
        Ok(0) => LISTED,
        Ok(list) if list <= MOST_LISTED => list,
        Ok(_) | Err(_) => {
            let told = format!("at most {MOST_LISTED} are told singly");
            report.fault(&at.field("max_accesses"), "too-large", told);
            LISTED
        }
    };
    let (tried, from) = tried.zip(start)?;
    Some(TrialQuery { tried, from, to: end, list })
}

/// A set with its text.
#[must_use]
pub fn policy_out(from: &PolicyAnswer) -> proto::Policy {
    proto::Policy { text: from.text.clone(), ..listed_out(from) }
}

/// A set without its text.
#[must_use]
pub fn listed_out(from: &PolicyAnswer) -> proto::Policy {
    let ended = from.ended.as_ref().map(step_out);
    let (adopted, withdrawn) = if from.status == "active" { (ended, None) } else { (None, ended) };
    proto::Policy {
        policy_id: from.id.map_or_else(|| SHIPPED.to_owned(), |id: DocumentId| id.to_string()),
        status: from.status.clone(),
        version: from.version.clone(),
        in_force: from.in_force,
        proposed: from.proposed.as_ref().map(step_out),
        adopted,
        withdrawn,
        text: String::new(),
    }
}

fn step_out(from: &Authored) -> proto::PolicyStep {
    proto::PolicyStep {
        author: from.author.clone(),
        at: Some(time_out(from.stamp.recorded_at)),
        reason: from.reason.clone(),
        position: from.stamp.position,
    }
}

/// A call that would end otherwise.
#[must_use]
pub fn difference_out(from: &Difference) -> proto::AccessDifference {
    proto::AccessDifference {
        position: from.position,
        recorded_at: Some(time_out(from.recorded_at)),
        hash: from.hash.0.to_vec(),
        patient_id: from.patient.map(|patient| patient.to_string()).unwrap_or_default(),
        call: Some(kind_out(&from.kind)),
        masked: from.masked.clone(),
        unmasked: from.unmasked.clone(),
    }
}

/// How often calls of a kind would.
#[must_use]
pub fn count_out(kind: &CallKind, count: u64) -> proto::CallCount {
    proto::CallCount { call: Some(kind_out(kind)), count }
}

fn kind_out(from: &CallKind) -> proto::CallKind {
    let change = match from.change {
        PolicyChange::Denied => proto::PolicyChange::Denied,
        PolicyChange::Allowed => proto::PolicyChange::Allowed,
        PolicyChange::Masked => proto::PolicyChange::Masked,
        PolicyChange::Unmasked => proto::PolicyChange::Unmasked,
        PolicyChange::MaskedOtherwise => proto::PolicyChange::MaskedOtherwise,
    };
    proto::CallKind {
        change: change.into(),
        person: text_out(from.person.as_ref()),
        service: from.service.clone(),
        roles: from.roles.clone(),
        operation: from.operation.clone(),
        purpose_of_use: from.purpose.clone(),
    }
}

/// The sums, without their receipt.
#[must_use]
pub fn sums_out(from: &TrialSums) -> proto::TryEnded {
    proto::TryEnded {
        looked_at: from.looked_at,
        not_judged: from.not_judged,
        would_be_denied: from.denied,
        would_be_allowed: from.allowed,
        not_told: from.not_told,
        would_be_masked: from.masked,
        would_be_unmasked: from.unmasked,
        receipt: Vec::new(),
    }
}
