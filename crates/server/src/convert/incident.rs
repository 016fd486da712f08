//! Privacy incidents.

use api::v1 as proto;
use domain::{Notice, PatientId, PrivacyIncident, RiskAssessment, RiskFactor};
use engine::{Incident, IncidentPage};

use super::values::{all, list, option, required, text, text_out, time_in, time_out};
use super::{At, Report};

/// An incident, from the request's field at `at`.
pub fn incident_in(
    from: proto::PrivacyIncident,
    at: &At<'_>,
    report: &mut Report,
) -> Option<PrivacyIncident> {
    let time_at = at.field("discover_time");
    let discover_time = required(from.discover_time, &time_at, report, time_in);
    let mut access_positions = from.access_positions;
    access_positions.sort_unstable();
    access_positions.dedup();
    let notices = list(from.notices, &at.field("notices"), report, notice_in);
    let assessment = option(from.assessment, &at.field("assessment"), report, assessment_in);
    Some(PrivacyIncident {
        title: from.title,
        description: from.description,
        discover_time: discover_time?,
        access_positions,
        assessment,
        notices,
        closure: text(from.closure),
    })
}

fn assessment_in(
    from: proto::RiskAssessment,
    at: &At<'_>,
    report: &mut Report,
) -> Option<RiskAssessment> {
    use proto::RiskConclusion as Conclusion;
    let nature = required(from.nature, &at.field("nature"), report, factor_in);
    let recipient = required(from.recipient, &at.field("recipient"), report, factor_in);
    let acquired = required(from.acquired, &at.field("acquired"), report, factor_in);
    let mitigated = required(from.mitigated, &at.field("mitigated"), report, factor_in);
    let conclusion = match Conclusion::try_from(from.conclusion) {
        Ok(Conclusion::Breach) => Some(RiskAssessment::BREACH),
        Ok(Conclusion::LowProbability) => Some(RiskAssessment::LOW_PROBABILITY),
        said => named(said.is_ok(), &at.field("conclusion"), "RiskConclusion", report),
    };
    Some(RiskAssessment {
        nature: nature?,
        recipient: recipient?,
        acquired: acquired?,
        mitigated: mitigated?,
        conclusion: conclusion?.to_owned(),
    })
}

fn factor_in(from: proto::RiskFactor, at: &At<'_>, report: &mut Report) -> Option<RiskFactor> {
    use proto::RiskLevel as Level;
    let level = match Level::try_from(from.level) {
        Ok(Level::Low) => Some("low"),
        Ok(Level::Medium) => Some("medium"),
        Ok(Level::High) => Some("high"),
        said => named(said.is_ok(), &at.field("level"), "RiskLevel", report),
    };
    Some(RiskFactor { level: level?.to_owned(), text: from.text })
}

fn notice_in(from: proto::IncidentNotice, at: &At<'_>, report: &mut Report) -> Option<Notice> {
    use proto::NoticeRecipient as Recipient;
    let recipient = match Recipient::try_from(from.recipient) {
        Ok(Recipient::Individual) => Some(Notice::INDIVIDUAL),
        Ok(Recipient::Media) => Some(Notice::MEDIA),
        Ok(Recipient::Secretary) => Some(Notice::SECRETARY),
        said => named(said.is_ok(), &at.field("recipient"), "NoticeRecipient", report),
    };
    let notice_time = required(from.notice_time, &at.field("notice_time"), report, time_in);
    Some(Notice { recipient: recipient?.to_owned(), notice_time: notice_time?, how: from.how })
}

/// Reports a value that says nothing, or is none.
fn named(known: bool, at: &At<'_>, name: &str, report: &mut Report) -> Option<&'static str> {
    if known {
        report.missing(at);
    } else {
        report.fault(at, "enum", format!("is not a value of {name}"));
    }
    None
}

fn incident_out(from: &PrivacyIncident) -> proto::PrivacyIncident {
    proto::PrivacyIncident {
        title: from.title.clone(),
        description: from.description.clone(),
        discover_time: Some(time_out(from.discover_time)),
        access_positions: from.access_positions.clone(),
        assessment: from.assessment.as_ref().map(assessment_out),
        notices: all(&from.notices, notice_out),
        closure: text_out(from.closure.as_ref()),
    }
}

fn assessment_out(from: &RiskAssessment) -> proto::RiskAssessment {
    proto::RiskAssessment {
        nature: Some(factor_out(&from.nature)),
        recipient: Some(factor_out(&from.recipient)),
        acquired: Some(factor_out(&from.acquired)),
        mitigated: Some(factor_out(&from.mitigated)),
        conclusion: conclusion_out(from).into(),
    }
}

fn conclusion_out(from: &RiskAssessment) -> proto::RiskConclusion {
    match from.conclusion.as_str() {
        RiskAssessment::BREACH => proto::RiskConclusion::Breach,
        RiskAssessment::LOW_PROBABILITY => proto::RiskConclusion::LowProbability,
        _ => proto::RiskConclusion::Unspecified,
    }
}

fn factor_out(from: &RiskFactor) -> proto::RiskFactor {
    let level = match from.level.as_str() {
        "low" => proto::RiskLevel::Low,
        "medium" => proto::RiskLevel::Medium,
        "high" => proto::RiskLevel::High,
        _ => proto::RiskLevel::Unspecified,
    };
    proto::RiskFactor { level: level.into(), text: from.text.clone() }
}

fn notice_out(from: &Notice) -> proto::IncidentNotice {
    let recipient = match from.recipient.as_str() {
        Notice::INDIVIDUAL => proto::NoticeRecipient::Individual,
        Notice::MEDIA => proto::NoticeRecipient::Media,
        Notice::SECRETARY => proto::NoticeRecipient::Secretary,
        _ => proto::NoticeRecipient::Unspecified,
    };
    proto::IncidentNotice {
        recipient: recipient.into(),
        notice_time: Some(time_out(from.notice_time)),
        how: from.how.clone(),
    }
}

/// An incident as it stands, and the patients on this page.
#[must_use]
pub fn incident_page_out(from: &IncidentPage) -> (proto::IncidentState, Vec<String>) {
    let Incident { state, incident, notice_overdue } = &from.incident;
    let told = proto::IncidentState {
        incident_id: state.id.to_string(),
        incident: Some(incident_out(incident)),
        revision: state.revision,
        opened_by: state.filed.author.clone(),
        open_time: Some(time_out(state.filed.stamp.recorded_at)),
        changed_by: state.changed.author.clone(),
        change_time: Some(time_out(state.changed.stamp.recorded_at)),
        change_reason: state.changed.reason.clone(),
        notice_due_time: Some(time_out(incident.notice_due())),
        notice_overdue: *notice_overdue,
        affected_count: u32::try_from(from.affected_count).unwrap_or(u32::MAX),
    };
    (told, all(&from.affected, PatientId::to_string))
}

/// An incident in short.
#[must_use]
pub fn summary_out(from: &Incident) -> proto::IncidentSummary {
    let Incident { state, incident, notice_overdue } = from;
    let conclusion = incident.assessment.as_ref().map(conclusion_out).unwrap_or_default();
    proto::IncidentSummary {
        incident_id: state.id.to_string(),
        title: incident.title.clone(),
        discover_time: Some(time_out(incident.discover_time)),
        open: incident.closure.is_none(),
        conclusion: conclusion.into(),
        notice_due_time: Some(time_out(incident.notice_due())),
        notice_overdue: *notice_overdue,
        access_count: u32::try_from(incident.access_positions.len()).unwrap_or(u32::MAX),
        opened_by: state.filed.author.clone(),
        open_time: Some(time_out(state.filed.stamp.recorded_at)),
    }
}
