//! Reviews of emergency accesses.

use crate::mirror::{Text, mirror_struct};

mirror_struct! {
    BreakGlassReview<'a> = domain::BreakGlassReview {
        person: Text<'a>,
        verdict: Text<'a>,
        text: Text<'a>,
    }
}
