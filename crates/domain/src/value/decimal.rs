//! FHIR R4 `decimal`: a number with the precision as entered.

use std::fmt;

/// Characters of a decimal that are accepted: FHIR asks for at most 18 digits, and a sign, a point
/// and an exponent may be added.
const MAX_LENGTH: usize = 32;

/// A FHIR R4 `decimal`. Kept as text, because `1.0` and `1.00` are different measurements.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Decimal(String);

/// The text is not a FHIR `decimal` or longer than 32 characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidDecimal;

impl fmt::Display for InvalidDecimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a decimal number of at most {MAX_LENGTH} characters, such as -12.50")
    }
}

impl std::error::Error for InvalidDecimal {}

impl Decimal {
    /// Reads a FHIR R4 `decimal`: `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`.
    ///
    /// # Errors
    /// [`InvalidDecimal`] when the text has another form or more than 32 characters.
    pub fn parse(text: &str) -> Result<Self, InvalidDecimal> {
        if text.len() <= MAX_LENGTH && is_decimal(text.as_bytes()).is_some() {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidDecimal)
    }

    /// The text as entered.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_decimal(text: &[u8]) -> Option<()> {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let mut rest = match text.split_first()? {
        (b'0', rest) => rest,
        (b'1'..=b'9', _) => some_digits(text)?,
        _ => return None,
    };
    if let Some(fraction) = rest.strip_prefix(b".") {
        rest = some_digits(fraction)?;
    }
    if let Some((b'e' | b'E', exponent)) = rest.split_first() {
        let unsigned = match exponent.split_first()? {
            (b'+' | b'-', unsigned) => unsigned,
            _ => exponent,
        };
        rest = some_digits(unsigned)?;
    }
    rest.is_empty().then_some(())
}

/// What follows one or more digits.
fn some_digits(text: &[u8]) -> Option<&[u8]> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 { None } else { text.get(length..) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_was_entered() {
        for text in ["0", "-0.50", "120", "1.00", "6.022e23", "1E-9", "0.3202898736241102"] {
            assert_eq!(Decimal::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn refuses_what_is_no_decimal() {
        let long = "1".repeat(33);
        for text in [
            "", "-", "+1", "01", ".5", "5.", "1e", "1e+", "NaN", "1,5", " 1", "0x1", "1.5.2", &long,
        ] {
            assert_eq!(Decimal::parse(text), Err(InvalidDecimal), "{text}");
        }
    }
}
