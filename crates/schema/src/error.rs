//! What can go wrong. No message holds stored data.

/// A value could not be encoded.
#[derive(Debug, thiserror::Error)]
#[error("the stored form could not be written")]
pub struct EncodeError(#[from] postcard::Error);

/// Bytes could not be read as what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Written by a newer build, or not by this program.
    #[error("stored form version {version} is not known to this build; a newer one is needed")]
    UnknownVersion {
        /// The version that was found.
        version: u16,
    },
    /// An entry of a kind that a newer build brings.
    #[error("entry kind {tag} is not known to this build; a newer one is needed")]
    UnknownKind {
        /// The kind's tag.
        tag: u8,
    },
    /// Not the stored form that its version says.
    #[error("the stored form is malformed")]
    Malformed,
}

impl From<postcard::Error> for DecodeError {
    fn from(_: postcard::Error) -> Self {
        // What postcard says depends on where in hostile bytes it stopped, and helps nobody.
        Self::Malformed
    }
}
