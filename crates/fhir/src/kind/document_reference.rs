//! DocumentReference with its text within → Note.

use api::v1;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::{Links, first_actor};
use crate::fields::Fields;
use crate::json::{CodeableConcept, Coding, Known, Reference};
use crate::refusal::Refusal;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Content {
    attachment: Attachment,
    #[serde(rename = "format")]
    _format: Known, // says how the bytes are coded, which is undone here
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Attachment {
    content_type: Option<String>,
    data: Option<String>,
    title: Option<String>,
    // about the bytes, not about the text
    #[serde(rename = "hash")]
    _hash: Known,
    #[serde(rename = "size")]
    _size: Known,
    #[serde(rename = "language")]
    _language: Known,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Context {
    encounter: Vec<Reference>,
}

pub(super) fn entry(fields: &mut Fields<'_>, links: &mut Links<'_>) -> Result<v1::Entry, Refusal> {
    let content = fields.list::<Content>("content")?;
    let [attachment] = <[Content; 1]>::try_from(content)
        .map_err(|_| no_plain_text("does not have exactly one content"))?
        .map(|content| content.attachment);
    let text = text(&attachment)?;
    let context = fields.take::<Context>("context")?.unwrap_or_default();
    let mut encounters = context.encounter.iter();
    if let Some(encounter) = encounters.next() {
        links.encounter(fields, "context.encounter", encounter);
    }
    if encounters.next().is_some() {
        fields.lose("context.encounter (second and later)");
    }
    let labels = fields.list::<CodeableConcept>("securityLabel")?;
    if labels.iter().any(|label| label.text.is_some()) {
        fields.lose("securityLabel.text");
    }
    let written = fields.take::<String>("date")?;
    let description = fields.text("description")?;
    let title = attachment.title.unwrap_or_else(|| description.clone());
    if title != description && !description.is_empty() {
        fields.lose("description");
    }
    Ok(v1::Entry {
        status: fields.text("status")?,
        code: fields.concept("type")?,
        effective: written.map(|at| v1::Effective { value: Some(v1::effective::Value::At(at)) }),
        verifier: fields.take_actor("authenticator")?,
        labels: labels.into_iter().flat_map(|label| label.coding).map(Coding::into).collect(),
        detail: Some(v1::entry::Detail::NoteDetail(v1::Note {
            title,
            author: first_actor(fields, "author")?,
            text,
        })),
        ..Default::default()
    })
}

fn text(attachment: &Attachment) -> Result<String, Refusal> {
    let content_type = attachment.content_type.as_deref().unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("text/plain") {
        return Err(no_plain_text("is not text/plain"));
    }
    let Some(data) = &attachment.data else {
        return Err(no_plain_text("is kept elsewhere"));
    };
    // FHIR allows white space in base64Binary
    let packed: String = data.split_ascii_whitespace().collect();
    let bytes =
        STANDARD.decode(packed).map_err(|_| Refusal::malformed("content.attachment.data"))?;
    String::from_utf8(bytes).map_err(|_| no_plain_text("is not UTF-8"))
}

fn no_plain_text(why: &str) -> Refusal {
    Refusal::new(
        "NO_PLAIN_TEXT",
        "content.attachment",
        format!("the document {why}; only plain text within the resource can be carried"),
    )
}
