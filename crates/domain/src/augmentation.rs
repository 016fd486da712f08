//! What an augmentation may do: fill what is empty and add to lists, and nothing else.

use crate::entry::Override;
use crate::id::EntryId;
use crate::identity::Deceased;
use crate::value::{
    Actor, Address, CodeableConcept, Coding, ContactPoint, Decimal, Effective, FhirDateTime,
    HumanName, Identifier, Period, Quantity, SourceId,
};

/// Whether a value says all that another said, and perhaps more.
pub(crate) trait Adds {
    /// Nothing that `before` says is changed or taken away.
    fn adds_to(&self, before: &Self) -> bool;
}

impl Adds for String {
    fn adds_to(&self, before: &Self) -> bool {
        before.is_empty() || self == before
    }
}

impl<T: Adds> Adds for Option<T> {
    fn adds_to(&self, before: &Self) -> bool {
        match (self, before) {
            (_, None) => true,
            (Some(now), Some(before)) => now.adds_to(before),
            (None, Some(_)) => false,
        }
    }
}

/// The earlier items are still there, in their order: it may mean something.
impl<T: Adds> Adds for Vec<T> {
    fn adds_to(&self, before: &Self) -> bool {
        let mut rest = self.iter();
        before.iter().all(|item| rest.any(|now| now.adds_to(item)))
    }
}

/// Values that say one thing: whatever differs is a change. To a quantity nothing can be added
/// either, for a comparator or a unit makes another amount of it.
macro_rules! whole {
    ($($type:ty),+ $(,)?) => {
        $(impl Adds for $type {
            fn adds_to(&self, before: &Self) -> bool {
                self == before
            }
        })+
    };
}

whole!(bool, u32, EntryId, FhirDateTime, Decimal, Deceased, Quantity, SourceId, Override);

/// A type adds when each of its fields does. Every field must be listed: the destructuring fails to
/// compile otherwise.
macro_rules! adds {
    ($type:ident { $($field:ident),+ $(,)? }) => {
        impl $crate::augmentation::Adds for $type {
            fn adds_to(&self, before: &Self) -> bool {
                let Self { $($field),+ } = self;
                true $(&& $crate::augmentation::Adds::adds_to($field, &before.$field))+
            }
        }
    };
}

pub(crate) use adds;

adds!(Coding { system, version, code, display });
adds!(CodeableConcept { coding, text });
adds!(Period { start, end });
adds!(Actor { reference, display });
adds!(Identifier { system, value, r#use, kind, period });
adds!(HumanName { r#use, text, family, given, prefix, suffix, period });
adds!(Address { r#use, line, city, district, state, postal_code, country, text, period });
adds!(ContactPoint { system, value, r#use, rank, period });

impl Adds for Effective {
    fn adds_to(&self, before: &Self) -> bool {
        match (self, before) {
            (Self::During(now), Self::During(before)) => now.adds_to(before),
            (Self::At(_) | Self::During(_), Self::At(_) | Self::During(_)) => self == before,
        }
    }
}
