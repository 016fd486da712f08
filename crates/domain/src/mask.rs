//! Field masks: which fields a change replaces.

use crate::finding::{Finding, code};
use crate::report::{Path, Report};

/// Writes the field list of a type, what a mask does with it and when it only adds. Every field must be listed, as
/// maskable or as fixed: the destructuring fails to compile otherwise.
macro_rules! masked {
    ($type:ident { $($field:ident),+ $(,)? } fixed { $($fixed:ident),* }) => {
        impl $type {
            /// Every field that a mask may name, in order.
            pub const FIELDS: &'static [&'static str] = &[$(stringify!($field),)+];

            /// Replaces the fields that the mask names.
            pub(crate) fn replace(&mut self, mask: &[String], new: &Self) {
                for name in mask {
                    match name.as_str() {
                        $(stringify!($field) => self.$field.clone_from(&new.$field),)+
                        _ => {}
                    }
                }
            }

            /// The fields that differ, in order; fixed ones do not count.
            pub(crate) fn differing(&self, other: &Self) -> Vec<String> {
                let Self { $($field,)+ $($fixed: _,)* } = self;
                let mut names = Vec::new();
                $(if *$field != other.$field {
                    names.push(stringify!($field).to_owned());
                })+
                names
            }
        }

        impl $crate::augmentation::Adds for $type {
            /// Fixed fields do not count.
            fn adds_to(&self, before: &Self) -> bool {
                let Self { $($field,)+ $($fixed: _,)* } = self;
                true $(&& $crate::augmentation::Adds::adds_to($field, &before.$field))+
            }
        }
    };
}

pub(crate) use masked;

/// What is wrong with a mask.
pub(crate) fn check(mask: &[String], fields: &[&str]) -> Vec<Finding> {
    let mut report = Report::default();
    let at = Path::Root("mask");
    if mask.is_empty() {
        report.violation(&at, code::BAD_MASK, "name the fields to change");
    }
    if mask.iter().any(|name| !fields.contains(&name.as_str())) {
        let text = format!("use only these: {}", fields.join(", "));
        report.violation(&at, code::BAD_MASK, text);
    }
    report.finish("mask")
}
