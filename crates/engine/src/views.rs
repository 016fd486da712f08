//! Views made anew before a node serves: after a restore, for a backup holds none, and when this
//! program keeps them in another form than the one before (design, section 4).

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger::SubjectId;
use store::{Store, StoreError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use vault::Vault;

use crate::Failure;
use crate::alarms::Alarms;
use crate::answers::Condition;
use crate::line::Line;

/// How often the log tells how far it is; the node's status is never older than a worker's share.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// The alarm of files that could not be folded.
const NOT_FOLDED: &str = "VIEW_NOT_FOLDED";

/// Starts making all views on a thread of its own, if they are not there in this version. True once
/// they are; until then nothing is applied, read or written, and nobody need fold single files: what
/// keys come for meanwhile is folded in the end. A failure stops both lines.
pub(crate) fn make(
    store: &Arc<Store>,
    vault: &Arc<Vault>,
    lines: [Arc<Line>; 2],
    alarms: Arc<Alarms>,
    stopping: CancellationToken,
) -> Result<watch::Receiver<bool>, Failure> {
    let ready = store.views_ready()?;
    let (made, seen) = watch::channel(ready);
    if ready {
        // The node may have ended between a key's arrival and the folding.
        note_rest(store, vault, &alarms);
        return Ok(seen);
    }
    tracing::warn!("the views are made anew from the records; until then this node does not serve");
    lines.iter().for_each(|line| line.making_views(0, 0));
    let (store, vault) = (Arc::clone(store), Arc::clone(vault));
    std::thread::Builder::new()
        .name("views".to_owned())
        .spawn(move || match make_all(&store, &vault, &lines, &alarms, &stopping) {
            Ok(true) => {
                tracing::info!("all views are made");
                lines.iter().for_each(|line| line.views_made());
                // What keys came for after the last look is noted, and folded by whoever hears this.
                made.send_replace(true);
            }
            Ok(false) => tracing::warn!("making the views was broken off; it begins anew"),
            Err(error) => {
                let why = format!("the views cannot be made: {}", store::causes(&error));
                alarms.raise("VIEWS_NOT_MADE", None, why.clone());
                lines.iter().for_each(|line| line.set_condition(Condition::Stopped(why.clone())));
            }
        })
        .map_err(Failure::internal)?;
    Ok(seen)
}

fn make_all(
    store: &Store,
    vault: &Vault,
    lines: &[Arc<Line>],
    alarms: &Alarms,
    stopping: &CancellationToken,
) -> Result<bool, StoreError> {
    let mut told = Instant::now();
    let made = store.rebuild_views(|done, total| {
        lines.iter().for_each(|line| line.making_views(done, total));
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            tracing::info!(done, total, "making views");
        }
        if stopping.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if made {
        note_rest(store, vault, alarms);
        for subject in vault.to_fold() {
            // First: its keys may come while it is folded without them, and it is noted once more.
            vault.note_folded(subject);
            if let Err(error) = store.refold(subject) {
                not_folded_yet(vault, subject, &error, alarms);
            }
        }
    }
    Ok(made)
}

/// Folds whatever could not be folded before its key came.
pub(crate) fn fold_rest(store: &Store, vault: &Vault, alarms: &Alarms) {
    if note_rest(store, vault, alarms) {
        fold(store, vault, vault.to_fold(), alarms);
    }
}

/// Notes what is not folded; false, with an alarm, if that cannot be told.
fn note_rest(store: &Store, vault: &Vault, alarms: &Alarms) -> bool {
    match store.unfolded_subjects() {
        Ok(subjects) => vault.note_to_fold(subjects),
        Err(error) => {
            not_folded(&error, alarms);
            return false;
        }
    }
    true
}

/// Folds files whose records came before their keys. One that cannot be is an alarm, keeps no other from
/// it, and is tried again unless it is damaged.
pub(crate) fn fold(store: &Store, vault: &Vault, subjects: Vec<SubjectId>, alarms: &Alarms) {
    for subject in subjects {
        match store.refold(subject) {
            Ok(_) => vault.note_folded(subject),
            Err(error) => not_folded_yet(vault, subject, &error, alarms),
        }
    }
    if vault.has_folded_all() {
        alarms.clear(NOT_FOLDED, None);
    }
}

fn not_folded_yet(vault: &Vault, subject: SubjectId, error: &StoreError, alarms: &Alarms) {
    if error.is_damage() {
        vault.note_damaged(subject);
    } else {
        vault.note_to_fold([subject]);
    }
    not_folded(error, alarms);
}

fn not_folded(error: &StoreError, alarms: &Alarms) {
    let text = format!("a view could not be folded: {}", store::causes(error));
    alarms.keep(NOT_FOLDED, None, text);
}

#[cfg(test)]
mod tests {
    use ledger::{Hash, LedgerId};
    use store::LedgerPin;
    use vault::KeyEncryptionKey;

    use super::*;
    use crate::clock::Clock;

    #[test]
    fn that_a_view_is_not_folded_is_over_when_all_are() {
        let dir = tempfile::tempdir().unwrap();
        let kek = KeyEncryptionKey::from_bytes(1, &[4; 32]).unwrap();
        let vault = Arc::new(Vault::open(dir.path(), kek).unwrap());
        let genesis = Hash::of(b"genesis");
        let pins =
            [LedgerId::RECORDS, LedgerId::ACCESS].map(|ledger| LedgerPin { ledger, genesis });
        let store = Store::open(dir.path(), &pins, Arc::clone(&vault)).unwrap();
        let alarms = Alarms::new(Clock::system());
        not_folded(&StoreError::Damaged { what: "files", key: "00".to_owned() }, &alarms);
        vault.note_to_fold([SubjectId([5; 16])]);
        assert!(alarms.is_raised(NOT_FOLDED, None));
        fold_rest(&store, &vault, &alarms);
        assert!(vault.to_fold().is_empty(), "there is nothing to be folded of it");
        assert!(!alarms.is_raised(NOT_FOLDED, None));
    }
}
