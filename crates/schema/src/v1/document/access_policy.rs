//! Access policies.

use crate::mirror::{Text, mirror_struct};

mirror_struct! {
    AccessPolicy<'a> = domain::AccessPolicy {
        status: Text<'a>,
        text: Text<'a>,
    }
}
