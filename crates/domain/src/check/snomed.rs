//! SNOMED CT identifiers: form, partition and Verhoeff check digit (SNOMED CT Release File
//! Specification, "SCTID").

use super::digits;

/// Whether the text is the id of a concept: 6 to 18 digits, no leading zero, partition 00 (core)
/// or 10 (extension, with a namespace of seven digits), Verhoeff check digit.
#[must_use]
pub fn is_snomed(text: &str) -> bool {
    // 10 and its namespace, partition and check digit need at least one digit of item id.
    const SHORTEST_EXTENSION: usize = 11;
    let Some(mut from_right) = digits(text).map(Iterator::rev) else { return false };
    let verhoeff = verhoeff(from_right.clone());
    from_right.next();
    let item = from_right.next();
    let partition = from_right.next();
    (6..=18).contains(&text.len())
        && !text.starts_with('0')
        && item == Some(0)
        && match partition {
            Some(0) => true,
            Some(1) => text.len() >= SHORTEST_EXTENSION,
            _ => false,
        }
        && verhoeff
}

/// Verhoeff's check over digits from the right, the check digit first: multiplication in the
/// dihedral group of order ten (J. Verhoeff, 1969).
fn verhoeff(from_right: impl Iterator<Item = u32>) -> bool {
    let mut sum = 0;
    for (place, digit) in from_right.enumerate() {
        sum = multiply(sum, permute(digit, place % 8));
    }
    sum == 0
}

/// The product in the dihedral group of order ten: 0 to 4 turn, 5 to 9 turn and reflect.
fn multiply(left: u32, right: u32) -> u32 {
    match (left < 5, right < 5) {
        (true, true) => (left + right) % 5,
        (true, false) => 5 + (left + right - 5) % 5,
        (false, true) => 5 + (left - 5 + 5 - right) % 5,
        (false, false) => (left - 5 + 5 - (right - 5)) % 5,
    }
}

/// Verhoeff's permutation, applied as often as the digit's place says.
fn permute(digit: u32, times: usize) -> u32 {
    (0..times).fold(digit, |digit, _| match digit {
        0 => 1,
        1 => 5,
        2 => 7,
        3 => 6,
        4 => 2,
        5 => 8,
        6 => 3,
        7 => 0,
        8 => 9,
        _ => 4,
    })
}
