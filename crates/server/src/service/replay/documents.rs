//! The same of what is filed about no patient.

use api::Any;
use api::v1 as proto;
use domain::{DocumentId, PatientId};
use engine::{Caller, DocumentAnswer, DocumentQuery, Failure, Operation};

use super::{decoded, whole};
use crate::convert::emergency::emergency_filter_in;
use crate::convert::policy::which_in;
use crate::convert::values::id_in;
use crate::convert::{At, Report};
use crate::pages::{Paged, Pages, Place};
use crate::service::emergency::emergencies_out;
use crate::service::incident::{incident_out, incidents_out};
use crate::service::policy::{policies_out, text_out};
use crate::service::staff::{people_out, person_out};

/// What a request of this operation asked for; none of an operation that shows none of it.
pub(super) fn documents_asked(
    pages: &Pages,
    caller: &Caller,
    operation: Option<Operation>,
    request: &[u8],
    report: &mut Report,
) -> Result<Option<DocumentQuery>, Failure> {
    let Some(operation) = operation else { return Ok(None) };
    let again = Again { pages, caller, operation };
    Ok(if operation == Operation::GetPractitionerRole {
        let message: proto::GetPractitionerRoleRequest = decoded(request)?;
        Some(DocumentQuery::Person(message.person))
    } else if operation == Operation::ListPractitionerRoles {
        let message: proto::ListPractitionerRolesRequest = decoded(request)?;
        let (limit, after) = again.page(message, Place::text, report)?;
        Some(DocumentQuery::People { after, limit })
    } else if operation == Operation::GetPolicy {
        let message: proto::PolicyServiceGetPolicyRequest = decoded(request)?;
        let which = which_in(&message.policy_id, &At::TOP.field("policy_id"), report);
        which.map(DocumentQuery::Policy)
    } else if operation == Operation::ListPolicies {
        let message: proto::ListPoliciesRequest = decoded(request)?;
        let (limit, before) = again.page(message, Place::number, report)?;
        Some(DocumentQuery::Policies { before, limit })
    } else if operation == Operation::GetIncident {
        let message: proto::GetIncidentRequest = decoded(request)?;
        let id = id_in(&message.incident_id, &At::TOP.field("incident_id"), report);
        let (limit, after) = again.page(message, Place::id, report)?;
        let after = after.map(PatientId);
        id.map(|id| DocumentQuery::Incident { id: DocumentId(id), after, limit })
    } else if operation == Operation::ListIncidents {
        let message: proto::ListIncidentsRequest = decoded(request)?;
        let open_only = message.open_only;
        let (limit, after) = again.page(message, Place::id, report)?;
        Some(DocumentQuery::Incidents { open_only, after: after.map(DocumentId), limit })
    } else if operation == Operation::ListEmergencyAccesses {
        let message: proto::ListEmergencyAccessesRequest = decoded(request)?;
        let filter = emergency_filter_in(&message, report);
        let (limit, after) = again.page(message, Place::id, report)?;
        Some(DocumentQuery::Emergencies { filter, after, limit })
    } else {
        None
    })
}

/// A page that was asked for.
struct Again<'a> {
    pages: &'a Pages,
    caller: &'a Caller,
    operation: Operation,
}

impl Again<'_> {
    /// How many items it had at most, and where it started.
    fn page<T>(
        &self,
        message: impl Paged,
        cursor: impl FnOnce(&Place) -> Result<T, Failure>,
        report: &mut Report,
    ) -> Result<(usize, Option<T>), Failure> {
        let page = self.pages.asked(self.caller, self.operation, message, report);
        Ok((page.size, page.start.as_ref().map(cursor).transpose()?))
    }
}

/// The answer as it was rendered, and the bytes that its digest is of.
pub(super) fn documents_out(from: &DocumentAnswer) -> (Option<Any>, Vec<u8>) {
    match from {
        DocumentAnswer::Person(role, state) => {
            whole::<proto::PractitionerRoleState>(person_out(role, state).1)
        }
        DocumentAnswer::People(page) => {
            whole::<proto::ListPractitionerRolesResponse>(people_out(page).1)
        }
        DocumentAnswer::Policy(policy) => whole::<proto::Policy>(text_out(policy).1),
        DocumentAnswer::Policies(page) => {
            whole::<proto::ListPoliciesResponse>(policies_out(page).1)
        }
        DocumentAnswer::Incident(page) => whole::<proto::GetIncidentResponse>(incident_out(page).1),
        DocumentAnswer::Incidents(page) => {
            whole::<proto::ListIncidentsResponse>(incidents_out(page).1)
        }
        DocumentAnswer::Emergencies(page) => {
            whole::<proto::ListEmergencyAccessesResponse>(emergencies_out(page).1)
        }
    }
}
