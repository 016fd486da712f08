//! How much may be filed. Lengths are in bytes of UTF-8, because bytes are what is stored.
//!
//! The bounds are for texts that people and real systems write, with room; whatever is longer is
//! a document and belongs into a note, or is an attack.

/// An entry's or identity's texts and list items together. A sealed body holds at most 256 KiB;
/// stored forms add a few bytes to each value and the findings ([`MAX_REMARKS`] of about 200 bytes),
/// for which a quarter is kept free.
pub const MAX_ENTRY_BYTES: usize = 192 * 1024;

/// What every value and list item counts for beside its text, towards [`MAX_ENTRY_BYTES`]: more
/// than the tags and lengths that a stored form puts around it.
pub const BYTES_A_VALUE: usize = 8;

/// The text of a note: some 30 typed pages. A page of 200 such notes still has to be cut by the
/// server to fit an answer of 4 MiB.
pub const MAX_NOTE_TEXT: usize = 64 * 1024;

/// A text in sentences: a remark, a dosage instruction, the description of a reaction. The longest
/// in the sample hospitals have 2 KiB.
pub const MAX_LONG_TEXT: usize = 16 * 1024;

/// A text in words: a display, the text of a concept, a name, a line of an address. LOINC's longest
/// name has 500 characters, SNOMED CT allows 255.
pub const MAX_SHORT_TEXT: usize = 1024;

/// A code or status. SNOMED CT ids have 18 digits, the longest FHIR codes about 60 characters;
/// post-coordinated expressions beyond this belong into the text.
pub const MAX_CODE: usize = 256;

/// A URI, reference or identifier value. FHIR's longest canonical URIs have about 150 characters.
pub const MAX_URI: usize = 512;

/// The reason of an amendment, a retraction or an override: a paragraph.
pub const MAX_REASON: usize = 4 * 1024;

/// The text of a set of access policies. What Caseledger comes with has 5 KiB; a body holds 256.
pub const MAX_POLICY_TEXT: usize = 128 * 1024;

/// Accesses of one privacy incident. A snooper of years looked at 3,000 files; each access costs up to
/// ten bytes, and all are read when the incident is shown, in some 50 ms.
pub const MAX_INCIDENT_ACCESSES: usize = 5_000;

/// Codes of one concept: one a code system in use.
pub const MAX_CODINGS: usize = 16;

/// Items of any other list: components of a panel, reactions, performers, addresses. Real panels
/// have up to 40 components.
pub const MAX_ITEMS: usize = 64;

/// Remarks that are filed with an entry. Nobody reads more, and they take room in the body.
pub const MAX_REMARKS: usize = 32;

/// Violations that are named in a refusal, for the same reason.
pub const MAX_VIOLATIONS: usize = 32;

/// Characters of a summary line: what a list on a screen can show.
pub const MAX_SUMMARY_CHARS: usize = 160;
