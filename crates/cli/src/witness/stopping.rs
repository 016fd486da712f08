//! The signals that end a witness.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// SIGTERM and SIGINT, caught from when it is made.
pub(crate) struct Stopping {
    terminate: Signal,
    interrupt: Signal,
}

impl Stopping {
    pub(crate) fn new() -> Result<Self, Failure> {
        let caught = |kind| signal(kind).map_err(|error| Failure::local("catch signals", error));
        let terminate = caught(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: caught(SignalKind::interrupt())? })
    }

    /// Waits until one of them comes.
    pub(crate) async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => (),
            _ = self.interrupt.recv() => (),
        }
    }
}
