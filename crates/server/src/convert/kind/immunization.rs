//! Immunization.

use api::v1 as proto;
use domain::Immunization;

use crate::convert::values::{
    actor_in, actor_out, all, concept_in, concept_out, date_in, date_out, list, option,
    quantity_in, quantity_out, text, text_out,
};
use crate::convert::{At, Report};

pub(super) fn fields_in(
    from: proto::Immunization,
    at: &At<'_>,
    report: &mut Report,
) -> Option<Immunization> {
    Some(Immunization {
        lot_number: text(from.lot_number),
        expiration_date: date_in(&from.expiration_date, &at.field("expiration_date"), report),
        site: option(from.site, &at.field("site"), report, concept_in),
        route: option(from.route, &at.field("route"), report, concept_in),
        dose_quantity: option(from.dose_quantity, &at.field("dose_quantity"), report, quantity_in),
        performer: list(from.performer, &at.field("performer"), report, actor_in),
        primary_source: from.primary_source,
        status_reason: option(from.status_reason, &at.field("status_reason"), report, concept_in),
        protocol_dose: text(from.protocol_dose),
    })
}

pub(super) fn fields_out(from: &Immunization) -> proto::Immunization {
    proto::Immunization {
        lot_number: text_out(from.lot_number.as_ref()),
        expiration_date: date_out(from.expiration_date.as_ref()),
        site: from.site.as_ref().map(concept_out),
        route: from.route.as_ref().map(concept_out),
        dose_quantity: from.dose_quantity.as_ref().map(quantity_out),
        performer: all(&from.performer, actor_out),
        primary_source: from.primary_source,
        status_reason: from.status_reason.as_ref().map(concept_out),
        protocol_dose: text_out(from.protocol_dose.as_ref()),
    }
}
