//! Views made anew before a node serves: after a restore, for a backup holds none, and when this
//! program keeps them in another form than the one before (design, section 4).

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger::SubjectId;
use store::{Store, StoreError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::Failure;
use crate::alarms::Alarms;
use crate::answers::Condition;
use crate::line::Line;

/// How often the log tells how far it is; the node's status is never older than a worker's share.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Starts making all views on a thread of its own, if they are not there in this version. True once
/// they are; until then nothing is applied, read or written, and nobody need fold single files: what
/// keys come for meanwhile is folded in the end. A failure stops both lines.
pub(crate) fn make(
    store: &Arc<Store>,
    lines: [Arc<Line>; 2],
    alarms: Arc<Alarms>,
    stopping: CancellationToken,
) -> Result<watch::Receiver<bool>, Failure> {
    let ready = store.views_ready()?;
    let (made, seen) = watch::channel(ready);
    if ready {
        return Ok(seen);
    }
    tracing::warn!("the views are made anew from the records; until then this node does not serve");
    lines.iter().for_each(|line| line.making_views(0, 0));
    let store = Arc::clone(store);
    std::thread::Builder::new()
        .name("views".to_owned())
        .spawn(move || match make_all(&store, &lines, &alarms, &stopping) {
            Ok(true) => {
                tracing::info!("all views are made");
                lines.iter().for_each(|line| line.views_made());
                made.send_replace(true);
                // Keys that came after the last look and before anybody was told.
                fold_rest(&store, &alarms);
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
        fold_rest(store, alarms);
    }
    Ok(made)
}

/// Folds whatever could not be folded before its key came.
pub(crate) fn fold_rest(store: &Store, alarms: &Alarms) {
    match store.unfolded_subjects() {
        Ok(subjects) => fold(store, &subjects, alarms),
        Err(error) => not_folded(&error, alarms),
    }
}

/// Folds files whose records came before their keys. One that cannot be is an alarm and keeps no other
/// from it.
pub(crate) fn fold(store: &Store, subjects: &[SubjectId], alarms: &Alarms) {
    for subject in subjects {
        if let Err(error) = store.refold(*subject) {
            not_folded(&error, alarms);
        }
    }
}

fn not_folded(error: &StoreError, alarms: &Alarms) {
    let text = format!("a view could not be folded: {}", store::causes(error));
    alarms.raise("VIEW_NOT_FOLDED", None, text);
}
