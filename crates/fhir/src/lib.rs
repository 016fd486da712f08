//! FHIR R4 JSON to items of `ImportService`: what other systems exported, in our words.
//!
//! An import reads its files four times, which is far quicker than filing them: once to learn who
//! is who ([`Importer::learn`]), then for each [`Phase`], so that patients are on file before
//! their encounters, and these before what refers to them. Every resource ends in exactly one of
//! three ways, so that counts add up: an item to send, a [`Refusal`] with a stable code, or "not
//! imported" because it is not something that a patient file holds.
//!
//! Exactness: numbers and dates are carried as the text they were written in; what has no place in
//! an entry is never dropped silently, but named in [`Mapped::not_carried`]; a modifier extension,
//! whose meaning could turn a statement around, refuses the resource.
//!
//! This crate is deliberately not a FHIR validator: codes, statuses and dates are judged by the
//! server, the same for every client. It knows neither network nor domain rules. `cli` builds on
//! it.

mod directory;
mod fields;
mod importer;
mod json;
mod kind;
mod patient;
mod read;
mod refusal;

pub use importer::{Importer, MAX_ITEM, Mapped, Outcome};
pub use read::{Found, Phase, Place, Resource, Resources, Skip, read};
pub use refusal::Refusal;
