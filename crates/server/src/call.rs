//! One call as its handler sees it: who calls, for how long, with which places held.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use api::v1 as proto;
use engine::{Caller, Context, Failure, Operation, Purpose};
use prost::Message;
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Request, Response, Status};

use crate::auth::{Refused, Verified};
use crate::convert::{At, Report};
use crate::gate::{Gate, Slots};
use crate::status::QUERY_TOO_LARGE;
use crate::{keys, status};

/// Longest request id, in bytes: it is hashed, never stored.
pub(crate) const MAX_REQUEST_ID: usize = 128;

/// Longest reason a caller gives for looking, in bytes; it stands in every access record.
pub(crate) const MAX_REASON: usize = 4 * 1024;

/// Longest request that only reads, in bytes: it stands in its access record, whose body has at
/// most 256 KiB, and asks for an id and some filters.
pub(crate) const MAX_QUERY: usize = 16 * 1024;

/// What is said of a code that is none. All of them would not fit into a status.
pub(crate) const UNKNOWN_PURPOSE: &str = "must be a code of HL7 v3 PurposeOfUse that is known \
    here, such as TREAT, CAREMGT, HPAYMT, HOPERAT or HCOMPL; the interface lists them all at \
    Purpose.purpose_of_use";

/// Where a call without caller came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) address: Option<IpAddr>,
}

/// A call that passed the gate.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    id: String,
    verified: Verified,
    patience: Duration,
    place: Arc<OwnedSemaphorePermit>,
    gate: Gate,
}

impl Call {
    pub(crate) fn new(
        verified: Verified,
        patience: Duration,
        place: Arc<OwnedSemaphorePermit>,
        gate: Gate,
    ) -> Self {
        // Without random numbers nothing works; a call's name is the least of it.
        let id = keys::random::<16>().map(hex::encode).unwrap_or_default();
        Self { id, verified, patience, place, gate }
    }

    /// Splits a request into the call and its message.
    ///
    /// # Errors
    /// INTERNAL: the request did not come through the gate.
    pub(crate) fn of<T>(request: Request<T>) -> Result<(Self, T), Status> {
        let (_, mut extensions, message) = request.into_parts();
        match extensions.remove::<Self>() {
            Some(call) => Ok((call, message)),
            None => {
                tracing::error!("a call did not come through the gate");
                Err(status::internal(""))
            }
        }
    }

    /// Random, for the log and the caller's support.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Who calls.
    pub(crate) fn caller(&self) -> &Caller {
        &self.verified.caller
    }

    /// How long the caller waits.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// When the caller's credentials end, seconds since 1970 UTC.
    pub(crate) fn expires(&self) -> u64 {
        self.verified.expires
    }

    /// Places for streams.
    pub(crate) fn slots(&self) -> &Slots {
        self.gate.slots()
    }

    /// What the caller is then told.
    pub(crate) fn ended(&self) -> Refused {
        self.verified.ended
    }

    /// Resolves, with the reason, when the caller's token is taken back.
    pub(crate) fn taken_back(&self) -> impl Future<Output = Refused> + Send + use<> {
        self.gate.taken_back(&self.verified)
    }

    /// The place among the calls in flight, for what outlives the handler.
    pub(crate) fn place(&self) -> Arc<OwnedSemaphorePermit> {
        Arc::clone(&self.place)
    }

    /// What the engine must know about the call. `message` is the request as the trail keeps it.
    pub(crate) fn context(
        &self,
        operation: Operation,
        purpose: Option<&proto::Purpose>,
        message: &impl Message,
        report: &mut Report,
    ) -> Option<Context> {
        let purpose_at = At::TOP.field("purpose");
        let code_at = purpose_at.field("purpose_of_use");
        let reason_at = purpose_at.field("reason");
        if reads(operation) && message.encoded_len() > MAX_QUERY {
            report.fault(&At::TOP, QUERY_TOO_LARGE, "is too long for one that only reads");
            return None;
        }
        let Some(given) = purpose.filter(|given| !given.purpose_of_use.is_empty()) else {
            report.missing(&code_at);
            return None;
        };
        if given.reason.len() > MAX_REASON {
            let limit = format!("has more than {MAX_REASON} bytes");
            report.fault(&reason_at, "too-long", limit);
        } else if given.reason.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            report.fault(&reason_at, "control-character", "remove the control characters");
        }
        let Some(purpose) = Purpose::parse(&given.purpose_of_use) else {
            report.fault(&code_at, "purpose", UNKNOWN_PURPOSE);
            return None;
        };
        if purpose.needs_reason() && given.reason.trim().is_empty() {
            report.fault(&reason_at, "required", "must be set: say why you break the glass");
        }
        Some(Context {
            caller: self.verified.caller.clone(),
            purpose,
            reason: (!given.reason.is_empty()).then(|| given.reason.clone()),
            operation,
            request: message.encode_to_vec(),
            patience: self.patience,
        })
    }

    /// The context of a call about the node itself, which shows no patient data: its purpose is
    /// the hospital's operation.
    pub(crate) fn operator(&self, message: &impl Message) -> Context {
        Context {
            caller: self.verified.caller.clone(),
            purpose: Purpose::OPERATION,
            reason: None,
            operation: Operation::GetNodeStatus,
            request: message.encode_to_vec(),
            patience: self.patience,
        }
    }

    /// Turns what the engine answered into what the transport sends.
    pub(crate) fn answer<T>(&self, answer: Result<T, Failure>) -> Result<Response<T>, Status> {
        answer.map(Response::new).map_err(|failure| self.status(&failure))
    }

    /// The status for a failure of this call.
    pub(crate) fn status(&self, failure: &Failure) -> Status {
        status::status(failure, &self.id)
    }
}

/// Checks a request id.
pub(crate) fn request_id<'a>(from: &'a str, report: &mut Report) -> Option<&'a str> {
    let at = At::TOP.field("request_id");
    if from.is_empty() {
        report.missing(&at);
    } else if from.len() > MAX_REQUEST_ID {
        report.fault(&at, "too-long", format!("has more than {MAX_REQUEST_ID} bytes"));
    } else if from.chars().any(char::is_control) {
        report.fault(&at, "control-character", "must not hold control characters");
    } else {
        return Some(from);
    }
    None
}

fn reads(operation: Operation) -> bool {
    match operation {
        Operation::RegisterPatient
        | Operation::Contribute
        | Operation::Import
        | Operation::PutPractitionerRole
        | Operation::ProposePolicy
        // May bring a text.
        | Operation::TryPolicy
        | Operation::OpenIncident
        | Operation::AmendIncident => false,
        Operation::SettleRequest
        | Operation::GetPatientFile
        | Operation::GetPatientHistory
        | Operation::FindPatient
        | Operation::WatchPatientFile
        | Operation::ListAccesses
        | Operation::Replay
        | Operation::ReadEntries
        | Operation::Prove
        | Operation::ProveContents
        | Operation::BreakGlass
        | Operation::EndEmergencyAccess
        | Operation::ListEmergencyAccesses
        | Operation::CloseReview
        | Operation::GetIncident
        | Operation::ListIncidents
        | Operation::AdoptPolicy
        | Operation::WithdrawPolicy
        | Operation::GetPolicy
        | Operation::ListPolicies
        | Operation::GetNodeStatus
        | Operation::GetPractitionerRole
        | Operation::ListPractitionerRoles
        | Operation::LinkOwnFile
        | Operation::GetOwnFile => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The comment of `Purpose.purpose_of_use`, as clients get it by reflection.
    fn documented() -> String {
        let set = prost_types::FileDescriptorSet::decode(api::FILE_DESCRIPTOR_SET).unwrap();
        let file =
            set.file.iter().find(|file| file.name() == "caseledger/v1/values.proto").unwrap();
        let at = file.message_type.iter().position(|message| message.name() == "Purpose").unwrap();
        let path = [4, i32::try_from(at).unwrap(), 2, 0];
        let locations = &file.source_code_info.as_ref().unwrap().location;
        let field = locations.iter().find(|location| location.path == path).unwrap();
        field.leading_comments().to_owned()
    }

    #[test]
    fn the_interface_lists_the_purposes_that_are_known() {
        let comment = documented();
        let (_, list) = comment.split_once("one of:").unwrap();
        let (list, _) = list.split_once('.').unwrap();
        let listed: Vec<&str> = list.split(',').map(str::trim).collect();
        assert_eq!(listed, Purpose::CODES);
        assert!(UNKNOWN_PURPOSE.len() <= 240, "a status cuts longer texts");
    }
}
