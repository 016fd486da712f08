//! Ids of patient files and entries: 16 random or derived bytes, never a name or hospital number.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// Sixteen zero bytes: "not assigned yet".
            pub const ZERO: Self = Self([0; 16]);
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

id! {
    /// One patient file: the ledger's subject id, 128 random bits.
    PatientId
}

id! {
    /// One entry of a patient file. Unique within the file and fixed for the entry's whole life,
    /// whatever is amended.
    EntryId
}

id! {
    /// One document that is about no patient. Unique within its register.
    DocumentId
}
