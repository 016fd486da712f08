//! Checks that a code can be what it says it is: check digits, shapes, systems mixed up.
//!
//! None of them knows whether a code exists; that needs the terminology itself. All take text as
//! it comes from outside, of any content and length.

mod abbreviation;
mod icd10cm;
mod loinc;
mod npi;
mod snomed;
pub mod system;
mod ucum;
mod ucum_atoms;

pub use abbreviation::banned_abbreviations;
pub use icd10cm::is_icd10cm;
pub use loinc::{is_loinc, looks_like_loinc};
pub use npi::is_npi;
pub use snomed::is_snomed;
pub use ucum::{is_ucum, ucum_look_alike};

use crate::finding::code;
use system::System;

/// A rule that a code fails: which, and what to do. Neither holds the code itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// One of [`crate::finding_code`].
    pub code: &'static str,
    /// What is wrong and what to do.
    pub text: &'static str,
}

impl Fault {
    const fn new(code: &'static str, text: &'static str) -> Option<Self> {
        Some(Self { code, text })
    }
}

/// Checks a code, unit or number against its system. Systems without a check pass.
#[must_use]
pub fn coding(system: &str, value: &str) -> Option<Fault> {
    match System::of(system)? {
        System::Snomed if is_snomed(value) => None,
        System::Snomed if looks_like_loinc(value) => Fault::new(
            code::LOINC_UNDER_SNOMED,
            "this is a LOINC code under the SNOMED CT system: use http://loinc.org",
        ),
        System::Snomed => Fault::new(
            code::SNOMED_CODE,
            "no SNOMED CT concept id: form, partition or check digit is wrong",
        ),
        System::Loinc if is_loinc(value) => None,
        System::Loinc => {
            Fault::new(code::LOINC_CODE, "no LOINC code: form or check digit is wrong")
        }
        System::Icd10Cm if is_icd10cm(value) => None,
        System::Icd10Cm => Fault::new(
            code::ICD10CM_CODE,
            "no ICD-10-CM code: a letter, two characters, a point, up to four more",
        ),
        System::Ucum => unit(value),
        System::Npi if is_npi(value) => None,
        System::Npi => {
            Fault::new(code::NPI, "no National Provider Identifier: form or check digit is wrong")
        }
    }
}

fn unit(value: &str) -> Option<Fault> {
    if !is_ucum(value) {
        return Fault::new(code::UCUM_UNIT, "no UCUM unit: write it as in unitsofmeasure.org");
    }
    ucum_look_alike(value).and_then(|text| Fault::new(code::UCUM_LOOK_ALIKE, text))
}

/// Checks a reference that names a person by National Provider Identifier, as `system|value`,
/// also within a search such as `Practitioner?identifier=system|value`.
#[must_use]
pub fn reference(reference: &str) -> Option<Fault> {
    let (system, value) = reference.rsplit_once('|')?;
    let system = system.rsplit_once('=').map_or(system, |(_, system)| system);
    match System::of(system)? {
        System::Npi => coding(system, value),
        System::Snomed | System::Loinc | System::Icd10Cm | System::Ucum => None,
    }
}

/// Whether a language code has the form of BCP 47 (RFC 5646): a language of two or three letters
/// and subtags of up to eight letters or digits, or a private one.
#[must_use]
pub fn is_language_tag(tag: &str) -> bool {
    let mut subtags = tag.split('-');
    let language = subtags.next().unwrap_or_default();
    let plausible = match language {
        "x" | "i" => tag.len() > 2,
        _ => (2..=8).contains(&language.len()) && language.bytes().all(|b| b.is_ascii_alphabetic()),
    };
    plausible
        && subtags.all(|subtag| {
            (1..=8).contains(&subtag.len()) && subtag.bytes().all(|b| b.is_ascii_alphanumeric())
        })
}

/// The value of a text of ASCII digits, digit by digit; `None` if there is anything else.
fn digits(text: &str) -> Option<impl DoubleEndedIterator<Item = u32> + Clone> {
    let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| text.bytes().map(|byte| u32::from(byte - b'0')))
}

/// What Luhn's algorithm (ISO/IEC 7812-1 annex B, "mod 10") doubles: every second digit from the
/// right, beginning with the last when the check digit is not part of it.
fn luhn_doubled(digit: u32) -> u32 {
    let doubled = digit * 2;
    if doubled > 9 { doubled - 9 } else { doubled }
}

#[cfg(test)]
mod tests;
