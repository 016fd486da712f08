//! What is printed: tables for people, JSON for scripts.

use std::io::{self, ErrorKind, IsTerminal, Write};

use crate::failure::Failure;

/// Where results go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether scripts read it.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Prints the one or the other: a line of JSON, or text for people.
    pub(crate) fn show(
        &self,
        json: impl FnOnce() -> serde_json::Value,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        let text = if self.json { json().to_string() } else { text() };
        let mut out = io::stdout().lock();
        let written = out.write_all(text.trim_end().as_bytes()).and_then(|()| out.write_all(b"\n"));
        written.and_then(|()| out.flush()).map_err(|error| {
            if error.kind() == ErrorKind::BrokenPipe {
                Failure::OutputClosed
            } else {
                Failure::local("print", error)
            }
        })
    }

    /// The same for what an exit code stands for, which stands also if nobody reads why.
    pub(crate) fn explain(
        &self,
        json: impl FnOnce() -> serde_json::Value,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        unless_closed(self.show(json, text))
    }
}

/// Whoever reads no further takes nothing away from what is known.
fn unless_closed(shown: Result<(), Failure>) -> Result<(), Failure> {
    match shown {
        Err(Failure::OutputClosed) => Ok(()),
        shown => shown,
    }
}

/// Whether somebody watches, so that a progress bar makes sense.
pub(crate) fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// Says what went wrong on standard error. If that cannot be written, the exit code has to do.
pub(crate) fn complain(failure: &Failure, json: bool) {
    let text = if json { format!("{}\n", failure.json()) } else { failure.report() };
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// A table: columns as wide as their widest cell, two spaces between, nothing after the last.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<usize>,
    /// What stands under a row, and under how many rows.
    notes: Vec<(usize, String)>,
}

impl Table {
    /// A table with a heading.
    pub(crate) fn with_heading<const N: usize>(heading: [&str; N]) -> Self {
        Self::with_columns(heading.map(str::to_owned).to_vec())
    }

    /// A table with a heading whose length is known only when it is made.
    pub(crate) fn with_columns(heading: Vec<String>) -> Self {
        Self { rows: vec![heading], ..Self::default() }
    }

    /// Columns, from 0, that hold numbers.
    pub(crate) fn right_aligned(mut self, columns: impl IntoIterator<Item = usize>) -> Self {
        self.right.extend(columns);
        self
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| one_line(&cell)).to_vec());
    }

    /// A row whose length is known only when it is made.
    pub(crate) fn cells(&mut self, cells: &[String]) {
        self.rows.push(cells.iter().map(|cell| one_line(cell)).collect());
    }

    /// A line of its own under the last row, outside the columns.
    pub(crate) fn note(&mut self, text: &str) {
        self.notes.push((self.rows.len(), one_line(text)));
    }

    /// The lines, each with this before it.
    pub(crate) fn lines(&self, indent: &str) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cells = |column: usize| self.rows.iter().filter_map(move |row| row.get(column));
        let widths: Vec<usize> = (0..columns)
            .map(|column| cells(column).map(|cell| width(cell)).max().unwrap_or(0))
            .collect();
        let mut text = String::new();
        for (above, row) in (1..).zip(&self.rows) {
            let mut line = indent.to_owned();
            for ((column, cell), wide) in row.iter().enumerate().zip(&widths) {
                let blank = " ".repeat(wide.saturating_sub(width(cell)));
                let gap = if column == 0 { "" } else { "  " };
                line.push_str(gap);
                if self.right.contains(&column) {
                    line.push_str(&blank);
                    line.push_str(cell);
                } else {
                    line.push_str(cell);
                    line.push_str(&blank);
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
            for (_, note) in self.notes.iter().filter(|(under, _)| *under == above) {
                text.push_str(&format!("{indent}    {note}\n"));
            }
        }
        text
    }
}

/// What is in a file must not move a reader's cursor, colour their screen, or change the order in which
/// they read a row: control characters, line separators, and marks of direction (Unicode's bidi controls).
pub(crate) fn one_line(text: &str) -> String {
    let moves = |c: char| {
        let directs = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}');
        c.is_control() || directs || matches!(c, '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if moves(c) { ' ' } else { c }).collect()
}

/// Columns on a screen, near enough: wide characters of East Asia take two, combining marks none.
fn width(text: &str) -> usize {
    text.chars()
        .map(|c| match u32::from(c) {
            0x0300..=0x036f | 0x200b..=0x200f | 0xfe00..=0xfe0f => 0,
            0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff => 2,
            0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff => 2,
            _ => 1,
        })
        .sum()
}

/// "1 resource", "2 resources".
pub(crate) fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(count))
}

/// 1234567 → "1,234,567".
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_whatever_the_script() {
        let mut table = Table::with_heading(["name", "count"]).right_aligned([1]);
        table.row(["佐藤".to_owned(), "7".to_owned()]);
        table.row(["Þórdís\n\u{1b}[31m".to_owned(), "1,000".to_owned()]);
        assert_eq!(
            table.lines("  "),
            "  name          count\n  佐藤              7\n  Þórdís  [31m  1,000\n"
        );
    }

    #[test]
    fn a_name_changes_the_order_of_nothing() {
        for mark in [
            '\u{1b}', '\n', '\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}', '\u{202a}',
            '\u{202e}', '\u{2066}', '\u{2069}',
        ] {
            assert_eq!(one_line(&format!("a{mark}b")), "a b", "{mark:?}");
        }
        // Persian and Indian names need the first two, emblems the third.
        for kept in ["a\u{200c}b", "a\u{200d}b", "a\u{fe0f}b", "אב"] {
            assert_eq!(one_line(kept), kept);
        }
    }

    #[test]
    fn a_verdict_stands_although_nobody_reads_it() {
        assert!(unless_closed(Err(Failure::OutputClosed)).is_ok());
        assert!(unless_closed(Err(Failure::local("print", "disk full"))).is_err());
    }

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
        assert_eq!(counted(1, "resource"), "1 resource");
        assert_eq!(counted(1024, "resource"), "1,024 resources");
    }
}
