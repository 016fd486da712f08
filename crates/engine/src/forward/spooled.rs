//! Reading a block from the spool when its turn has come, and what is done when it is not there.
//!
//! A disk that fails to read may read a moment later: until then nothing behind the block goes on. A
//! block that is damaged or gone does not come back. It holds up nothing behind it, which is sealed
//! anew as behind a refused one; but somebody was shown what it recorded, so that the trail lacks it
//! is noted and told for ever, as of a spool that is lost whole.

use bytes::Bytes;

use super::{Forwarding, Waiting};
use crate::trail::tell_lost;

/// Raised while a block cannot be read.
const UNREADABLE: &str = "SPOOL_UNREADABLE";
/// Raised because one is lost, until the node is started anew.
const LOST: &str = "SPOOL_BLOCK_LOST";

impl Forwarding {
    /// A block of the spool; none if it is lost, and that is told.
    pub(super) async fn spooled(&self, next: Waiting) -> Option<Bytes> {
        let ledger = Some(self.press.line.ledger);
        let mut told = false;
        loop {
            let error = match self.store.spool().get(next.number) {
                Ok(Some(block)) => {
                    if told {
                        self.press.alarms.clear(UNREADABLE, ledger);
                    }
                    return Some(Bytes::from(block));
                }
                Ok(None) => {
                    self.lost(next, "it is gone").await;
                    return None;
                }
                Err(error) => error,
            };
            let why = store::causes(&error);
            if error.is_damage() {
                self.lost(next, &why).await;
                return None;
            }
            told = true;
            self.stall(true);
            let text = format!(
                "access block {} of the spool cannot be read: {why}. It is tried again and again; \
                 nothing behind it is filed before. Look at the disk",
                next.number
            );
            self.press.alarms.keep(UNREADABLE, ledger, text);
            self.something_changes().await;
        }
    }

    async fn lost(&self, Waiting { number, records }: Waiting, why: &str) {
        // What was sealed behind it links to nothing.
        self.refused().await;
        if let Err(error) = self.store.note_lost_in_spool(records) {
            tracing::error!(error = &error as &dyn std::error::Error, "the loss is not noted yet");
        }
        tell_lost(&self.press, self.store.lost_accesses().unwrap_or(records));
        let text = format!(
            "access block {number} of the spool is lost: {why}. The trail lacks its {records} access \
             record(s); what is behind it is filed. A damaged spool does not become smaller: restart \
             this node when it has filed what waits, and the spool is set aside"
        );
        self.press.alarms.raise(LOST, Some(self.press.line.ledger), text);
    }
}
