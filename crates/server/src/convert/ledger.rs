//! Ledgers, heads, the node's state.

use api::v1 as proto;
use engine::{Alarm, Condition, Head, LedgerStatus, Status};
use ledger::{LedgerId, LedgerKind};

use super::values::time_out;
use super::{At, Report};

/// Which ledger; `records`, shard 0, period 0 if nothing is said.
pub fn ledger_in(
    from: Option<proto::LedgerId>,
    at: &At<'_>,
    report: &mut Report,
) -> Option<LedgerId> {
    let from = from.unwrap_or_default();
    let kind = match proto::LedgerKind::try_from(from.kind) {
        Ok(proto::LedgerKind::Unspecified | proto::LedgerKind::Records) => {
            Some(LedgerKind::Records)
        }
        Ok(proto::LedgerKind::Access) => Some(LedgerKind::Access),
        Err(_) => {
            report.fault(&at.field("kind"), "enum", "is not a value of LedgerKind");
            None
        }
    };
    let shard = number(from.shard, &at.field("shard"), report);
    let period = number(from.period, &at.field("period"), report);
    Some(LedgerId { kind: kind?, shard: shard?, period: period? })
}

fn number(from: u32, at: &At<'_>, report: &mut Report) -> Option<u16> {
    let number = u16::try_from(from).ok();
    if number.is_none() {
        report.fault(at, "too-large", "must be at most 65535");
    }
    number
}

/// A ledger's id.
#[must_use]
pub fn ledger_out(from: LedgerId) -> proto::LedgerId {
    let kind = match from.kind {
        LedgerKind::Records => proto::LedgerKind::Records,
        LedgerKind::Access => proto::LedgerKind::Access,
    };
    proto::LedgerId {
        kind: kind.into(),
        shard: u32::from(from.shard),
        period: u32::from(from.period),
    }
}

/// A head.
#[must_use]
pub fn head_out(from: &Head) -> proto::Head {
    proto::Head {
        ledger: Some(ledger_out(from.ledger)),
        origin: from.origin.clone(),
        genesis: from.genesis.0.to_vec(),
        size: from.size,
        root: from.root.0.to_vec(),
        sequence: from.sequence,
        stream_hash: from.stream_hash.0.to_vec(),
        time: Some(time_out(from.time)),
    }
}

/// How a node is.
#[must_use]
pub fn status_out(from: &Status) -> proto::GetNodeStatusResponse {
    proto::GetNodeStatusResponse {
        node: from.node.to_string(),
        version: crate::VERSION.to_owned(),
        broker_connected: from.broker_connected,
        ledgers: from.ledgers.iter().map(ledger_status_out).collect(),
        spool_bytes: from.spool_bytes,
        spare_keys: u64::try_from(from.spare_keys).unwrap_or(u64::MAX),
        alarms: from.alarms.iter().map(alarm_out).collect(),
    }
}

fn ledger_status_out(from: &LedgerStatus) -> proto::LedgerStatus {
    let (condition, reason) = match &from.condition {
        Condition::Serving => (proto::LedgerCondition::Serving, ""),
        Condition::ReadOnly(why) => (proto::LedgerCondition::ReadOnly, why.as_str()),
        Condition::CatchingUp(why) => (proto::LedgerCondition::CatchingUp, why.as_str()),
        Condition::Stopped(why) => (proto::LedgerCondition::Stopped, why.as_str()),
    };
    proto::LedgerStatus {
        head: Some(head_out(&from.head)),
        condition: condition.into(),
        reason: reason.to_owned(),
        checkpoint_size: from.checkpoint_size,
        signed_size: from.signed_size,
        witnesses: u32::try_from(from.witnesses).unwrap_or(u32::MAX),
    }
}

fn alarm_out(from: &Alarm) -> proto::Alarm {
    proto::Alarm {
        code: from.code.to_owned(),
        ledger: from.ledger.map(ledger_out),
        text: from.text.clone(),
        noticed_at: Some(time_out(from.at)),
        count: from.count,
    }
}
