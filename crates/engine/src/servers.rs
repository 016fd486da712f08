//! Whether the broker keeps what it acknowledges: its servers' settings, looked at before anything is
//! published over a connection, and again as long as a server does not tell them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use journal::{Journal, ServerCheckError};
use tokio::sync::watch;

use crate::alarms::Alarms;

/// Raised while a server's settings are too weak.
const WEAKER: &str = "BROKER_WEAKER";
/// How long whoever wants to publish waits for a server that does not tell its settings: one of three
/// may be gone, and the others serve.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often servers are asked again that did not tell theirs, or told of weaker ones.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// The broker's servers.
#[derive(Debug)]
pub(crate) struct Servers {
    journal: Journal,
    /// Their monitoring addresses.
    monitors: Vec<String>,
    alarms: Arc<Alarms>,
    /// All have told their settings since the connection was made.
    known: AtomicBool,
    /// What is too weak.
    weaker: watch::Sender<Option<String>>,
}

impl Servers {
    /// Starts to ask again, until it is dropped.
    pub(crate) fn watch(journal: Journal, monitors: Vec<String>, alarms: Arc<Alarms>) -> Arc<Self> {
        let (known, weaker) = (AtomicBool::new(false), watch::Sender::new(None));
        let servers = Arc::new(Self { journal, monitors, alarms, known, weaker });
        tokio::spawn(ask_again(Arc::downgrade(&servers)));
        servers
    }

    /// Changes when a server turns out to be too weak, or is so no more.
    pub(crate) fn follow(&self) -> watch::Receiver<Option<String>> {
        self.weaker.subscribe()
    }

    /// Asks all of them now. One that does not tell passes, and is asked again.
    ///
    /// # Errors
    /// What is too weak.
    pub(crate) async fn look(&self) -> Result<(), String> {
        let told = self.journal.check_servers(&self.monitors);
        let weaker = match tokio::time::timeout(PATIENCE, told).await {
            Ok(Ok(())) => {
                self.known.store(true, Ordering::Relaxed);
                None
            }
            Ok(Err(ServerCheckError::Unreachable { monitor, cause })) => {
                tracing::debug!(monitor, cause, "a broker's settings are not known");
                self.known.store(false, Ordering::Relaxed);
                None
            }
            Err(_) => {
                self.known.store(false, Ordering::Relaxed);
                None
            }
            Ok(Err(weaker @ (ServerCheckError::Weaker(_) | ServerCheckError::NoMonitors))) => {
                Some(weaker.to_string())
            }
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
            "{weaker}: what it acknowledges could be lost, so nothing is filed until it is set up as \
             it must be"
        );
        self.alarms.keep(WEAKER, why.clone());
        Err(why)
    }
}

async fn ask_again(servers: Weak<Servers>) {
    let mut again = tokio::time::interval(ASK_AGAIN);
    again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        again.tick().await;
        let Some(servers) = servers.upgrade() else { return };
        if !servers.known.load(Ordering::Relaxed) {
            // Whoever publishes hears of it.
            let _ = servers.look().await;
        }
    }
}
