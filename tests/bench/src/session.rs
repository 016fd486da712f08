//! One benchmark from its first run to its last.

use std::io::Write as _;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use crate::contender::hospital::Hospital;
use crate::importing::Delivery;
use crate::patients::People;
use crate::plan::Plan;
use crate::report::Report;

/// What every workload works with.
#[derive(Debug)]
pub(crate) struct Session {
    /// How much.
    pub(crate) plan: Plan,
    /// Where patients come from.
    pub(crate) people: Arc<People>,
    /// Where figures go.
    pub(crate) report: Report,
    /// Where perf's samples go, if any are taken.
    pub(crate) samples: Option<PathBuf>,
    /// The next patient's number: none is used twice.
    next: u64,
}

impl Session {
    /// At its beginning.
    pub(crate) fn new(
        plan: Plan,
        people: People,
        report: Report,
        samples: Option<PathBuf>,
    ) -> Self {
        Self { plan, people: Arc::new(people), report, samples, next: 0 }
    }

    /// Numbers of so many patients who are on file nowhere.
    pub(crate) fn numbers(&mut self, count: u64) -> Range<u64> {
        let first = self.next;
        self.next += count;
        first..self.next
    }

    /// Brings new patients on file, and returns their ids.
    ///
    /// # Errors
    /// When one is not taken.
    pub(crate) async fn patients(
        &mut self,
        hospital: &Hospital,
        count: usize,
        entries: usize,
    ) -> anyhow::Result<Arc<Vec<String>>> {
        let numbers = self.numbers(u64::try_from(count)?);
        let delivery = Delivery::of(&self.people, numbers, entries)?;
        Ok(Arc::new(delivery.send(&hospital.client()?).await?.patients))
    }
}

/// Says on standard error what is done, since it takes a while.
pub(crate) fn say(text: &str) {
    // Nobody listens: as good.
    let _ = writeln!(std::io::stderr(), "{text}");
}
