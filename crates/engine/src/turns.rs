//! Whoever works with files has the right of way: beside others, imports go one small group at a time
//! and leave pauses. Alone they are as fast as the node is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::clock::Clock;
use crate::commands::MAX_CHANGES;
use crate::engine::Engine;

/// A node that was asked for something so lately has others at work (µs): longer than the pauses
/// between the calls of a busy ward, too short for an import to notice afterwards.
const LATELY: u64 = 500_000;
/// Items of a group beside others: what a command or a read may find in its way at the broker and in
/// the database.
const SMALL_GROUP: usize = 32;
/// A pause beside others is so many times as long as the group before it took.
const PAUSE: u64 = 1;

/// Whose turn it is.
#[derive(Debug)]
pub(crate) struct Turns {
    clock: Clock,
    /// When something other than an import was asked for last; 0: never.
    asked: AtomicU64,
    /// Held by the group that goes beside others: when the next one may.
    next: Arc<Mutex<u64>>,
}

/// A group's turn; the pause after it begins when it is dropped.
#[derive(Debug)]
pub struct Turn {
    _beside: Option<Beside>,
}

#[derive(Debug)]
struct Beside {
    clock: Clock,
    began: u64,
    next: OwnedMutexGuard<u64>,
}

impl Drop for Beside {
    fn drop(&mut self) {
        let now = self.clock.now();
        *self.next = now + PAUSE * (now - self.began);
    }
}

impl Turns {
    /// `clock`: a monotonic one.
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, asked: AtomicU64::new(0), next: Arc::default() }
    }

    /// Something other than an import is asked for.
    pub(crate) fn others_work(&self) {
        self.asked.store(self.clock.now().max(1), Ordering::Relaxed);
    }

    fn alone(&self) -> bool {
        let asked = self.asked.load(Ordering::Relaxed);
        asked == 0 || self.clock.now().saturating_sub(asked) >= LATELY
    }

    #[expect(clippy::disallowed_methods, reason = "an import gives way for as long as it took")]
    async fn take(&self) -> Turn {
        if self.alone() {
            return Turn { _beside: None };
        }
        let next = Arc::clone(&self.next).lock_owned().await;
        let pause = next.saturating_sub(self.clock.now());
        if pause > 0 && !self.alone() {
            tokio::time::sleep(Duration::from_micros(pause)).await;
        }
        let clock = self.clock.clone();
        Turn { _beside: Some(Beside { began: clock.now(), clock, next }) }
    }
}

impl Engine {
    /// Items of a group that is imported now, at most.
    #[must_use]
    pub fn import_group(&self) -> usize {
        if self.turns.alone() { MAX_CHANGES } else { SMALL_GROUP }
    }

    /// Waits until a group of an import may be filed, and is held until it is.
    pub async fn import_turn(&self) -> Turn {
        self.turns.take().await
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn turns(now: &Arc<AtomicU64>) -> Turns {
        let now = Arc::clone(now);
        Turns::new(Clock::new(move || now.load(Ordering::Relaxed)))
    }

    #[tokio::test]
    async fn groups_go_side_by_side_while_nobody_else_works() {
        let now = Arc::new(AtomicU64::new(0));
        let turns = turns(&now);
        let both = (turns.take().await, turns.take().await);
        turns.others_work();
        now.store(LATELY + 1, Ordering::Relaxed);
        let again = turns.take().await;
        drop((both, again));
    }

    #[tokio::test(start_paused = true)]
    async fn beside_others_one_group_goes_at_a_time_and_pauses_follow() {
        let now = Arc::new(AtomicU64::new(1_000));
        let turns = turns(&now);
        turns.others_work();
        let first = turns.take().await;
        assert!(turns.take().now_or_never().is_none(), "the first one still goes");
        now.store(3_000, Ordering::Relaxed);
        drop(first);
        let began = tokio::time::Instant::now();
        drop(turns.take().await);
        assert_eq!(began.elapsed(), Duration::from_micros(2_000 * PAUSE));
    }
}
