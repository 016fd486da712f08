//! Health per service, following the engine's condition.
//!
//! | service | serving while |
//! |---|---|
//! | (overall) | the broker is connected and every ledger takes writes |
//! | `ImportService` | `records` takes writes |
//! | `PatientFileService` | `records` is applied to near the stream's end, as far as that is known, and its views are made: reads survive the broker |
//! | `EmergencyAccessService` | as `PatientFileService`: the glass breaks without the broker, too |
//! | `StaffService` | `records` likewise |
//! | `AuditService`, `EvidenceService`, `PolicyService`, `PrivacyIncidentService` | both likewise: what may be shown of `access`, the policies in `records` say |
//! | all that show something: the four rows above | besides, what is shown can be put on record |
//! | `LedgerService`, `ProofService`, `PeerService` | always: they are asked when something is wrong |

use std::time::Duration;

use engine::{Condition, Engine, Status};
use ledger::LedgerKind;
use tokio::time::MissedTickBehavior;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// How often the condition is looked at: an orchestrator's own probes come every few seconds.
const LOOK_EVERY: Duration = Duration::from_millis(250);

const SERVICES: [&str; 12] = [
    "",
    "caseledger.v1.ImportService",
    "caseledger.v1.PatientFileService",
    "caseledger.v1.AuditService",
    "caseledger.v1.LedgerService",
    "caseledger.v1.ProofService",
    "caseledger.v1.EvidenceService",
    "caseledger.v1.PolicyService",
    "caseledger.v1.PeerService",
    "caseledger.v1.StaffService",
    "caseledger.v1.EmergencyAccessService",
    "caseledger.v1.PrivacyIncidentService",
];

/// Reports health until it is dropped.
pub(crate) async fn follow(engine: Engine, reporter: HealthReporter) {
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = [None; SERVICES.len()];
    loop {
        look.tick().await;
        // A node that cannot say how it is serves nothing.
        let now = engine.status().map_or([false; SERVICES.len()], |status| serving(&status));
        for ((name, now), told) in SERVICES.iter().zip(now).zip(&mut told) {
            if told.replace(now) != Some(now) {
                let status = if now { ServingStatus::Serving } else { ServingStatus::NotServing };
                reporter.set_service_status(name, status).await;
            }
        }
    }
}

/// Tells watchers of the health that the node is going.
pub(crate) async fn stop(reporter: &HealthReporter) {
    for name in SERVICES {
        reporter.set_service_status(name, ServingStatus::NotServing).await;
    }
}

fn serving(status: &Status) -> [bool; SERVICES.len()] {
    let condition = |kind| {
        let ledger = status.ledgers.iter().find(|ledger| ledger.head.ledger.kind == kind);
        ledger.map(|ledger| &ledger.condition)
    };
    let applied = |kind| {
        let reads = |condition: &Condition| match condition {
            Condition::Serving | Condition::ReadOnly(_) => true,
            Condition::CatchingUp(_) | Condition::Stopped(_) => false,
        };
        condition(kind).is_some_and(reads)
    };
    let files = status.shows && applied(LedgerKind::Records);
    let both = files && applied(LedgerKind::Access);
    let writes = |kind| condition(kind) == Some(&Condition::Serving);
    let all = status.broker_connected && writes(LedgerKind::Records) && writes(LedgerKind::Access);
    [
        all,
        writes(LedgerKind::Records),
        files,
        both,
        true,
        true,
        both,
        both,
        true,
        files,
        files,
        both,
    ]
}

#[cfg(test)]
mod tests {
    use engine::{Head, LedgerStatus};
    use ledger::{Hash, LedgerId, NodeId};

    use super::*;

    fn status(records: Condition, access: Condition, broker_connected: bool) -> Status {
        let of = |ledger, condition| LedgerStatus {
            head: Head {
                ledger,
                origin: String::new(),
                genesis: Hash::ZERO,
                size: 0,
                root: Hash::ZERO,
                sequence: 0,
                stream_hash: Hash::ZERO,
                time: 0,
            },
            condition,
            checkpoint_size: 0,
            witnesses: 0,
            signed_size: 0,
        };
        Status {
            node: NodeId::ZERO,
            broker_connected,
            ledgers: vec![of(LedgerId::RECORDS, records), of(LedgerId::ACCESS, access)],
            shows: true,
            spool_bytes: 0,
            spare_keys: 0,
            alarms: Vec::new(),
        }
    }

    #[test]
    fn reads_stay_serving_without_the_broker_and_not_when_apply_stopped_or_is_behind() {
        use Condition::{CatchingUp, ReadOnly, Serving, Stopped};
        let well = serving(&status(Serving, Serving, true));
        assert_eq!(well, [true; 12]);
        let away = serving(&status(ReadOnly("x".into()), ReadOnly("x".into()), false));
        assert_eq!(
            away,
            [false, false, true, true, true, true, true, true, true, true, true, true]
        );
        let stopped = serving(&status(Stopped("x".into()), Serving, true));
        assert_eq!(
            stopped,
            [false, false, false, false, true, true, false, false, true, false, false, false]
        );
        let behind = serving(&status(CatchingUp("x".into()), Serving, true));
        assert_eq!(
            behind,
            [false, false, false, false, true, true, false, false, true, false, false, false]
        );
        let trail_behind = serving(&status(Serving, CatchingUp("x".into()), true));
        assert_eq!(
            trail_behind,
            [false, true, true, false, true, true, false, false, true, true, true, false]
        );
    }

    #[test]
    fn a_node_that_cannot_record_what_it_shows_serves_nothing_that_shows() {
        use Condition::{Serving, Stopped};
        let mute = |access| Status { shows: false, ..status(Serving, access, true) };
        let spool_stopped = serving(&mute(Stopped("x".into())));
        assert_eq!(
            spool_stopped,
            [false, true, false, false, true, true, false, false, true, false, false, false]
        );
        let position_not_kept = serving(&mute(Serving));
        assert_eq!(position_not_kept[2..], spool_stopped[2..]);
        // A ledger that needs an operator does not keep the other from being shown.
        let access_stopped = serving(&status(Serving, Stopped("x".into()), true));
        assert_eq!(
            access_stopped,
            [false, true, true, false, true, true, false, false, true, true, true, false]
        );
    }
}
