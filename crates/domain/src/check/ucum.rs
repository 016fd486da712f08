//! UCUM units, case sensitive: the grammar of The Unified Code for Units of Measure 2.1, with its
//! atoms (§ 2–4). Says whether a unit can be read, not what dimension it has.

use super::ucum_atoms::{METRIC, OTHER, PREFIXES};

/// Deeper nesting than any unit needs; bounds the recursion.
const MAX_DEPTH: u32 = 8;

/// Whether the text is a UCUM unit: `mg/dL`, `10*3/uL`, `mm[Hg]`, `{score}`.
#[must_use]
pub fn is_ucum(text: &str) -> bool {
    if !text.bytes().all(|byte| (b'!'..=b'~').contains(&byte)) {
        return false;
    }
    let term_text = text.strip_prefix('/').unwrap_or(text);
    term(term_text, MAX_DEPTH).is_some_and(str::is_empty)
}

/// What a unit is mistaken for that is valid, but surely means something else: the advice.
#[must_use]
pub fn ucum_look_alike(text: &str) -> Option<&'static str> {
    match text {
        "K/uL" | "K/mL" | "K/L" | "K/mm3" => {
            Some("K is kelvin: write thousands per microlitre as 10*3/uL")
        }
        "G/L" => Some("G is gauss: write 10*9/L"),
        "T/L" => Some("T is tesla: write 10*12/L"),
        "pH" => Some("pH is picohenry: write [pH]"),
        "MG" => Some("MG is megagauss: write milligrams as mg"),
        "ML" => Some("ML is megalitre: write millilitres as mL"),
        "Gm" => Some("Gm is gigametre: write grams as g"),
        _ => None,
    }
}

/// component (('.' | '/') component)*; hands back the rest.
fn term(text: &str, depth: u32) -> Option<&str> {
    let mut rest = component(text, depth.checked_sub(1)?)?;
    while let Some(next) = rest.strip_prefix(['.', '/']) {
        rest = component(next, depth.checked_sub(1)?)?;
    }
    Some(rest)
}

/// A term in parentheses, an annotation alone, a number, or a unit with exponent and annotation.
fn component(text: &str, depth: u32) -> Option<&str> {
    if let Some(inner) = text.strip_prefix('(') {
        return term(inner, depth)?.strip_prefix(')');
    }
    if text.starts_with('{') {
        return annotation(text);
    }
    let rest = match power_of_ten(text) {
        Some(rest) => exponent(rest)?,
        None if text.starts_with(|c: char| c.is_ascii_digit()) => {
            text.trim_start_matches(|c: char| c.is_ascii_digit())
        }
        None => exponent(symbol(text)?)?,
    };
    if rest.starts_with('{') { annotation(rest) } else { Some(rest) }
}

/// `10*` and `10^` are units, the number ten.
fn power_of_ten(text: &str) -> Option<&str> {
    text.strip_prefix("10*").or_else(|| text.strip_prefix("10^"))
}

fn annotation(text: &str) -> Option<&str> {
    let (inner, rest) = text.strip_prefix('{')?.split_once('}')?;
    (!inner.contains('{')).then_some(rest)
}

/// An optional sign and digits; a sign alone is an error.
fn exponent(text: &str) -> Option<&str> {
    let unsigned = text.strip_prefix(['+', '-']);
    let rest = unsigned.unwrap_or(text).trim_start_matches(|c: char| c.is_ascii_digit());
    let no_digits = unsigned.is_some_and(|unsigned| unsigned.len() == rest.len());
    (!no_digits).then_some(rest)
}

/// A unit atom with or without prefix; hands back what follows it.
fn symbol(text: &str) -> Option<&str> {
    let mut bracketed = false;
    let end = text.find(|c: char| match c {
        '[' => {
            bracketed = true;
            false
        }
        ']' => {
            bracketed = false;
            false
        }
        _ => !bracketed && (c.is_ascii_digit() || "+-./(){}".contains(c)),
    });
    let (symbol, rest) = text.split_at_checked(end.unwrap_or(text.len()))?;
    is_symbol(symbol).then_some(rest)
}

fn is_symbol(symbol: &str) -> bool {
    is_in(METRIC, symbol)
        || is_in(OTHER, symbol)
        || PREFIXES
            .iter()
            .any(|prefix| symbol.strip_prefix(prefix).is_some_and(|atom| is_in(METRIC, atom)))
}

fn is_in(sorted: &[&str], symbol: &str) -> bool {
    sorted.binary_search(&symbol).is_ok()
}
