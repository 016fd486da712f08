//! The elements of a resource, taken out one by one: what is left at the end was not carried.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{CodeableConcept, Coding, Period, Quantity, Reference};
use crate::refusal::Refusal;
use api::v1;

/// Elements that say nothing about the patient: what and which version it is, and the generated
/// narrative.
const TECHNICAL: [&str; 4] = ["resourceType", "id", "text", "language"];

/// Elements that a reader must understand or else must not process the resource (FHIR R4 2.4.1).
const MODIFYING: [&str; 2] = ["modifierExtension", "implicitRules"];

/// The status of what should never have been there.
const IN_ERROR: &str = "entered-in-error";

/// The elements of one resource that nobody has asked for yet.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    left: BTreeMap<String, &'a RawValue>,
    lost: BTreeSet<String>,
}

impl<'a> Fields<'a> {
    /// Opens a resource; refuses one whose meaning may differ from what its elements say.
    pub(crate) fn of(json: &'a RawValue) -> Result<Self, Refusal> {
        let mut left: BTreeMap<String, &'a RawValue> = serde_json::from_str(json.get())
            .map_err(|_| Refusal::not_json("the resource is not a JSON object"))?;
        let mut lost = BTreeSet::new();
        // Such a narrative says what no other element does.
        if left.get("text").is_some_and(|text| is_additional(text)) {
            lost.insert("text (additional)".to_owned());
        }
        for name in TECHNICAL {
            left.remove(name);
        }
        for name in MODIFYING {
            if left.contains_key(name) {
                return Err(modified(name));
            }
        }
        Ok(Self { left, lost })
    }

    /// Takes an element; parts of it that `T` does not know are noted as not carried, and one that
    /// may change its meaning refuses the resource.
    pub(crate) fn take<T: Deserialize<'a>>(&mut self, name: &str) -> Result<Option<T>, Refusal> {
        let Some(raw) = self.left.remove(name) else { return Ok(None) };
        let mut lost = Vec::new();
        let mut json = serde_json::Deserializer::from_str(raw.get());
        let value = serde_ignored::deserialize(&mut json, |path| lost.push(path.to_string()))
            .map_err(|_| Refusal::malformed(name))?;
        for path in lost {
            let path = format!("{name}.{}", without_indices(&path));
            if path.ends_with(".modifierExtension") {
                return Err(modified(&path));
            }
            self.lose(&path);
        }
        Ok(Some(value))
    }

    /// Takes a repeating element.
    pub(crate) fn list<T: Deserialize<'a>>(&mut self, name: &str) -> Result<Vec<T>, Refusal> {
        Ok(self.take::<Vec<T>>(name)?.unwrap_or_default())
    }

    /// Takes a text, code or date; empty if absent.
    pub(crate) fn text(&mut self, name: &str) -> Result<String, Refusal> {
        Ok(self.take::<String>(name)?.unwrap_or_default())
    }

    /// Takes a concept.
    pub(crate) fn concept(&mut self, name: &str) -> Result<Option<v1::CodeableConcept>, Refusal> {
        Ok(self.take::<CodeableConcept>(name)?.and_then(|concept| self.whole(name, concept)))
    }

    /// Takes a list of concepts.
    pub(crate) fn concepts(&mut self, name: &str) -> Result<Vec<v1::CodeableConcept>, Refusal> {
        let all = self.list::<CodeableConcept>(name)?.into_iter();
        Ok(all.filter_map(|concept| self.whole(name, concept)).collect())
    }

    /// A concept as an entry has it, if it says anything. There a coding has a system and a code: of
    /// one that lacks either the words are kept when there are no others.
    pub(crate) fn whole(
        &mut self,
        at: &str,
        concept: impl Into<v1::CodeableConcept>,
    ) -> Option<v1::CodeableConcept> {
        let concept = concept.into();
        let (coding, partial): (Vec<_>, Vec<_>) = concept.coding.into_iter().partition(is_whole);
        if !partial.is_empty() {
            self.lose(&format!("{at}.coding (without system or code)"));
        }
        let mut text = concept.text;
        if text.is_empty() && coding.is_empty() {
            let words = partial.into_iter().flat_map(|coding| [coding.display, coding.code]);
            text = words.into_iter().find(|words| !words.is_empty()).unwrap_or_default();
        }
        (!text.is_empty() || !coding.is_empty()).then_some(v1::CodeableConcept { coding, text })
    }

    /// An amount as an entry has it, if it says how much.
    pub(crate) fn amount(&mut self, at: &str, from: Quantity) -> Option<v1::Quantity> {
        if from.value.is_none() {
            self.lose(&format!("{at} (without value)"));
            return None;
        }
        Some(from.into())
    }

    /// Takes an amount.
    pub(crate) fn quantity(&mut self, name: &str) -> Result<Option<v1::Quantity>, Refusal> {
        Ok(self.take::<Quantity>(name)?.and_then(|quantity| self.amount(name, quantity)))
    }

    /// The actor that a reference names, if it names one; what else it says of them is noted.
    pub(crate) fn actor(&mut self, at: &str, from: Reference) -> Option<v1::Actor> {
        let reference = from.reference.as_deref();
        let said = |kind: &str| reference.is_some_and(|it| it.contains(&format!("{kind}/")));
        if from.kind.as_deref().is_some_and(|kind| !said(kind)) {
            self.lose(&format!("{at}.type"));
        }
        let number = from.identifier.as_ref();
        if number.is_some_and(|number| reference.is_some() || number.value.is_none()) {
            self.lose(&format!("{at}.identifier"));
        }
        from.actor()
    }

    /// Takes an actor.
    pub(crate) fn take_actor(&mut self, name: &str) -> Result<Option<v1::Actor>, Refusal> {
        Ok(self.take::<Reference>(name)?.and_then(|reference| self.actor(name, reference)))
    }

    /// Takes a list of actors.
    pub(crate) fn actors(&mut self, name: &str) -> Result<Vec<v1::Actor>, Refusal> {
        let all = self.list::<Reference>(name)?.into_iter();
        Ok(all.filter_map(|reference| self.actor(name, reference)).collect())
    }

    /// Takes a concept that has room for one only: the first; the others are noted.
    pub(crate) fn first_concept(
        &mut self,
        name: &str,
    ) -> Result<Option<v1::CodeableConcept>, Refusal> {
        let mut all = self.concepts(name)?.into_iter();
        let first = all.next();
        if all.next().is_some() {
            self.lose(&format!("{name} (second and later)"));
        }
        Ok(first)
    }

    /// Takes a status that FHIR gives as a concept of a required binding: its code.
    pub(crate) fn status_concept(&mut self, name: &str) -> Result<String, Refusal> {
        let Some(concept) = self.take::<CodeableConcept>(name)? else { return Ok(String::new()) };
        let mut coded = concept.coding.into_iter().filter(|coding| coding.code.is_some());
        let first = coded.next().unwrap_or_default();
        if coded.next().is_some() {
            self.lose(&format!("{name}.coding (second and later)"));
        }
        self.lose_text(name, concept.text.as_deref(), &first);
        Ok(first.code.unwrap_or_default())
    }

    /// Notes the words of a concept of which a coding is kept, unless that says the same.
    pub(crate) fn lose_text(&mut self, at: &str, text: Option<&str>, kept: &Coding) {
        let Some(text) = text else { return };
        let mut said = kept.display.iter().chain(&kept.code);
        if !said.any(|said| said.eq_ignore_ascii_case(text)) {
            self.lose(&format!("{at}.text"));
        }
    }

    /// Takes a choice of date and period.
    pub(crate) fn effective(
        &mut self,
        at: &str,
        during: &str,
    ) -> Result<Option<v1::Effective>, Refusal> {
        use v1::effective::Value;
        let at = self.take::<String>(at)?.map(Value::At);
        let during = self.take::<Period>(during)?.map(|period| Value::During(period.into()));
        Ok(at.or(during).map(|value| v1::Effective { value: Some(value) }))
    }

    /// The first element left over whose name begins so.
    pub(crate) fn left_with_prefix(&self, prefix: &str) -> Option<&str> {
        self.left.keys().map(String::as_str).find(|name| name.starts_with(prefix))
    }

    /// Whether its source says that the resource was entered in error.
    pub(crate) fn is_in_error(&self) -> bool {
        let is_text = |name: &str| {
            let raw = self.left.get(name);
            let text = raw.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
            text.as_deref() == Some(IN_ERROR)
        };
        let verified = self.left.get("verificationStatus");
        let verified = verified
            .and_then(|raw| serde_json::from_str::<CodeableConcept>(raw.get()).ok())
            .unwrap_or_default();
        let mut codes = verified.coding.iter().map(|coding| coding.code.as_deref());
        is_text("status") || is_text("docStatus") || codes.any(|code| code == Some(IN_ERROR))
    }

    /// Drops everything, because nothing of the resource is to be on file.
    pub(crate) fn forget(&mut self) {
        self.left.clear();
        self.lost.clear();
    }

    /// Notes a part that has no place in an entry.
    pub(crate) fn lose(&mut self, path: &str) {
        self.lost.insert(path.to_owned());
    }

    /// Drops the notes about parts of an element, because the caller names them better.
    pub(crate) fn forget_parts_of(&mut self, name: &str) {
        let prefix = format!("{name}.");
        self.lost.retain(|path| !path.starts_with(&prefix));
    }

    /// Everything that was not carried: whole elements left over, and parts noted.
    pub(crate) fn not_carried(mut self) -> Vec<String> {
        self.lost.extend(self.left.into_keys());
        self.lost.into_iter().collect()
    }
}

/// Whether a coding says which code of which system it is.
fn is_whole(coding: &v1::Coding) -> bool {
    !coding.system.is_empty() && !coding.code.is_empty()
}

/// Whether a narrative holds more than what was generated from the other elements.
fn is_additional(text: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Narrative {
        status: String,
    }
    serde_json::from_str::<Narrative>(text.get()).is_ok_and(|it| it.status == "additional")
}

/// Something that may turn around what a resource says.
pub(crate) fn modified(path: &str) -> Refusal {
    Refusal::new(
        "MODIFIER_NOT_UNDERSTOOD",
        path,
        format!("`{path}` may change what the resource says and is not understood"),
    )
}

/// "0.doseAndRate.?.1.rate" → "doseAndRate.rate": where in the structure, not which one.
fn without_indices(path: &str) -> String {
    let part = |part: &&str| *part != "?" && part.parse::<u64>().is_err();
    path.split('.').filter(part).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn what_is_not_asked_for_is_named() {
        let json = raw(
            r#"{"resourceType":"X","id":"1","code":{"text":"a","coding":[{"system":"s","code":"b","userSelected":true}]},
                "stage":[{"type":{}}],"_birthDate":{}}"#,
        );
        let mut fields = Fields::of(&json).unwrap();
        assert_eq!(fields.concept("code").unwrap().unwrap().text, "a");
        assert_eq!(fields.not_carried(), ["_birthDate", "code.coding.userSelected", "stage"]);
    }

    #[test]
    fn a_narrative_that_says_more_than_the_elements_is_named() {
        let cases: [(&str, &[&str]); 2] =
            [("additional", &["text (additional)"]), ("generated", &[])];
        for (status, lost) in cases {
            let json = raw(&format!(r#"{{"text":{{"status":"{status}","div":"x"}}}}"#));
            assert_eq!(Fields::of(&json).unwrap().not_carried(), lost, "{status}");
        }
    }

    #[test]
    fn a_modifier_refuses_the_resource() {
        let json = raw(r#"{"resourceType":"X","modifierExtension":[{"url":"negated"}]}"#);
        assert_eq!(Fields::of(&json).unwrap_err().code, "MODIFIER_NOT_UNDERSTOOD");
    }

    #[test]
    fn a_malformed_element_is_named_without_its_content() {
        let json = raw(r#"{"birthDate":{"secret":"x"}}"#);
        let refusal = Fields::of(&json).unwrap().text("birthDate").unwrap_err();
        assert_eq!((refusal.code, refusal.field.as_str()), ("MALFORMED_ELEMENT", "birthDate"));
        assert!(!refusal.text.contains("secret"));
    }
}
