//! Judging a command.
use crate::command::Command;
use crate::event::Event;
use crate::file::PatientFile;
use crate::rejection::Rejection;

/// Judges a command against the file as it stands. Pure.
///
/// # Errors
/// A [`Rejection`] that says why the command is refused.
pub fn decide(_file: &PatientFile, _command: &Command) -> Result<Vec<Event>, Rejection> {
    Ok(Vec::new())
}
