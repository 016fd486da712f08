//! What was filed, for histories and watches.

use api::v1 as proto;
use api::v1::event::Event as Proto;
use domain::Event;
use engine::{HistoryItem, ShownEvent};

use super::entry::{amendment_out, entry_out};
use super::identity::identity_out;
use super::values::time_out;

/// One record of a file with what it says.
#[must_use]
pub fn filed_out(from: &HistoryItem) -> proto::FiledEvent {
    let header = &from.header;
    proto::FiledEvent {
        position: from.position,
        version: header.version,
        recorded_at: Some(time_out(header.recorded_at)),
        actor: header.actor.to_string(),
        node: header.node.to_string(),
        contribution_id: header.contribution_id.0.to_vec(),
        header: header.encode(),
        hash: from.hash.0.to_vec(),
        event: match &from.event {
            ShownEvent::Whole(event) => Some(event_out(event)),
            ShownEvent::Masked(id) => {
                let masked = proto::EntryMasked { entry_id: id.to_string() };
                Some(proto::Event { event: Some(Proto::EntryMasked(masked)) })
            }
            ShownEvent::Unreadable => None,
        },
        unreadable: matches!(from.event, ShownEvent::Unreadable),
    }
}

fn event_out(from: &Event) -> proto::Event {
    let event = match from {
        Event::PatientRegistered { identity } => {
            Some(Proto::PatientRegistered(proto::PatientRegistered {
                identity: Some(identity_out(identity)),
            }))
        }
        Event::IdentityAmended { identity, changed, how, reason } => {
            Some(Proto::IdentityAmended(proto::IdentityAmended {
                identity: Some(identity_out(identity)),
                changed: changed.clone(),
                how: amendment_out(*how).into(),
                reason: reason.clone(),
            }))
        }
        Event::EntryAdded { id, entry } => Some(Proto::EntryAdded(proto::EntryAdded {
            entry_id: id.to_string(),
            entry: Some(entry_out(entry)),
        })),
        Event::EntryAmended { id, entry, changed, how, reason } => {
            Some(Proto::EntryAmended(proto::EntryAmended {
                entry_id: id.to_string(),
                entry: Some(entry_out(entry)),
                changed: changed.clone(),
                how: amendment_out(*how).into(),
                reason: reason.clone(),
            }))
        }
        Event::EntryRetracted { id, reason } => {
            Some(Proto::EntryRetracted(proto::EntryRetracted {
                entry_id: id.to_string(),
                reason: reason.clone(),
            }))
        }
        // In the chains of registry buckets and registers, which are nobody's file.
        Event::IdentifierAssigned { .. }
        | Event::IdentifierReleased { .. }
        | Event::DocumentFiled { .. } => None,
    };
    proto::Event { event }
}
