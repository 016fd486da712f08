//! The report for people.

use std::fmt::Write as _;

use super::aims::aims;
use super::json::QUANTILES;
use super::{Report, Row};
use crate::load::Measured;

/// Columns: what, load, rate and its spread, quantiles.
pub(super) fn text(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(report, &mut out);
    out
}

fn write(report: &Report, out: &mut String) -> std::fmt::Result {
    for line in report.machine.lines() {
        writeln!(out, "{line}")?;
    }
    for (key, text) in &report.settings {
        writeln!(out, "{key:<11} {text}")?;
    }
    writeln!(out)?;
    for one in &report.contenders {
        writeln!(out, "{}: {}\n    {}", one.name, one.version, one.durability)?;
    }
    for line in &report.left_out {
        writeln!(out, "LEFT OUT    {line}")?;
    }
    let mut group = "";
    for row in &report.rows {
        if row.group != group {
            group = row.group;
            heading(out, row)?;
        }
        figures(out, row)?;
    }
    costs(report, out)?;
    aimed(report, out)
}

fn heading(out: &mut String, row: &Row) -> std::fmt::Result {
    write!(out, "\n{}\n{:<44} {:>14} {:>22}", row.group, "", "", format!("{}/s", row.unit))?;
    if row.runs.iter().any(|run| !run.latency.is_empty()) {
        for (name, _) in QUANTILES {
            write!(out, " {name:>9}")?;
        }
        write!(out, "  (ms)")?;
    }
    writeln!(out)
}

fn figures(out: &mut String, row: &Row) -> std::fmt::Result {
    write!(out, "{:<44} {:>14}", row.what, row.load)?;
    if let Ok(rate) = row.spread(Measured::rate) {
        let spread = format!("({}–{})", whole(rate.lowest), whole(rate.highest));
        let spread = if row.runs.len() > 1 { spread } else { String::new() };
        write!(out, " {:>8} {spread:>13}", whole(rate.median))?;
    }
    if row.runs.iter().any(|run| !run.latency.is_empty()) {
        for (_, part) in QUANTILES {
            if let Ok(spread) = row.spread(|run| run.quantile(part)) {
                write!(out, " {:>9}", milliseconds(spread.median))?;
            }
        }
    }
    let errors: u64 = row.runs.iter().map(|run| run.errors).sum();
    if errors > 0 {
        let told = row.runs.iter().find_map(|run| run.first_error.as_deref()).unwrap_or_default();
        write!(out, "  {errors} FAILED, the first: {told}")?;
    }
    writeln!(out)
}

/// What a unit of work costs: processor time, bytes written, and memory at the end.
fn costs(report: &Report, out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "\ncost of one: processor µs | bytes made dirty | peak memory, median of the runs"
    )?;
    for row in &report.rows {
        let Some(first) = row.runs.first() else { continue };
        if first.usage.is_empty() || first.units == 0 {
            continue;
        }
        write!(out, "{:<44} {:>14}", row.what, row.load)?;
        for (place, usage) in first.usage.iter().enumerate() {
            write!(out, "  {}: {}", usage.name, cost(row, place))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn cost(row: &Row, place: usize) -> String {
    let of = |number: fn(&crate::usage::Usage) -> f64| {
        let each = |run: &Measured| run.usage.get(place).map_or(0.0, number) / units(run);
        row.spread(each).map_or(0.0, |spread| spread.median)
    };
    let processor = of(|usage| usage.cpu_seconds * 1e6);
    let written = of(written);
    let memory = row.runs.iter().filter_map(|run| run.usage.get(place)?.peak_memory).max();
    let memory = memory.map_or(String::from("–"), |bytes| format!("{} MiB", bytes >> 20));
    format!("{processor:.0} | {} | {memory}", whole(written))
}

fn written(usage: &crate::usage::Usage) -> f64 {
    usage.written as f64
}

fn units(measured: &Measured) -> f64 {
    measured.units.max(1) as f64
}

fn aimed(report: &Report, out: &mut String) -> std::fmt::Result {
    writeln!(out, "\naims (ratios within a run, against the best of the yardstick's rows)")?;
    for aim in aims(report) {
        let sign = if aim.at_least { "≥" } else { "≤" };
        let wanted = format!("{sign} {}", short(aim.wanted));
        let told = match (aim.is, aim.holds()) {
            (Some(is), Some(holds)) => {
                let spread = format!("({}–{})", short(is.lowest), short(is.highest));
                let verdict = if holds { "holds" } else { "SHORT" };
                format!("{:>8} {spread:>16}  {verdict}", short(is.median))
            }
            _ => String::from("not measured"),
        };
        writeln!(out, "{:<72} {wanted:>9}  {told}", aim.text)?;
    }
    Ok(())
}

/// A whole number with its thousands apart.
fn whole(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn short(number: f64) -> String {
    if number >= 100.0 { whole(number) } else { format!("{number:.2}") }
}

fn milliseconds(microseconds: f64) -> String {
    format!("{:.2}", microseconds / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(whole(1_234_567.4), "1,234,567");
        assert_eq!(whole(999.0), "999");
        assert_eq!((short(0.4).as_str(), short(12_345.6).as_str()), ("0.40", "12,346"));
        assert_eq!(milliseconds(1_234.0), "1.23");
    }
}
