//! Texts that policies compare a kind of entry or a relationship with, and that there are not: such a
//! policy would permit or forbid nothing, and nobody would notice.

use cedar_policy::Policy;
use domain::Kind;
use serde_json::Value;

use crate::facts::relationships;

/// What there is of something that policies compare texts with.
struct Known {
    of: &'static str,
    attribute: &'static str,
    what: &'static str,
    names: Vec<&'static str>,
}

/// What is wrong with each text that a policy compares so: the text, and what to tell.
pub(super) fn unknown(policy: &Policy) -> Vec<(String, String)> {
    let known = [
        Known {
            of: "resource",
            attribute: "kind",
            what: "kind of entry",
            names: Kind::ALL.iter().map(|kind| kind.name()).collect(),
        },
        Known {
            of: "context",
            attribute: "relationship",
            what: "relationship",
            names: relationships().collect(),
        },
    ];
    let Ok(policy) = policy.to_json() else { return Vec::new() };
    let mut wrong = Vec::new();
    for known in known {
        let texts = compared(&policy, &known);
        let texts = texts.into_iter().filter(|text| !known.names.contains(&text.as_str()));
        wrong.extend(texts.map(|text| {
            let Known { what, names, .. } = &known;
            let told = format!("there is no {what} {text}; there are {}", names.join(", "));
            (text, told)
        }));
    }
    wrong
}

/// Every text that an attribute is compared with, in Cedar's JSON form: by ==, != and contains.
fn compared(policy: &Value, known: &Known) -> Vec<String> {
    let is_it = |side: &Value| {
        side.pointer("/./left/Var").is_some_and(|of| of == known.of)
            && side.pointer("/./attr").is_some_and(|attribute| attribute == known.attribute)
    };
    let (mut texts, mut within) = (Vec::new(), vec![policy]);
    while let Some(value) = within.pop() {
        match value {
            Value::Array(items) => within.extend(items),
            Value::Object(members) => {
                for (name, member) in members {
                    within.push(member);
                    let sides = member.get("left").zip(member.get("right"));
                    let Some((left, right)) = sides else { continue };
                    match name.as_str() {
                        "==" | "!=" if is_it(left) => texts.extend(text(right)),
                        "==" | "!=" if is_it(right) => texts.extend(text(left)),
                        "contains" if is_it(right) => {
                            let items = left.get("Set").and_then(Value::as_array);
                            texts.extend(items.into_iter().flatten().filter_map(text));
                        }
                        _ => {}
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    texts
}

fn text(value: &Value) -> Option<String> {
    value.get("Value")?.as_str().map(ToOwned::to_owned)
}
