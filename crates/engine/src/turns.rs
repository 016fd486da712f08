//! Whoever works with files has the right of way: beside them, imports go one small group at a time
//! and leave pauses. Alone they are as fast as the node is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use crate::clock::Clock;
use crate::commands::MAX_CHANGES;
use crate::engine::Engine;

/// A node that was asked for something so lately has others at work (µs): longer than one busy person
/// takes from a call to the next.
const LATELY: u64 = 2_000_000;
/// Items of a group beside others: what a command or a read may find in its way at the broker and in
/// the database.
const SMALL_GROUP: usize = 32;
/// Items under way on this node at once, alone too: what the first who comes waits behind. Several
/// streams need hundreds to keep apply busy.
const MOST: u16 = 512;

/// Whose turn it is.
#[derive(Debug)]
pub(crate) struct Turns {
    clock: Clock,
    /// When somebody who works with files asked for something last; 0: never.
    asked: AtomicU64,
    room: Arc<Semaphore>,
    /// Held by the group that goes beside others: when the next one may.
    next: Arc<Mutex<u64>>,
}

/// A group's turn; it ends, and the pause after it begins, when it is dropped.
#[derive(Debug, Default)]
pub struct Turn {
    _room: Option<OwnedSemaphorePermit>,
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
        // As long as the group took, but nobody pauses for a broker that was away.
        *self.next = now + (now - self.began).min(LATELY);
    }
}

impl Turns {
    /// `clock`: a monotonic one.
    pub(crate) fn new(clock: Clock) -> Self {
        let room = Arc::new(Semaphore::new(usize::from(MOST)));
        Self { clock, asked: AtomicU64::new(0), room, next: Arc::default() }
    }

    /// Somebody who works with files asks for something.
    pub(crate) fn others_work(&self) {
        self.asked.store(self.clock.now().max(1), Ordering::Relaxed);
    }

    fn alone(&self) -> bool {
        let asked = self.asked.load(Ordering::Relaxed);
        asked == 0 || self.clock.now().saturating_sub(asked) >= LATELY
    }

    #[expect(clippy::disallowed_methods, reason = "an import gives way for as long as it took")]
    async fn take(&self, items: usize) -> Turn {
        // A group of more goes alone.
        let items = u16::try_from(items).unwrap_or(MOST).min(MOST);
        // It is never closed.
        let room = Arc::clone(&self.room).acquire_many_owned(u32::from(items)).await.ok();
        if self.alone() {
            return Turn { _room: room, _beside: None };
        }
        let next = Arc::clone(&self.next).lock_owned().await;
        let pause = next.saturating_sub(self.clock.now());
        if pause > 0 && !self.alone() {
            tokio::time::sleep(Duration::from_micros(pause)).await;
        }
        let clock = self.clock.clone();
        Turn { _room: room, _beside: Some(Beside { began: clock.now(), clock, next }) }
    }
}

impl Engine {
    /// Items of a group that is imported now, at most.
    #[must_use]
    pub fn import_group(&self) -> usize {
        if self.turns.alone() { MAX_CHANGES } else { SMALL_GROUP }
    }

    /// Waits until a group of so many items may be imported. The turn is held until it is. When the
    /// node stops, nobody waits: filing says what is to be said.
    pub async fn import_turn(&self, items: usize) -> Turn {
        tokio::select! {
            turn = self.turns.take(items) => turn,
            () = self.stopping.cancelled() => Turn::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::Operation;

    fn turns(now: &Arc<AtomicU64>) -> Turns {
        let now = Arc::clone(now);
        Turns::new(Clock::new(move || now.load(Ordering::Relaxed)))
    }

    #[test]
    fn an_import_gives_way_to_people_and_to_nothing_else() {
        assert!(Operation::GetPatientFile.goes_first());
        assert!(Operation::Contribute.goes_first());
        assert!(!Operation::Import.goes_first());
        assert!(!Operation::GetNodeStatus.goes_first(), "monitoring asks all day");
    }

    #[tokio::test]
    async fn groups_go_side_by_side_while_nobody_else_works_as_many_as_there_is_room_for() {
        let now = Arc::new(AtomicU64::new(0));
        let turns = turns(&now);
        let both = (turns.take(300).await, turns.take(200).await);
        assert!(turns.take(100).now_or_never().is_none(), "there is room for 512");
        drop(both);
        turns.others_work();
        now.store(LATELY + 1, Ordering::Relaxed);
        let again = (turns.take(200).await, turns.take(200).await);
        drop(again);
        assert!(turns.take(usize::MAX).now_or_never().is_some(), "more than there is room for");
    }

    #[tokio::test(start_paused = true)]
    async fn beside_others_one_group_goes_at_a_time_and_pauses_follow() {
        let now = Arc::new(AtomicU64::new(1_000));
        let turns = turns(&now);
        turns.others_work();
        let first = turns.take(10).await;
        assert!(turns.take(10).now_or_never().is_none(), "the first one still goes");
        now.store(3_000, Ordering::Relaxed);
        drop(first);
        let began = tokio::time::Instant::now();
        drop(turns.take(10).await);
        assert_eq!(began.elapsed(), Duration::from_millis(2));
    }
}
