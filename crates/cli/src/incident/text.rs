//! Incidents for people.

use std::fmt::Write as _;

use api::v1;

use crate::output::{Table, one_line};
use crate::time;

/// An incident and those whom it affects.
pub(crate) fn shown(state: &v1::IncidentState, patients: &[String], receipts: &[String]) -> String {
    let incident = state.incident.clone().unwrap_or_default();
    let due = time::short(state.notice_due_time.as_ref());
    let standing = if incident.closure.is_empty() { "open" } else { "closed" };
    let overdue = if state.notice_overdue { "  OVERDUE" } else { "" };
    let mut lines = vec![
        one_line(&incident.title),
        format!("incident {}, revision {}, {standing}", state.incident_id, state.revision),
        format!("discovered {}", time::short(incident.discover_time.as_ref())),
        format!("notices to individuals due {due}{overdue}"),
        format!("opened {} by {}", time::short(state.open_time.as_ref()), state.opened_by),
    ];
    if state.revision > 1 {
        let (when, who) = (time::short(state.change_time.as_ref()), &state.changed_by);
        lines.push(format!("changed {when} by {who}: {}", one_line(&state.change_reason)));
    }
    lines.push(String::new());
    lines.extend(incident.description.lines().map(one_line));
    lines.push(String::new());
    if let Some(assessment) = &incident.assessment {
        lines.extend(assessed(assessment));
    }
    for notice in &incident.notices {
        let (to, when) = (recipient(notice.recipient()), time::short(notice.notice_time.as_ref()));
        lines.push(format!("notice to {to} {when}: {}", one_line(&notice.how)));
    }
    let positions: Vec<_> = incident.access_positions.iter().map(u64::to_string).collect();
    let replay = match positions.as_slice() {
        [] => "",
        _ => "  (what one showed:  caseledger audit replay --position N)",
    };
    lines.push(format!("accesses at positions: {}{replay}", positions.join(" ")));
    lines.push(format!("affected patients: {}", state.affected_count));
    lines.extend(patients.iter().map(|patient| format!("  {patient}")));
    lines.extend(receipts.iter().map(|receipt| format!("receipt {receipt}")));
    lines.join("\n")
}

fn assessed(assessment: &v1::RiskAssessment) -> Vec<String> {
    let factors = [
        ("nature and extent", &assessment.nature),
        ("unauthorised person", &assessment.recipient),
        ("acquired or viewed", &assessment.acquired),
        ("mitigated", &assessment.mitigated),
    ];
    let mut lines = vec![format!("assessed: {}", conclusion(assessment.conclusion()))];
    for (name, factor) in factors {
        let factor = factor.clone().unwrap_or_default();
        let mut line = format!("  {name}: {}", level(factor.level()));
        // A String takes everything.
        let _ = write!(line, ", {}", one_line(&factor.text));
        lines.push(line);
    }
    lines
}

/// Incidents in short.
pub(crate) fn listed(found: &[v1::IncidentSummary], receipts: &[String]) -> String {
    let heading = ["discovered", "id", "title", "state", "assessed", "notices due", "accesses"];
    let mut table = Table::with_heading(heading).right_aligned([6]);
    for one in found {
        let due = time::short(one.notice_due_time.as_ref());
        table.row([
            time::short(one.discover_time.as_ref()),
            one.incident_id.clone(),
            one.title.clone(),
            if one.open { "open" } else { "closed" }.to_owned(),
            conclusion(one.conclusion()).to_owned(),
            if one.notice_overdue { format!("{due} OVERDUE") } else { due },
            one.access_count.to_string(),
        ]);
    }
    let receipts: String = receipts.iter().map(|one| format!("receipt {one}\n")).collect();
    format!("{}\n{receipts}", table.lines(""))
}

fn conclusion(conclusion: v1::RiskConclusion) -> &'static str {
    match conclusion {
        v1::RiskConclusion::Unspecified => "not yet",
        v1::RiskConclusion::Breach => "breach",
        v1::RiskConclusion::LowProbability => "low probability of compromise",
    }
}

fn level(level: v1::RiskLevel) -> &'static str {
    match level {
        v1::RiskLevel::Unspecified => "",
        v1::RiskLevel::Low => "low",
        v1::RiskLevel::Medium => "medium",
        v1::RiskLevel::High => "high",
    }
}

fn recipient(recipient: v1::NoticeRecipient) -> &'static str {
    match recipient {
        v1::NoticeRecipient::Unspecified => "",
        v1::NoticeRecipient::Individual => "individuals",
        v1::NoticeRecipient::Media => "media",
        v1::NoticeRecipient::Secretary => "the Secretary",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_due_notice_and_those_affected_are_told() {
        let time = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let incident = v1::PrivacyIncident {
            title: "Files of colleagues".to_owned(),
            discover_time: time(0),
            access_positions: vec![4, 9],
            ..v1::PrivacyIncident::default()
        };
        let state = v1::IncidentState {
            incident: Some(incident),
            revision: 1,
            notice_due_time: time(86_400),
            notice_overdue: true,
            affected_count: 1,
            ..v1::IncidentState::default()
        };
        let text = shown(&state, &["p1".to_owned()], &["00".to_owned()]);
        assert!(text.contains("due 1970-01-02 00:00:00Z  OVERDUE\n"), "{text}");
        assert!(
            text.contains("accesses at positions: 4 9  (what one showed:")
                && text.contains("--position N)\naffected patients: 1\n  p1\nreceipt 00"),
            "{text}"
        );
        let short = v1::IncidentSummary { open: true, access_count: 2, ..Default::default() };
        assert!(listed(&[short], &[]).contains("open   not yet"), "in short");
    }
}
