//! Whoever watches a node hears at once that an emergency credential is used, and until it is taken back.

use std::sync::Arc;

use engine::Engine;
use tokio_util::task::AbortOnDropHandle;

use crate::auth::Authenticator;
use crate::clock;

/// The alarm's code.
const CODE: &str = "EMERGENCY_CREDENTIAL_USED";

/// Keeps the alarm as it should be, also of what was used before this start, until it is dropped.
pub(crate) fn announce(authenticator: Arc<Authenticator>, engine: Engine) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut changes = authenticator.emergency_changes();
        let mut told = None;
        loop {
            changes.mark_seen();
            let now = text(&authenticator.emergencies());
            if now != told {
                match &now {
                    Some(text) => engine.raise_alarm(CODE, text.clone()),
                    None => engine.clear_alarm(CODE),
                }
                told = now;
            }
            changes.next().await;
        }
    }))
}

fn text(used: &[(String, u64, u64)]) -> Option<String> {
    if used.is_empty() {
        return None;
    }
    let each = used.iter().map(|(id, first, ends)| {
        format!("{id} (first used {}, ends {})", clock::rfc3339(*first), clock::rfc3339(*ends))
    });
    let each: Vec<String> = each.collect();
    Some(format!(
        "emergency credentials were used at this node: {}. Whose they are and what was done with them is in \
         the audit trail. When the emergency is over, add these ids to the file `revoked` of [emergency], \
         at every node, and seal new ones; that ends this alarm",
        each.join("; ")
    ))
}
