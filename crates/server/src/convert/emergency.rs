//! Emergency accesses and their reviews.

use api::v1 as proto;
use api::v1::break_glass_request::Scope as AskedScope;
use api::v1::emergency_access::Scope as OpenedScope;
use engine::{
    BreakGlass, EmergencyAccess, EmergencyFilter, EmergencyScope, EmergencyState, Opening,
    Reviewed, Whose,
};

use super::import::{Selector, selector_in};
use super::values::{entry_id_in, text, time_out};
use super::{At, Report};

/// A glass that is to be broken.
pub fn break_glass_in(from: &proto::BreakGlassRequest, report: &mut Report) -> Option<BreakGlass> {
    let at = At::TOP;
    if from.reason_code.is_empty() {
        report.missing(&at.field("reason_code"));
    }
    let scope = match &from.scope {
        Some(AskedScope::Patient(selector)) => {
            whose_in(Some(selector), &at.field("patient"), report).map(Opening::Patient)
        }
        Some(AskedScope::Entry(entry)) => {
            let at = at.field("entry");
            let whose = whose_in(entry.patient.as_ref(), &at.field("patient"), report);
            let id = entry_id_in(&entry.entry_id, &at.field("entry_id"), report);
            whose.zip(id).map(|(whose, id)| Opening::Entry(whose, id))
        }
        Some(AskedScope::Unit(unit)) => Some(Opening::Unit(unit.clone())),
        None => {
            report.fault(&at.field("scope"), "required", "one of patient, unit, entry must be set");
            None
        }
    };
    let duration = match from.duration {
        Some(duration) => {
            let micros = u64::try_from(duration.seconds)
                .ok()
                .filter(|_| duration.nanos == 0)
                .and_then(|seconds| seconds.checked_mul(1_000_000));
            if micros.is_none() {
                report.fault(&at.field("duration"), "duration", "must be whole seconds");
            }
            micros
        }
        None => None,
    };
    Some(BreakGlass { reason_code: from.reason_code.clone(), scope: scope?, duration })
}

fn whose_in(
    from: Option<&proto::PatientSelector>,
    at: &At<'_>,
    report: &mut Report,
) -> Option<Whose> {
    selector_in(from, at, report).map(|selected| match selected {
        Selector::Id(patient) => Whose::Id(patient),
        Selector::Number { issuer, value } => Whose::Number { issuer, value },
    })
}

/// Which emergency accesses are asked for.
pub fn emergency_filter_in(
    from: &proto::ListEmergencyAccessesRequest,
    report: &mut Report,
) -> EmergencyFilter {
    use proto::EmergencyAccessState as State;
    let state = match State::try_from(from.state) {
        Ok(State::Unspecified) => None,
        Ok(State::Open) => Some(EmergencyState::Open),
        Ok(State::Ended) => Some(EmergencyState::Ended),
        Ok(State::Unreviewed) => Some(EmergencyState::Unreviewed),
        Ok(State::Overdue) => Some(EmergencyState::Overdue),
        Err(_) => {
            let why = "is not a value of EmergencyAccessState";
            report.fault(&At::TOP.field("state"), "enum", why);
            None
        }
    };
    EmergencyFilter { state, person: text(from.person.clone()) }
}

/// A verdict, as the domain names it.
pub fn verdict_in(from: i32, at: &At<'_>, report: &mut Report) -> Option<&'static str> {
    use proto::ReviewVerdict as Verdict;
    match Verdict::try_from(from) {
        Ok(Verdict::Justified) => Some("justified"),
        Ok(Verdict::NotJustified) => Some("not-justified"),
        Ok(Verdict::FurtherInquiry) => Some("further-inquiry"),
        Ok(Verdict::Unspecified) => {
            report.missing(at);
            None
        }
        Err(_) => {
            report.fault(at, "enum", "is not a value of ReviewVerdict");
            None
        }
    }
}

fn verdict_out(from: &str) -> proto::ReviewVerdict {
    use proto::ReviewVerdict as Verdict;
    match from {
        "justified" => Verdict::Justified,
        "not-justified" => Verdict::NotJustified,
        "further-inquiry" => Verdict::FurtherInquiry,
        _ => Verdict::Unspecified,
    }
}

/// An emergency access, which is open or not.
#[must_use]
pub fn emergency_out(from: &EmergencyAccess, open: bool) -> proto::EmergencyAccess {
    let scope = match &from.scope {
        EmergencyScope::Patient(patient) => OpenedScope::PatientId(patient.to_string()),
        EmergencyScope::Entry(patient, entry) => OpenedScope::Entry(proto::OpenedEntry {
            patient_id: patient.to_string(),
            entry_id: entry.to_string(),
        }),
        EmergencyScope::Unit(unit) => OpenedScope::Unit(unit.clone()),
    };
    proto::EmergencyAccess {
        id: hex::encode(from.id),
        person: from.person.clone(),
        roles: from.roles.clone(),
        reason_code: from.reason_code.clone(),
        reason: from.reason.clone(),
        scope: Some(scope),
        start_time: Some(time_out(from.from)),
        expire_time: Some(time_out(from.until)),
        end_time: from.ended.map(time_out),
        open,
    }
}

/// An emergency access with its review.
#[must_use]
pub fn reviewed_out(from: &Reviewed) -> proto::ReviewedEmergencyAccess {
    let filed = from.review.filed.as_ref();
    let verdict = filed.map(|filed| verdict_out(&filed.review.verdict)).unwrap_or_default();
    let review = proto::BreakGlassReview {
        verdict: verdict.into(),
        text: filed.map(|filed| filed.review.text.clone()).unwrap_or_default(),
        reviewer: filed.map(|filed| filed.reviewer.clone()).unwrap_or_default(),
        due_time: Some(time_out(from.review.due)),
        close_time: from.review.closed().map(|closed| time_out(closed.at)),
        overdue: from.review.overdue,
    };
    proto::ReviewedEmergencyAccess {
        emergency: Some(emergency_out(&from.access, from.open)),
        review: Some(review),
    }
}
