//! LOINC codes: form and mod-10 check digit (LOINC Users' Guide, "Calculating Mod 10 Check
//! Digits").

use super::{digits, luhn_doubled};

/// Published codes whose check digit is wrong; all deprecated, none will be reissued (LOINC 2.75).
const PUBLISHED_WITH_WRONG_DIGIT: [&str; 14] = [
    "11491-6", "11501-6", "5895-7", "5896-5", "5897-3", "5928-1", "6028-3", "6415-5", "6580-7",
    "6645-7", "6646-5", "6647-3", "6648-1", "6649-9",
];

/// Whether the text is a LOINC code, or the code of a part, answer, answer list or group (`LP…`,
/// `LA…`, `LL…`, `LG…`).
#[must_use]
pub fn is_loinc(text: &str) -> bool {
    let Some((body, check)) = text.rsplit_once('-') else { return false };
    let Some(check) = digits(check).filter(|_| check.len() == 1).and_then(|mut it| it.next())
    else {
        return false;
    };
    if let Some(number) = number(body) {
        let sum: u32 = number
            .rev()
            .enumerate()
            .map(|(place, digit)| if place % 2 == 0 { luhn_doubled(digit) } else { digit })
            .sum();
        return (sum + check).is_multiple_of(10) || PUBLISHED_WITH_WRONG_DIGIT.contains(&text);
    }
    is_part(body, check)
}

/// Whether the text has the form of a LOINC code, whatever its check digit.
#[must_use]
pub fn looks_like_loinc(text: &str) -> bool {
    text.rsplit_once('-').is_some_and(|(body, check)| {
        number(body).is_some() && check.len() == 1 && digits(check).is_some()
    })
}

/// A number of one to seven digits.
fn number(body: &str) -> Option<impl DoubleEndedIterator<Item = u32> + Clone> {
    digits(body).filter(|_| body.len() <= 7)
}

/// Parts, answers, lists and groups use OpenMRS's variant of Luhn over letters, where a character
/// counts as its distance from `0` in ASCII. Found to hold for all that were tried, not specified
/// by LOINC.
fn is_part(body: &str, check: u32) -> bool {
    let prefixed = ["LP", "LA", "LL", "LG"].iter().any(|prefix| {
        body.strip_prefix(prefix)
            .is_some_and(|number| digits(number).is_some() && number.len() <= 8)
    });
    if !prefixed {
        return false;
    }
    let sum: u32 = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, byte)| {
            let value = u32::from(byte - b'0');
            if place % 2 == 0 { 2 * value - value / 5 * 9 } else { value }
        })
        .sum();
    (sum + check).is_multiple_of(10)
}
