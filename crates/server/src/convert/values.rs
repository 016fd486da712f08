//! Data types that everything else is made of, ids and times.
//!
//! Into the domain: `…_in(value, at, report) -> Option<_>`, where `None` means that a fault was
//! reported. An empty string is an absent one. Out of the domain: `…_out(&value)`.

use api::v1 as proto;
use domain::{
    Actor, Address, CodeableConcept, Coding, ContactPoint, Decimal, DocumentId, Effective, EntryId,
    FhirDateTime, Finding, HumanName, Identifier, Override, PatientId, Period, Quantity, Severity,
    SourceId, Stamp,
};
use ledger::Hash;
use prost_types::Timestamp;

use super::{At, Report};

/// A conversion into the domain.
pub type In<P, D> = fn(P, &At<'_>, &mut Report) -> Option<D>;

/// A text, absent if empty.
#[must_use]
pub fn text(from: String) -> Option<String> {
    (!from.is_empty()).then_some(from)
}

/// An absent text is an empty one.
#[must_use]
pub fn text_out(from: Option<&String>) -> String {
    from.cloned().unwrap_or_default()
}

/// Every element of a list, with its index in the path.
pub fn list<P, D>(from: Vec<P>, at: &At<'_>, report: &mut Report, each: In<P, D>) -> Vec<D> {
    from.into_iter()
        .enumerate()
        .filter_map(|(index, value)| each(value, &at.index(index), report))
        .collect()
}

/// A message that may be absent.
pub fn option<P, D>(
    from: Option<P>,
    at: &At<'_>,
    report: &mut Report,
    convert: In<P, D>,
) -> Option<D> {
    from.and_then(|value| convert(value, at, report))
}

/// A message that must be there.
pub fn required<P, D>(
    from: Option<P>,
    at: &At<'_>,
    report: &mut Report,
    convert: In<P, D>,
) -> Option<D> {
    if from.is_none() {
        report.missing(at);
    }
    option(from, at, report, convert)
}

/// All of a list, out of the domain.
pub fn all<D, P>(from: &[D], each: fn(&D) -> P) -> Vec<P> {
    from.iter().map(each).collect()
}

/// A FHIR date or dateTime, absent if empty.
pub fn date_in(from: &str, at: &At<'_>, report: &mut Report) -> Option<FhirDateTime> {
    if from.is_empty() {
        return None;
    }
    match FhirDateTime::parse(from) {
        Ok(date) => Some(date),
        Err(error) => {
            report.fault(at, "date", error.to_string());
            None
        }
    }
}

/// A FHIR instant, absent if empty.
pub fn instant_in(from: &str, at: &At<'_>, report: &mut Report) -> Option<FhirDateTime> {
    let instant = date_in(from, at, report)?;
    if instant.is_date() {
        let text = "not an instant: write YYYY-MM-DDThh:mm:ss with Z or an offset such as +02:00";
        report.fault(at, "date", text);
        return None;
    }
    Some(instant)
}

/// A date as written.
#[must_use]
pub fn date_out(from: Option<&FhirDateTime>) -> String {
    from.map(|date| date.as_str().to_owned()).unwrap_or_default()
}

/// An id, 16 bytes.
pub fn id_in(from: &str, at: &At<'_>, report: &mut Report) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    if from.is_empty() {
        report.missing(at);
    } else if from.bytes().any(|byte| byte.is_ascii_uppercase())
        || hex::decode_to_slice(from, &mut bytes).is_err()
    {
        report.fault(at, "id", "must be 32 lower-case hex digits");
    } else if bytes == [0; 16] {
        report.fault(at, "id", "is the id of nothing");
    } else {
        return Some(bytes);
    }
    None
}

/// A patient's id.
pub fn patient_in(from: &str, at: &At<'_>, report: &mut Report) -> Option<PatientId> {
    id_in(from, at, report).map(PatientId)
}

/// The id of a document that is about no patient.
pub fn document_in(from: &str, at: &At<'_>, report: &mut Report) -> Option<DocumentId> {
    id_in(from, at, report).map(DocumentId)
}

/// An entry's id.
pub fn entry_id_in(from: &str, at: &At<'_>, report: &mut Report) -> Option<EntryId> {
    id_in(from, at, report).map(EntryId)
}

/// A hash, 32 bytes.
pub fn hash_in(from: &[u8], at: &At<'_>, report: &mut Report) -> Option<Hash> {
    let hash = <[u8; 32]>::try_from(from).ok().map(Hash);
    if hash.is_none() {
        report.fault(at, "hash", "must be 32 bytes");
    }
    hash
}

/// A time in microseconds since 1970 UTC.
pub fn time_in(from: Timestamp, at: &At<'_>, report: &mut Report) -> Option<u64> {
    let seconds = u64::try_from(from.seconds).ok();
    let nanos = u64::try_from(from.nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
    let micros = match (seconds, nanos) {
        (None, _) => Err("seconds must not be negative: it must be a time since 1970"),
        (_, None) => Err("nanos must be from 0 to 999,999,999"),
        (Some(seconds), Some(nanos)) => seconds
            .checked_mul(1_000_000)
            .and_then(|micros| micros.checked_add(nanos / 1_000))
            .ok_or("seconds are too many: they count seconds since 1970, no parts of them"),
    };
    micros.map_err(|wrong| report.fault(at, "time", wrong)).ok()
}

/// A time of the ledger.
#[must_use]
pub fn time_out(micros: u64) -> Timestamp {
    Timestamp {
        seconds: i64::try_from(micros / 1_000_000).unwrap_or(i64::MAX),
        nanos: i32::try_from(micros % 1_000_000 * 1_000).unwrap_or(0),
    }
}

/// A code.
pub fn coding_in(from: proto::Coding, _: &At<'_>, _: &mut Report) -> Option<Coding> {
    let proto::Coding { system, version, code, display } = from;
    Some(Coding { system, version: text(version), code, display: text(display) })
}

/// A code.
#[must_use]
pub fn coding_out(from: &Coding) -> proto::Coding {
    proto::Coding {
        system: from.system.clone(),
        version: text_out(from.version.as_ref()),
        code: from.code.clone(),
        display: text_out(from.display.as_ref()),
    }
}

/// A concept.
pub fn concept_in(
    from: proto::CodeableConcept,
    at: &At<'_>,
    report: &mut Report,
) -> Option<CodeableConcept> {
    let coding = list(from.coding, &at.field("coding"), report, coding_in);
    Some(CodeableConcept { coding, text: text(from.text) })
}

/// A concept.
#[must_use]
pub fn concept_out(from: &CodeableConcept) -> proto::CodeableConcept {
    proto::CodeableConcept {
        coding: all(&from.coding, coding_out),
        text: text_out(from.text.as_ref()),
    }
}

/// A span of time.
#[expect(clippy::needless_pass_by_value, reason = "lists hand their elements over")]
pub fn period_in(from: proto::Period, at: &At<'_>, report: &mut Report) -> Option<Period> {
    let start = date_in(&from.start, &at.field("start"), report);
    let end = date_in(&from.end, &at.field("end"), report);
    Some(Period { start, end })
}

/// A span of time.
#[must_use]
pub fn period_out(from: &Period) -> proto::Period {
    proto::Period { start: date_out(from.start.as_ref()), end: date_out(from.end.as_ref()) }
}

/// A moment or a span.
pub fn effective_in(from: proto::Effective, at: &At<'_>, report: &mut Report) -> Option<Effective> {
    use proto::effective::Value;
    match from.value {
        Some(Value::At(text)) if text.is_empty() => report.missing(&at.field("at")),
        Some(Value::At(text)) => {
            return date_in(&text, &at.field("at"), report).map(Effective::At);
        }
        Some(Value::During(period)) => {
            return period_in(period, &at.field("during"), report).map(Effective::During);
        }
        None => report.fault(at, "required", "one of at, during must be set"),
    }
    None
}

/// A moment or a span.
#[must_use]
pub fn effective_out(from: &Effective) -> proto::Effective {
    use proto::effective::Value;
    let value = match from {
        Effective::At(date) => Value::At(date.as_str().to_owned()),
        Effective::During(period) => Value::During(period_out(period)),
    };
    proto::Effective { value: Some(value) }
}

/// A measured amount.
pub fn quantity_in(from: proto::Quantity, at: &At<'_>, report: &mut Report) -> Option<Quantity> {
    let value = match Decimal::parse(&from.value) {
        Ok(value) => value,
        Err(_) if from.value.is_empty() => {
            report.missing(&at.field("value"));
            return None;
        }
        Err(error) => {
            report.fault(&at.field("value"), "decimal", error.to_string());
            return None;
        }
    };
    Some(Quantity {
        value,
        comparator: text(from.comparator),
        unit: text(from.unit),
        system: text(from.system),
        code: text(from.code),
    })
}

/// A measured amount.
#[must_use]
pub fn quantity_out(from: &Quantity) -> proto::Quantity {
    proto::Quantity {
        value: from.value.as_str().to_owned(),
        comparator: text_out(from.comparator.as_ref()),
        unit: text_out(from.unit.as_ref()),
        system: text_out(from.system.as_ref()),
        code: text_out(from.code.as_ref()),
    }
}

/// Somebody who took part.
pub fn actor_in(from: proto::Actor, _: &At<'_>, _: &mut Report) -> Option<Actor> {
    Some(Actor { reference: from.reference, display: text(from.display) })
}

/// Somebody who took part.
#[must_use]
pub fn actor_out(from: &Actor) -> proto::Actor {
    proto::Actor { reference: from.reference.clone(), display: text_out(from.display.as_ref()) }
}

/// Where something was imported from.
pub fn source_in(from: proto::SourceId, _: &At<'_>, _: &mut Report) -> Option<SourceId> {
    Some(SourceId { system: from.system, value: from.value })
}

/// Where something was imported from; here both parts must be given.
pub fn source_key_in(from: proto::SourceId, at: &At<'_>, report: &mut Report) -> Option<SourceId> {
    for (part, name) in [(&from.system, "system"), (&from.value, "value")] {
        if part.is_empty() {
            report.missing(&at.field(name));
        }
    }
    source_in(from, at, report)
}

/// Where something was imported from.
#[must_use]
pub fn source_out(from: &SourceId) -> proto::SourceId {
    proto::SourceId { system: from.system.clone(), value: from.value.clone() }
}

/// A number that somebody issued.
pub fn identifier_in(
    from: proto::Identifier,
    at: &At<'_>,
    report: &mut Report,
) -> Option<Identifier> {
    let kind = option(from.kind, &at.field("kind"), report, concept_in);
    let period = option(from.period, &at.field("period"), report, period_in);
    Some(Identifier {
        system: from.issuer,
        value: from.value,
        r#use: text(from.r#use),
        kind,
        period,
    })
}

/// A number that somebody issued.
#[must_use]
pub fn identifier_out(from: &Identifier) -> proto::Identifier {
    proto::Identifier {
        issuer: from.system.clone(),
        value: from.value.clone(),
        r#use: text_out(from.r#use.as_ref()),
        kind: from.kind.as_ref().map(concept_out),
        period: from.period.as_ref().map(period_out),
    }
}

/// A person's name.
pub fn name_in(from: proto::HumanName, at: &At<'_>, report: &mut Report) -> Option<HumanName> {
    let period = option(from.period, &at.field("period"), report, period_in);
    Some(HumanName {
        r#use: text(from.r#use),
        text: text(from.text),
        family: text(from.family),
        given: from.given,
        prefix: from.prefix,
        suffix: from.suffix,
        period,
    })
}

/// A person's name.
#[must_use]
pub fn name_out(from: &HumanName) -> proto::HumanName {
    proto::HumanName {
        r#use: text_out(from.r#use.as_ref()),
        text: text_out(from.text.as_ref()),
        family: text_out(from.family.as_ref()),
        given: from.given.clone(),
        prefix: from.prefix.clone(),
        suffix: from.suffix.clone(),
        period: from.period.as_ref().map(period_out),
    }
}

/// A postal address.
pub fn address_in(from: proto::Address, at: &At<'_>, report: &mut Report) -> Option<Address> {
    let proto::Address { text: whole, city, district, state, postal_code, country, .. } = &from;
    let parts = [whole, city, district, state, postal_code, country];
    if from.line.is_empty() && parts.iter().all(|part| part.is_empty()) {
        report.fault(at, "required", "say where it is, or leave it out");
        return None;
    }
    let period = option(from.period, &at.field("period"), report, period_in);
    Some(Address {
        r#use: text(from.r#use),
        line: from.line,
        city: text(from.city),
        district: text(from.district),
        state: text(from.state),
        postal_code: text(from.postal_code),
        country: text(from.country),
        text: text(from.text),
        period,
    })
}

/// A postal address.
#[must_use]
pub fn address_out(from: &Address) -> proto::Address {
    proto::Address {
        r#use: text_out(from.r#use.as_ref()),
        text: text_out(from.text.as_ref()),
        line: from.line.clone(),
        city: text_out(from.city.as_ref()),
        district: text_out(from.district.as_ref()),
        state: text_out(from.state.as_ref()),
        postal_code: text_out(from.postal_code.as_ref()),
        country: text_out(from.country.as_ref()),
        period: from.period.as_ref().map(period_out),
    }
}

/// A way to reach a person.
pub fn telecom_in(
    from: proto::ContactPoint,
    at: &At<'_>,
    report: &mut Report,
) -> Option<ContactPoint> {
    let period = option(from.period, &at.field("period"), report, period_in);
    Some(ContactPoint {
        system: text(from.system),
        value: from.value,
        r#use: text(from.r#use),
        rank: from.rank,
        period,
    })
}

/// A way to reach a person.
#[must_use]
pub fn telecom_out(from: &ContactPoint) -> proto::ContactPoint {
    proto::ContactPoint {
        system: text_out(from.system.as_ref()),
        value: from.value.clone(),
        r#use: text_out(from.r#use.as_ref()),
        rank: from.rank,
        period: from.period.as_ref().map(period_out),
    }
}

/// Why an author stands by what a check remarked.
pub fn override_in(from: proto::Override, _: &At<'_>, _: &mut Report) -> Option<Override> {
    Some(Override { finding_code: from.finding_code, reason: from.reason })
}

/// Why an author stands by what a check remarked.
#[must_use]
pub fn override_out(from: &Override) -> proto::Override {
    proto::Override { finding_code: from.finding_code.clone(), reason: from.reason.clone() }
}

/// What a check said. There is no way in: findings are made, not sent.
#[must_use]
pub fn finding_out(from: &Finding) -> proto::Finding {
    let severity = match from.severity {
        Severity::Violation => proto::FindingSeverity::Violation,
        Severity::Remark => proto::FindingSeverity::Remark,
    };
    proto::Finding {
        code: from.code.clone(),
        severity: severity.into(),
        field: from.field.clone(),
        text: from.text.clone(),
    }
}

/// Where and when something was filed.
#[must_use]
pub fn stamp_out(from: &Stamp) -> proto::Stamp {
    proto::Stamp {
        position: from.position,
        version: from.version,
        recorded_at: Some(time_out(from.recorded_at)),
        actor: hex::encode(from.actor),
    }
}

/// A reference to an entry of the same file.
#[expect(clippy::needless_pass_by_value, reason = "lists hand their elements over")]
pub fn entry_ref_in(from: String, at: &At<'_>, report: &mut Report) -> Option<EntryId> {
    entry_id_in(&from, at, report)
}

/// A reference to an entry of the same file.
#[must_use]
pub fn entry_ref_out(from: &EntryId) -> String {
    from.to_string()
}
