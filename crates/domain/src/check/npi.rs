//! National Provider Identifier of the United States (45 CFR 162.406).

use super::{digits, luhn_doubled};

/// What Luhn's sum gets from the prefix 80840 that stands before every NPI (CMS, "Requirements for
/// NPI and NPI Check Digit").
const PREFIX_SUM: u32 = 24;

/// Whether the text is ten digits beginning with 1 or 2, with Luhn's check digit over the prefix
/// 80840 and the number.
#[must_use]
pub fn is_npi(text: &str) -> bool {
    let Some(digits) = digits(text) else { return false };
    let sum: u32 = digits
        .rev()
        .enumerate()
        .map(|(place, digit)| if place % 2 == 1 { luhn_doubled(digit) } else { digit })
        .sum();
    text.len() == 10 && text.starts_with(['1', '2']) && (sum + PREFIX_SUM).is_multiple_of(10)
}
