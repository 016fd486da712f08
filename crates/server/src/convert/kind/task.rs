//! Task.

use api::v1 as proto;
use domain::Task;

use crate::convert::values::{
    actor_in, actor_out, all, concept_in, concept_out, entry_ref_in, entry_ref_out, list, option,
    period_in, period_out, text, text_out,
};
use crate::convert::{At, Report};

pub(super) fn fields_in(from: proto::Task, at: &At<'_>, report: &mut Report) -> Option<Task> {
    let references = at.field("reason_reference");
    Some(Task {
        intent: text(from.intent),
        priority: text(from.priority),
        description: text(from.description),
        focus: option(text(from.focus), &at.field("focus"), report, entry_ref_in),
        based_on: list(from.based_on, &at.field("based_on"), report, entry_ref_in),
        owner: option(from.owner, &at.field("owner"), report, actor_in),
        restriction: option(from.restriction, &at.field("restriction"), report, period_in),
        reason: list(from.reason, &at.field("reason"), report, concept_in),
        reason_reference: list(from.reason_reference, &references, report, entry_ref_in),
    })
}

pub(super) fn fields_out(from: &Task) -> proto::Task {
    proto::Task {
        intent: text_out(from.intent.as_ref()),
        priority: text_out(from.priority.as_ref()),
        description: text_out(from.description.as_ref()),
        focus: from.focus.as_ref().map(entry_ref_out).unwrap_or_default(),
        based_on: all(&from.based_on, entry_ref_out),
        owner: from.owner.as_ref().map(actor_out),
        restriction: from.restriction.as_ref().map(period_out),
        reason: all(&from.reason, concept_out),
        reason_reference: all(&from.reason_reference, entry_ref_out),
    }
}
