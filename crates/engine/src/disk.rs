//! What is told of this node's disk: damage that was met, and that it cannot be written.

use std::sync::Arc;

use ledger::LedgerId;
use store::Store;

use crate::alarms::Alarms;

/// Raised while `position.json` cannot be written.
const NOT_KEPT: &str = "POSITION_NOT_KEPT";
/// Raised when the spool takes nothing more before the node is started anew.
pub(crate) const SPOOL_STOPPED: &str = "SPOOL_STOPPED";

/// How far this node is stays known outside its database, also when nothing comes after.
pub(crate) async fn keep_position(store: &Arc<Store>, alarms: &Alarms) {
    let store = Arc::clone(store);
    match tokio::task::spawn_blocking(move || store.write_position()).await {
        Ok(kept) => tell_kept(kept.map_err(|error| store::causes(&error)), alarms),
        Err(error) => tracing::error!(%error, "the position is not kept"),
    }
}

/// Whether `position.json` could be written, or why not.
pub(crate) fn tell_kept(kept: Result<(), String>, alarms: &Alarms) {
    let Err(why) = kept else { return alarms.clear(NOT_KEPT, None) };
    let text = format!(
        "{why}: how far this node is, is not kept outside its database, so one that is put back to an \
         older state would not be noticed; and nothing is shown while the broker does not answer. See \
         to the disk and to who may write"
    );
    alarms.keep(NOT_KEPT, None, text);
}

/// Whether what is shown can be put on record. The spool has to take it; and, with a broker that is
/// `away`, it has to stay known that an answer relied on the spool.
pub(crate) fn shows(alarms: &Alarms, access: LedgerId, away: bool) -> bool {
    let kept = !alarms.is_raised(NOT_KEPT, None);
    !alarms.is_raised(SPOOL_STOPPED, Some(access)) && (kept || !away)
}

/// Damage that was met in the database is an alarm until the node is started anew.
pub(crate) fn tell_damage(store: &Store, alarms: &Alarms) {
    for (code, what, source) in [
        ("DATABASE_DAMAGED", store.damage(), "the stream"),
        ("KEYS_DAMAGED", store.keys_damage(), "the bucket of keys"),
    ] {
        let Some(what) = what else { continue };
        let text = format!(
            "{what}; what is intact is still answered. Restart this node when it suits you: it \
             makes the database anew from {source}"
        );
        alarms.keep(code, None, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_node_shows_nothing_that_it_cannot_put_on_record() {
        let alarms = Alarms::new(Clock::system());
        let shows = |away| shows(&alarms, LedgerId::ACCESS, away);
        assert!(shows(false) && shows(true));
        tell_kept(Err("no space left".to_owned()), &alarms);
        assert!(shows(false), "the broker has it");
        assert!(!shows(true), "nothing would tell that the spool had it");
        tell_kept(Ok(()), &alarms);
        assert!(shows(true), "it could be written again");
        alarms.raise(SPOOL_STOPPED, Some(LedgerId::ACCESS), "no space left".to_owned());
        assert!(!shows(false) && !shows(true), "for good");
    }
}
