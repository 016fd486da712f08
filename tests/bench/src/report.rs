//! What was measured, kept row by row and told at the end: a table for people, JSON for programs.

mod aims;
mod json;
mod table;

use anyhow::Context as _;
use serde_json::Value;

use crate::load::Measured;
use crate::machine::Machine;

/// What is compared with what.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    /// Its name.
    pub(crate) name: &'static str,
    /// Version and settings that matter.
    pub(crate) version: String,
    /// What an acknowledgement means.
    pub(crate) durability: &'static str,
}

/// One line of the table: the same measurement, once a run.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The group that it stands in.
    pub(crate) group: &'static str,
    /// What was done.
    pub(crate) what: String,
    /// By how many, or how often.
    pub(crate) load: String,
    /// What is counted, in the plural.
    pub(crate) unit: &'static str,
    /// One a run.
    pub(crate) runs: Vec<Measured>,
}

/// Everything that was measured.
#[derive(Debug)]
pub(crate) struct Report {
    /// On what.
    pub(crate) machine: Machine,
    /// Settings of the run: profile, windows, commit.
    pub(crate) settings: Vec<(&'static str, String)>,
    /// Who took part.
    pub(crate) contenders: Vec<Contender>,
    /// Who did not, and why.
    pub(crate) left_out: Vec<String>,
    rows: Vec<Row>,
}

impl Report {
    /// Nothing measured yet.
    pub(crate) fn new(machine: Machine, settings: Vec<(&'static str, String)>) -> Self {
        Self { machine, settings, contenders: Vec::new(), left_out: Vec::new(), rows: Vec::new() }
    }

    /// One run's measurement.
    pub(crate) fn add(
        &mut self,
        group: &'static str,
        unit: &'static str,
        what: &str,
        load: &str,
        measured: Measured,
    ) {
        let same = |row: &&mut Row| row.group == group && row.what == what && row.load == load;
        if let Some(row) = self.rows.iter_mut().find(same) {
            row.runs.push(measured);
            return;
        }
        let (what, load) = (what.to_owned(), load.to_owned());
        let row = Row { group, what, load, unit, runs: vec![measured] };
        // Groups stay together, whatever order contenders are measured in.
        let after = self.rows.iter().rposition(|other| other.group == group);
        self.rows.insert(after.map_or(self.rows.len(), |place| place + 1), row);
    }

    /// Header, table and aims.
    pub(crate) fn text(&self) -> String {
        table::text(self)
    }

    /// The same for programs.
    pub(crate) fn json(&self) -> Value {
        json::value(self)
    }

    /// Calls that failed, of all rows.
    pub(crate) fn failed(&self) -> u64 {
        self.rows.iter().flat_map(|row| &row.runs).map(|run| run.errors).sum()
    }

    /// The row, where it was measured.
    fn row(&self, group: &str, what: &str, load: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.group == group && row.what == what && row.load == load)
    }
}

/// The middle, the lowest and the highest of some numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// Half are below.
    pub(crate) median: f64,
    /// None is below.
    pub(crate) lowest: f64,
    /// None is above.
    pub(crate) highest: f64,
}

impl Spread {
    /// Of at least one number.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn of(numbers: impl IntoIterator<Item = f64>) -> anyhow::Result<Self> {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |place: usize| sorted.get(place).copied().context("nothing was measured");
        let last = sorted.len().saturating_sub(1);
        // Of an even number, the mean of the two in the middle.
        let median = f64::midpoint(at(last / 2)?, at(last.div_ceil(2))?);
        Ok(Self { median, lowest: at(0)?, highest: at(last)? })
    }
}

impl Row {
    /// The spread over the runs of something.
    ///
    /// # Errors
    /// When there was no run.
    pub(crate) fn spread(&self, of: impl Fn(&Measured) -> f64) -> anyhow::Result<Spread> {
        Spread::of(self.runs.iter().map(of))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_middle_and_ends() {
        let spread = |numbers: &[f64]| Spread::of(numbers.iter().copied()).unwrap();
        assert_eq!(spread(&[3.0]), Spread { median: 3.0, lowest: 3.0, highest: 3.0 });
        assert_eq!(spread(&[9.0, 1.0, 2.0]), Spread { median: 2.0, lowest: 1.0, highest: 9.0 });
        assert_eq!(spread(&[4.0, 1.0]), Spread { median: 2.5, lowest: 1.0, highest: 4.0 });
        assert!(Spread::of([]).is_err());
    }
}
