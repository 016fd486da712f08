//! What the checks say about an entry or an identity.

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Filed together with the entry, for somebody to look at.
    Remark,
    /// The command is refused.
    Violation,
}

/// One finding. Neither `field` nor `text` holds patient data, so that both may be shown in an
/// error and written to a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Stable name of the rule, one of [`code`].
    pub code: String,
    /// Whether the command is refused for it.
    pub severity: Severity,
    /// Where, as a path of field names: `code.coding[0].code`.
    pub field: String,
    /// What is wrong and what to do, in a sentence.
    pub text: String,
}

/// Names of the rules. Stored with entries: a name is never given another meaning.
pub mod code {
    /// A field that must be filled is empty.
    pub const REQUIRED: &str = "required";
    /// A text is over its limit.
    pub const TOO_LONG: &str = "too-long";
    /// A list is over its limit.
    pub const TOO_MANY: &str = "too-many";
    /// All of it together is over its limit.
    pub const TOO_LARGE: &str = "too-large";
    /// A text holds control characters.
    pub const CONTROL_CHARACTER: &str = "control-character";
    /// A value is none of those that the field may have.
    pub const VALUE_NOT_ALLOWED: &str = "value-not-allowed";
    /// `entered-in-error` was given as a status; the way is to retract.
    pub const RETRACT_INSTEAD: &str = "retract-instead";
    /// A period ends before it begins.
    pub const PERIOD_REVERSED: &str = "period-reversed";
    /// A date was expected, without a time of day.
    pub const DATE_EXPECTED: &str = "date-expected";
    /// Two fields contradict each other.
    pub const CONTRADICTION: &str = "contradiction";
    /// A field mask names no field, or one that does not exist or cannot be changed.
    pub const BAD_MASK: &str = "bad-mask";
    /// A code without any words for people.
    pub const NO_PLAIN_TEXT: &str = "no-plain-text";
    /// A SNOMED CT id has another form, partition or check digit (Verhoeff).
    pub const SNOMED_CODE: &str = "snomed-code";
    /// A LOINC code has another form or check digit (mod 10).
    pub const LOINC_CODE: &str = "loinc-code";
    /// A LOINC code is filed under the SNOMED CT system.
    pub const LOINC_UNDER_SNOMED: &str = "loinc-under-snomed";
    /// An ICD-10-CM code has another form.
    pub const ICD10CM_CODE: &str = "icd10cm-code";
    /// A unit is not UCUM.
    pub const UCUM_UNIT: &str = "ucum-unit";
    /// A unit is valid UCUM but surely means something else, as `K/uL` (kelvin) for thousands.
    pub const UCUM_LOOK_ALIKE: &str = "ucum-look-alike";
    /// A National Provider Identifier has another form or check digit (Luhn).
    pub const NPI: &str = "npi";
    /// A dosage text uses an abbreviation of the Joint Commission's "do not use" list.
    pub const BANNED_ABBREVIATION: &str = "banned-abbreviation";
    /// The verifier is the recorder: nobody else has looked.
    pub const VERIFIER_IS_RECORDER: &str = "verifier-is-recorder";
    /// A language code has not the form of BCP 47.
    pub const LANGUAGE_CODE: &str = "language-code";
    /// An override names no remark of its entry.
    pub const NO_SUCH_FINDING: &str = "no-such-finding";
    /// There are more remarks than are filed.
    pub const MORE_REMARKS: &str = "more-remarks";
}
