//! Whether the broker keeps what it acknowledges: its servers' settings, looked at before anything is
//! published over a connection, and every few seconds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use journal::{Journal, ServerCheckError};
use tokio::sync::watch;

use crate::alarms::Alarms;

/// Raised while a server's settings are too weak.
const WEAKER: &str = "BROKER_WEAKER";
/// How often servers are asked: one of a cluster may be set up anew while this node's connection stands.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The broker's servers.
#[derive(Debug)]
pub(crate) struct Servers {
    journal: Journal,
    /// Their monitoring addresses.
    monitors: Vec<String>,
    alarms: Arc<Alarms>,
    /// One did not tell its settings when it was asked last.
    unknown: AtomicBool,
    /// What is too weak.
    weaker: watch::Sender<Option<String>>,
}

impl Servers {
    /// Starts to look, until it is dropped.
    pub(crate) fn watch(journal: Journal, monitors: Vec<String>, alarms: Arc<Alarms>) -> Arc<Self> {
        let (unknown, weaker) = (AtomicBool::new(false), watch::Sender::new(None));
        let servers = Arc::new(Self { journal, monitors, alarms, unknown, weaker });
        tokio::spawn(look_again(Arc::downgrade(&servers)));
        servers
    }

    /// Changes when a server turns out to be too weak, or is so no more.
    pub(crate) fn follow(&self) -> watch::Receiver<Option<String>> {
        self.weaker.subscribe()
    }

    /// Asks all of them now. One that does not tell passes: of three one may be gone, and the others serve.
    ///
    /// # Errors
    /// What is too weak.
    pub(crate) async fn look(&self) -> Result<(), String> {
        let told = self.journal.check_servers(&self.monitors).await;
        let unknown = matches!(told, Err(ServerCheckError::Unreachable { .. }));
        let before = self.unknown.swap(unknown, Ordering::Relaxed);
        let weaker = match told {
            Err(unreachable @ ServerCheckError::Unreachable { .. }) => {
                if !before {
                    tracing::warn!(error = %unreachable, "a broker's settings are not known");
                }
                None
            }
            Err(weaker) => Some(weaker.to_string()),
            Ok(()) => None,
        };
        self.weaker.send_if_modified(|now| {
            let changed = *now != weaker;
            now.clone_from(&weaker);
            changed
        });
        let Some(weaker) = weaker else {
            self.alarms.clear(WEAKER, None);
            return Ok(());
        };
        let why = format!(
            "{weaker}: what it acknowledges could be lost, so no record is filed until it is set up as \
             it must be"
        );
        self.alarms.keep(WEAKER, None, why.clone());
        Err(why)
    }
}

async fn look_again(servers: Weak<Servers>) {
    let mut again = tokio::time::interval(LOOK_EVERY);
    again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        again.tick().await;
        let Some(servers) = servers.upgrade() else { return };
        // Whoever publishes hears of it.
        let _ = servers.look().await;
    }
}
