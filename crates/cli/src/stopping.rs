//! The signals that end a command which has something to put in order before.

use std::future::poll_fn;
use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// SIGTERM and SIGINT, caught from when it is made.
pub(crate) struct Stopping(Vec<Signal>);

impl Stopping {
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(Self(vec![caught(SignalKind::terminate())?, caught(SignalKind::interrupt())?]))
    }

    /// SIGHUP, too: the terminal was closed.
    pub(crate) fn or_hung_up(mut self) -> Result<Self, Failure> {
        self.0.push(caught(SignalKind::hangup())?);
        Ok(self)
    }

    /// Waits until one of them comes.
    pub(crate) async fn asked(&mut self) {
        poll_fn(|context| {
            let came = self.0.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
            if came { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

fn caught(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::local("catch signals", error))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[tokio::test]
    async fn every_signal_that_ends_a_command_is_caught() {
        let own = std::process::id().to_string();
        for name in ["-TERM", "-INT", "-HUP"] {
            let mut stopping = Stopping::new().unwrap().or_hung_up().unwrap();
            assert!(Command::new("kill").args([name, &own]).status().unwrap().success());
            stopping.asked().await;
        }
    }
}
