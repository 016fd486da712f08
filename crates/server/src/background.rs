//! Threads of their own, of a lower priority, for work that nobody waits for by the millisecond: what
//! imports decide and seal.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

/// How long tasks may take to come to their next step when the node stops.
const ENDING: Duration = Duration::from_secs(1);

/// The threads. Dropping it ends them without waiting.
#[derive(Debug)]
pub(crate) struct Background {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Background {
    /// Starts one thread for each processor.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub(crate) fn start() -> io::Result<Self> {
        let lower = || {
            if let Err(error) = store::lower_priority() {
                tracing::warn!(%error, "a thread for imports keeps the usual priority");
            }
        };
        let runtime = Builder::new_multi_thread()
            .thread_name("background")
            .on_thread_start(lower)
            .enable_all()
            .build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Where to spawn.
    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Ends the threads, and waits a moment for what they are in the middle of.
    pub(crate) async fn stop(mut self) {
        if let Some(runtime) = self.runtime.take() {
            let ended = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(ENDING));
            // It can only have panicked; the threads are gone then too.
            let _ = ended.await;
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A start that failed; within the other runtime, which must not wait.
            runtime.shutdown_background();
        }
    }
}
