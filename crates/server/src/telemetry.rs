//! What the node says about itself: `tracing` events on standard error, as text or JSON.
//!
//! No event carries patient data, tokens or keys: fields are ids, positions, counts, codes and
//! fixed texts. Standard output belongs to the ready line.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::config::{Log, LogFormat};

/// The log's filter is not one.
#[derive(Debug, thiserror::Error)]
#[error("log.filter is not a filter such as \"info\" or \"info,engine=debug\"")]
pub struct BadFilter(#[source] ParseError);

/// Starts logging for this process. A process that logs already keeps its own way.
///
/// # Errors
/// The filter cannot be parsed.
pub fn start(log: &Log) -> Result<(), BadFilter> {
    let filter = EnvFilter::try_new(&log.filter).map_err(BadFilter)?;
    // Colours are for a terminal, not for a log file.
    let coloured = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(coloured)
        // A terminal that was closed takes no lines; that is no reason to end.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    // An error here means that a subscriber is set already, which is what tests do.
    let _already = match log.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_filter_is_refused() {
        let log = Log { filter: "engine=loudly".into(), ..Log::default() };
        assert!(start(&log).unwrap_err().to_string().contains("log.filter"));
    }
}
