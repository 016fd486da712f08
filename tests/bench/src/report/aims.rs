//! What the figures should be: ratios against the yardsticks of the same run, and a few absolutes.

use super::{Report, Row, Spread};
use crate::load::Measured;
use crate::workload::{
    ALONE, ANEW, AUDITED, BARE_BLOCKS, BARE_COMMAND, BESIDE_REBUILD, COMMANDS, CONTRIBUTE,
    DECISION, DECISIONS, FIFTY, IMPORT, IMPORTING, IN_ROWS, LONG_FILE, MESSAGE_DB,
    MESSAGE_DB_CATEGORIES, MIXED, READS, REBUILD, REBUILDING, SHORT_FILE, STREAMED, UMADB,
    UMADB_BATCHES, UNAUDITED, VERIFICATION, VERIFIED, VIEWS,
};

/// One thing that should be so.
#[derive(Clone, Debug)]
pub(crate) struct Aim {
    /// In words.
    pub(crate) text: &'static str,
    /// What it should be.
    pub(crate) wanted: f64,
    /// Whether more is better.
    pub(crate) at_least: bool,
    /// What it is; none where something was not measured.
    pub(crate) is: Option<Spread>,
}

impl Aim {
    /// Whether it is so.
    pub(crate) fn holds(&self) -> Option<bool> {
        let is = self.is?.median;
        Some(if self.at_least { is >= self.wanted } else { is <= self.wanted })
    }
}

type Metric = fn(&Measured) -> f64;

const RATE: Metric = Measured::rate;
const P50: Metric = |measured| measured.quantile(0.5);
const A_CORE: Metric = |measured| {
    measured.units as f64 / measured.usage.iter().map(|usage| usage.cpu_seconds).sum::<f64>()
};
const P99: Metric = |measured| measured.quantile(0.99);

/// Rows that may stand for something: the best of them does, run by run.
struct Rows<'a>(Vec<&'a Row>);

impl<'a> Rows<'a> {
    fn of(report: &'a Report, group: &str, whats: &[&str], load: Option<&str>) -> Self {
        let wanted = |row: &&Row| {
            row.group == group
                && whats.contains(&row.what.as_str())
                && load.is_none_or(|load| row.load == load)
        };
        Self(report.rows.iter().filter(wanted).collect())
    }

    /// The best of a run: the highest rate or the lowest latency.
    fn best(&self, run: usize, metric: Metric, highest: bool) -> Option<f64> {
        let numbers = self.0.iter().filter_map(|row| row.runs.get(run)).map(metric);
        numbers.reduce(|one, other| if highest { one.max(other) } else { one.min(other) })
    }

    fn runs(&self) -> usize {
        self.0.iter().map(|row| row.runs.len()).max().unwrap_or(0)
    }
}

fn ratio(ours: &Rows<'_>, theirs: &Rows<'_>, metric: Metric, highest: bool) -> Option<Spread> {
    let runs = 0..ours.runs();
    let numbers = runs.filter_map(|run| {
        Some(ours.best(run, metric, highest)? / theirs.best(run, metric, highest)?)
    });
    Spread::of(numbers).ok()
}

/// All of them, as far as measured.
pub(crate) fn aims(report: &Report) -> Vec<Aim> {
    let rows = |group, whats: &[&str], load| Rows::of(report, group, whats, load);
    let message_db = rows(COMMANDS, &[MESSAGE_DB, MESSAGE_DB_CATEGORIES], Some("256 clients"));
    let umadb = rows(COMMANDS, &[UMADB], Some("256 clients"));
    let commands = rows(COMMANDS, &[CONTRIBUTE], Some("256 clients"));
    let alone = rows(COMMANDS, &[CONTRIBUTE], Some("1 client"));
    let bare = rows(COMMANDS, &[BARE_COMMAND], None);
    let import = rows(IMPORT, &[STREAMED], None);
    let blocks = rows(IMPORT, &[BARE_BLOCKS], None);
    let batches = rows(IMPORT, &[UMADB_BATCHES], None);
    let at_least = |text, wanted, is| Aim { text, wanted, at_least: true, is };
    let at_most = |text, wanted, is| Aim { text, wanted, at_least: false, is };
    let number = |row: Option<&Row>, metric: Metric| row.and_then(|row| row.spread(metric).ok());
    let length = |load| Rows(report.rows.iter().filter(|row| row.load == load).collect());
    let mut aims = vec![
        at_least(
            "commands, 256 clients: times message-db",
            4.0,
            ratio(&commands, &message_db, RATE, true),
        ),
        at_least("commands, 256 clients: times UmaDB", 1.0, ratio(&commands, &umadb, RATE, true)),
        at_most(
            "commands, 1 client: p50, times a bare synced publish of the same block",
            3.0,
            ratio(&alone, &bare, P50, false),
        ),
        at_least("import: times message-db", 15.0, ratio(&import, &message_db, RATE, true)),
        at_least(
            "import: part of bare JetStream publishing the same blocks",
            0.4,
            ratio(&import, &blocks, RATE, true),
        ),
        at_least(
            "import: times UmaDB in batches of 100",
            1.0,
            ratio(&import, &batches, RATE, true),
        ),
        at_least(
            "views made anew: records a second",
            200_000.0,
            number(report.row(REBUILD, VIEWS, ""), RATE),
        ),
        at_most(
            "a command and its page on the long file: p99, times that on a file of 100 entries",
            1.3,
            ratio(&length(LONG_FILE), &length(SHORT_FILE), P99, false),
        ),
    ];
    // One thread reads, checks and compares all of it: what one core does.
    aims.push(at_least(
        "a ledger verified offline: headers a second a core",
        1_000_000.0,
        number(report.row(VERIFICATION, VERIFIED, IN_ROWS), A_CORE),
    ));
    aims.extend(audited_reads(report));
    aims.extend(beside_others(report));
    aims.push(decision(report));
    aims
}

/// That nobody is kept from a file by its being recorded.
fn audited_reads(report: &Report) -> Vec<Aim> {
    let fifty = report.row(READS, FIFTY, "64 clients");
    let number = |metric: Metric| fifty.and_then(|row| row.spread(metric).ok());
    let part_of_unaudited = |clients| {
        let rows = |what| Rows::of(report, READS, &[what], Some(clients));
        ratio(&rows(AUDITED), &rows(UNAUDITED), RATE, true)
    };
    let aim = |text, wanted, at_least, is| Aim { text, wanted, at_least, is };
    vec![
        aim("audited reads of 50 entries, 64 clients: a second", 10_000.0, true, number(RATE)),
        aim("audited reads of 50 entries, 64 clients: p99, µs", 10_000.0, false, number(P99)),
        aim(
            "audited reads of 50 entries, 64 clients: part of the same unaudited",
            0.7,
            true,
            part_of_unaudited("64 clients"),
        ),
        aim(
            "audited reads of 50 entries, 256 clients: part of the same unaudited",
            0.7,
            true,
            part_of_unaudited("256 clients"),
        ),
    ]
}

/// That nobody waits for being let in.
fn decision(report: &Report) -> Aim {
    let anew = report.row(DECISIONS, DECISION, ANEW);
    let is = anew.and_then(|row| row.spread(P99).ok());
    Aim { text: "an access decision anew: p99, µs", wanted: 200.0, at_least: false, is }
}

/// That nobody who works with files notices what else the machine does.
fn beside_others(report: &Report) -> impl Iterator<Item = Aim> {
    let others = [
        ("reads while imports run: p99, times alone", MIXED, FIFTY, IMPORTING),
        ("commands while imports run: p99, times alone", MIXED, CONTRIBUTE, IMPORTING),
        ("commands while views are made: p99, times alone", BESIDE_REBUILD, CONTRIBUTE, REBUILDING),
    ];
    others.into_iter().map(|(text, group, what, load)| {
        let rows = |load| Rows::of(report, group, &[what], Some(load));
        let is = ratio(&rows(load), &rows(ALONE), P99, false);
        Aim { text, wanted: 2.0, at_least: false, is }
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::machine::Machine;

    #[test]
    fn a_ratio_is_against_the_best_yardstick_of_the_same_run() {
        let machine = Machine::look(&std::env::temp_dir(), Duration::from_millis(1)).unwrap();
        let mut report = Report::new(machine, Vec::new());
        let first = [(CONTRIBUTE, 400), (MESSAGE_DB, 100), (MESSAGE_DB_CATEGORIES, 200)];
        let second = [(CONTRIBUTE, 900), (MESSAGE_DB, 100), (MESSAGE_DB_CATEGORIES, 50)];
        for (what, units) in first.into_iter().chain(second) {
            let measured = Measured::bulk(1.0, units, Vec::new()).unwrap();
            report.add(COMMANDS, "commands", what, "256 clients", measured);
        }
        let aims = aims(&report);
        let is = aims[0].is.unwrap();
        assert_eq!((is.lowest, is.highest, is.median), (2.0, 9.0, 5.5));
        assert_eq!(aims[0].holds(), Some(true));
        assert_eq!(aims[1].holds(), None, "UmaDB was not measured");
    }
}
