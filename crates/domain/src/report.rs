//! report
#[derive(Debug, Default)]
pub(crate) struct Report;
