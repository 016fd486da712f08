//! Why a resource cannot become an item.

/// Why a resource is not sent. Holds no patient data: names of elements and codes only.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    /// Stable code, upper snake case.
    pub code: &'static str,
    /// The element, in FHIR's words; empty if the whole resource is meant.
    pub field: String,
    /// What is wrong and what to do.
    pub text: String,
}

impl Refusal {
    /// The code of what its source takes back without a patient who can be found.
    pub const TAKEN_BACK: &str = "TAKEN_BACK";

    pub(crate) fn new(code: &'static str, field: &str, text: impl Into<String>) -> Self {
        Self { code, field: field.to_owned(), text: text.into() }
    }

    /// An element whose JSON does not have the form that FHIR R4 gives it.
    pub(crate) fn malformed(field: &str) -> Self {
        Self::new(
            "MALFORMED_ELEMENT",
            field,
            format!("`{field}` does not have the JSON form that FHIR R4 gives it"),
        )
    }

    /// Entered in error, as its source says, and nobody can tell in whose file it would be.
    pub(crate) fn taken_back(field: &str) -> Self {
        Self::new(
            Self::TAKEN_BACK,
            field,
            "its source says that it was entered in error, and not of which patient: look whether it is on \
             file, and retract it",
        )
    }

    pub(crate) fn not_json(why: &str) -> Self {
        Self::new("NOT_A_RESOURCE", "", why)
    }
}
