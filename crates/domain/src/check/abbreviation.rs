//! Abbreviations that have killed: the Joint Commission's official "do not use" list.

/// What the list forbids.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Banned {
    Unit,
    InternationalUnit,
    Daily,
    EveryOtherDay,
    TrailingZero,
    NoLeadingZero,
    Morphine,
}

impl Banned {
    fn advice(self) -> &'static str {
        match self {
            Self::Unit => "U is read as 0 or 4: write unit",
            Self::InternationalUnit => "IU is read as IV or 10: write international unit",
            Self::Daily => "QD is read as QID: write daily",
            Self::EveryOtherDay => "QOD is read as QD: write every other day",
            Self::TrailingZero => "a trailing zero hides the point: write 1, not 1.0",
            Self::NoLeadingZero => "a bare point is overlooked: write 0.5, not .5",
            Self::Morphine => {
                "MS, MSO4 and MgSO4 are mixed up: write morphine sulfate or magnesium sulfate"
            }
        }
    }
}

/// Advice for each banned abbreviation that a dosage text uses, each once.
#[must_use]
pub fn banned_abbreviations(text: &str) -> Vec<&'static str> {
    let separator =
        |c: char| c.is_whitespace() || matches!(c, ',' | ';' | ':' | '(' | ')' | '/' | '-');
    let mut found = Vec::new();
    for token in text.split(separator) {
        let word = token.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let number = token.strip_suffix(word).unwrap_or_default().trim_end_matches('.');
        found.extend(banned_number(number));
        found.extend(banned_word(word));
    }
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(Banned::advice).collect()
}

fn banned_number(number: &str) -> Option<Banned> {
    let (whole, fraction) = number.split_once('.')?;
    if whole.is_empty() {
        return Some(Banned::NoLeadingZero);
    }
    fraction.bytes().all(|byte| byte == b'0').then_some(Banned::TrailingZero)
}

fn banned_word(word: &str) -> Option<Banned> {
    // No abbreviation of the list is longer, with all its points.
    if word.len() > "q.o.d.".len() {
        return None;
    }
    // These are words or other units in another case (mS, ms).
    if matches!(word.trim_end_matches('.'), "MS" | "MSO4" | "MgSO4") {
        return Some(Banned::Morphine);
    }
    let letters: String = word.chars().filter(|c| *c != '.').collect();
    match letters.to_ascii_lowercase().as_str() {
        "u" => Some(Banned::Unit),
        "iu" => Some(Banned::InternationalUnit),
        "qd" => Some(Banned::Daily),
        "qod" => Some(Banned::EveryOtherDay),
        _ => None,
    }
}
