//! The report for programs.

use serde_json::{Value, json};

use super::aims::aims;
use super::{Report, Row, Spread};
use crate::load::Measured;

/// Quantiles told, with their names.
pub(super) const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)];

/// The whole report. Latencies are microseconds.
pub(super) fn value(report: &Report) -> Value {
    let settings: serde_json::Map<String, Value> =
        report.settings.iter().map(|(key, text)| ((*key).to_owned(), json!(text))).collect();
    let contenders: Vec<Value> = report
        .contenders
        .iter()
        .map(
            |one| json!({ "name": one.name, "version": one.version, "durability": one.durability }),
        )
        .collect();
    let aims: Vec<Value> = aims(report)
        .iter()
        .map(|aim| {
            let bound = if aim.at_least { "at_least" } else { "at_most" };
            json!({ "aim": aim.text, bound: aim.wanted, "is": aim.is.map(spread), "holds": aim.holds() })
        })
        .collect();
    json!({
        "machine": report.machine.json(),
        "settings": settings,
        "contenders": contenders,
        "left_out": report.left_out,
        "rows": report.rows.iter().map(row).collect::<Vec<_>>(),
        "aims": aims,
    })
}

fn spread(spread: Spread) -> Value {
    json!({ "median": spread.median, "lowest": spread.lowest, "highest": spread.highest })
}

fn row(row: &Row) -> Value {
    json!({
        "group": row.group, "what": row.what, "load": row.load, "unit": row.unit,
        "rate_per_second": row.spread(Measured::rate).ok().map(spread),
        "runs": row.runs.iter().map(run).collect::<Vec<_>>(),
    })
}

fn run(measured: &Measured) -> Value {
    let latency: serde_json::Map<String, Value> = QUANTILES
        .iter()
        .map(|(name, part)| ((*name).to_owned(), json!(measured.quantile(*part))))
        .collect();
    let usage: Vec<Value> = measured
        .usage
        .iter()
        .map(|usage| {
            json!({
                "process": usage.name, "cpu_seconds": usage.cpu_seconds,
                "bytes_made_dirty": usage.written, "peak_memory_bytes": usage.peak_memory,
            })
        })
        .collect();
    json!({
        "seconds": measured.seconds, "calls": measured.calls, "units": measured.units,
        "errors": measured.errors, "first_error": measured.first_error,
        "rate_per_second": measured.rate(),
        "latency_us": if measured.latency.is_empty() { Value::Null } else { json!(latency) },
        "usage": usage,
    })
}
