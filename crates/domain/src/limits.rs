//! Limits
/// x
pub const MAX_NOTE_TEXT: usize = 64 * 1024;
