//! ICD-10-CM codes: form only, they have no check digit (ICD-10-CM Official Guidelines, I.A.2).

/// Whether the text is a letter, a digit, a digit or `A` or `B`, and after a point one to four
/// digits or capital letters.
#[must_use]
pub fn is_icd10cm(text: &str) -> bool {
    let (category, rest) = match text.split_once('.') {
        None => (text, None),
        Some((category, rest)) => (category, Some(rest)),
    };
    let category_holds =
        matches!(category.as_bytes(), [b'A'..=b'Z', b'0'..=b'9', b'0'..=b'9' | b'A' | b'B']);
    category_holds
        && rest.is_none_or(|rest| {
            (1..=4).contains(&rest.len())
                && rest.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
        })
}
