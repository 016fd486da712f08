//! The audit trail.

use api::v1 as proto;
use engine::{AccessFilter, AccessItem};
use schema::{AccessKind, AccessRecord, Outcome};

use super::values::{id_in, patient_in, text, text_out, time_in, time_out};
use super::{At, Report};

/// Which accesses are asked for.
pub fn filter_in(from: &proto::ListAccessesRequest, report: &mut Report) -> AccessFilter {
    let at = At::TOP;
    let patient = text(from.patient_id.clone())
        .and_then(|id| patient_in(&id, &at.field("patient_id"), report));
    let start = from.start_time.and_then(|time| time_in(time, &at.field("start_time"), report));
    let end = from.end_time.and_then(|time| time_in(time, &at.field("end_time"), report));
    let purpose = text(from.purpose_of_use.clone());
    if purpose.as_deref().is_some_and(|code| engine::Purpose::parse(code).is_none()) {
        report.fault(&at.field("purpose_of_use"), "purpose", crate::call::UNKNOWN_PURPOSE);
    }
    if let (Some(start), Some(end)) = (start, end)
        && start >= end
    {
        report.fault(&at.field("end_time"), "time-range", "must be after start_time");
    }
    let outcome = text(from.outcome.clone());
    let names = Outcome::ALL.map(Outcome::name);
    if outcome.as_deref().is_some_and(|wanted| !names.contains(&wanted)) {
        let known = names.join(", ");
        report.fault(&at.field("outcome"), "outcome", format!("must be one of {known}"));
    }
    if from.receipt.len() > 32 {
        report.fault(&at.field("receipt"), "too-long", "a receipt has 32 bytes".to_owned());
    }
    let emergency = text(from.emergency_id.clone())
        .and_then(|id| id_in(&id, &at.field("emergency_id"), report));
    AccessFilter {
        patient,
        person: text(from.person.clone()),
        from: start,
        to: end,
        purpose,
        outcome,
        emergency,
        receipt: from.receipt.clone(),
    }
}

/// One access.
#[must_use]
pub fn access_out(from: &AccessItem) -> proto::Access {
    let header = &from.header;
    let common = proto::Access {
        position: from.position,
        recorded_at: Some(time_out(header.recorded_at)),
        node: header.node.to_string(),
        hash: from.hash.0.to_vec(),
        unreadable: from.record.is_none(),
        contribution_id: header.contribution_id.0.to_vec(),
        ..proto::Access::default()
    };
    match &from.record {
        Some(record) => {
            let patient = from.patient.map(|patient| patient.to_string()).unwrap_or_default();
            told(common, record, patient)
        }
        None => common,
    }
}

fn told(common: proto::Access, record: &AccessRecord, patient_id: String) -> proto::Access {
    let kind = match record.kind {
        AccessKind::Shown => proto::AccessKind::Shown,
        AccessKind::Denied => proto::AccessKind::Denied,
        AccessKind::Query => proto::AccessKind::Query,
    };
    proto::Access {
        kind: kind.into(),
        patient_id,
        person: text_out(record.person.as_ref()),
        service: record.service.clone(),
        roles: record.roles.clone(),
        organisation: record.organisation.clone(),
        purpose_of_use: record.purpose.clone(),
        reason: text_out(record.reason.as_ref()),
        relationship: text_out(record.relationship.as_ref()),
        operation: record.operation.clone(),
        outcome: record.outcome.name().to_owned(),
        request: record.request.clone(),
        shown_position: record.position,
        shown_version_from: record.first_version,
        shown_version_to: record.version,
        policy_version: record.policy_version.clone(),
        deciding_ids: record.deciding.clone(),
        masked: record.masked.clone(),
        answer_format: u32::from(record.answer_format),
        count: record.count,
        answer_digest: record.answer_digest.to_vec(),
        network: text_out(record.network.as_ref()),
        issuer: text_out(record.issuer.as_ref()),
        circumstances: record.circumstances.clone(),
        emergency_id: record.emergency.map(hex::encode).unwrap_or_default(),
        ..common
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_access_can_match_is_refused() {
        let second = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let asked = proto::ListAccessesRequest {
            start_time: second(5),
            end_time: second(5),
            outcome: "foo".to_owned(),
            ..Default::default()
        };
        let mut report = Report::default();
        filter_in(&asked, &mut report);
        let fields: Vec<_> = report.into_violations().into_iter().map(|one| one.field).collect();
        assert_eq!(fields, ["end_time", "outcome"]);
        let asked = proto::ListAccessesRequest {
            start_time: second(5),
            end_time: second(6),
            outcome: "not-found".to_owned(),
            ..Default::default()
        };
        let mut report = Report::default();
        filter_in(&asked, &mut report);
        assert!(report.into_violations().is_empty());
    }
}
