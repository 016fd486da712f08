//! Stored structs mirror domain types field by field: borrowed when written, owned when read.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use crate::error::DecodeError;

/// A stored form and the type that it mirrors.
pub(crate) trait Mirror<'a>: Sized {
    /// The mirrored type.
    type Plain: 'a;

    /// The stored form; texts are borrowed.
    fn of(plain: &'a Self::Plain) -> Self;

    /// The mirrored value; an error if the stored form holds what the type cannot.
    fn back(self) -> Result<Self::Plain, DecodeError>;
}

/// A text.
pub(crate) type Text<'a> = Cow<'a, str>;

impl<'a> Mirror<'a> for Text<'a> {
    type Plain = String;

    fn of(plain: &'a String) -> Self {
        Cow::Borrowed(plain)
    }

    fn back(self) -> Result<String, DecodeError> {
        Ok(self.into_owned())
    }
}

macro_rules! same {
    ($($type:ty),+) => {$(
        impl<'a> Mirror<'a> for $type {
            type Plain = Self;

            fn of(plain: &'a Self) -> Self {
                *plain
            }

            fn back(self) -> Result<Self, DecodeError> {
                Ok(self)
            }
        }
    )+};
}

same!(bool, i32, u16, u32, u64, [u8; 16], [u8; 32]);

impl<'a, M: Mirror<'a>> Mirror<'a> for Option<M> {
    type Plain = Option<M::Plain>;

    fn of(plain: &'a Self::Plain) -> Self {
        plain.as_ref().map(M::of)
    }

    fn back(self) -> Result<Self::Plain, DecodeError> {
        self.map(M::back).transpose()
    }
}

impl<'a, M: Mirror<'a>> Mirror<'a> for Vec<M> {
    type Plain = Vec<M::Plain>;

    fn of(plain: &'a Self::Plain) -> Self {
        plain.iter().map(M::of).collect()
    }

    fn back(self) -> Result<Self::Plain, DecodeError> {
        self.into_iter().map(M::back).collect()
    }
}

/// Bytes, stored as a length and the bytes in one piece.
pub(crate) struct Bytes<'a>(pub(crate) Cow<'a, [u8]>);

impl<'a> Mirror<'a> for Bytes<'a> {
    type Plain = Vec<u8>;

    fn of(plain: &'a Vec<u8>) -> Self {
        Self(Cow::Borrowed(plain))
    }

    fn back(self) -> Result<Vec<u8>, DecodeError> {
        Ok(self.0.into_owned())
    }
}

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ToBytes;

        impl Visitor<'_> for ToBytes {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }

        deserializer.deserialize_bytes(ToBytes).map(|bytes| Self(Cow::Owned(bytes)))
    }
}

/// Declares a stored struct and its way from and to the type that it mirrors. The order of the
/// fields is the format. Fields that the type has got since stand behind a semicolon, each with what
/// it is where there is no more than this.
macro_rules! mirror_struct {
    (
        $(#[$doc:meta])*
        $name:ident<$a:lifetime> = $plain:ty {
            $($field:ident: $type:ty,)+ $(; $($since:ident = $without:expr,)+)?
        }
    ) => {
        $(#[$doc])*
        #[derive(serde::Serialize, serde::Deserialize)]
        pub(crate) struct $name<$a> { $($field: $type,)+ }

        impl<$a> $crate::mirror::Mirror<$a> for $name<$a> {
            type Plain = $plain;

            fn of(plain: &$a $plain) -> Self {
                Self { $($field: $crate::mirror::Mirror::of(&plain.$field),)+ }
            }

            fn back(self) -> Result<$plain, $crate::error::DecodeError> {
                type Plain = $plain;
                Ok(Plain {
                    $($field: $crate::mirror::Mirror::back(self.$field)?,)+
                    $($($since: $without,)+)?
                })
            }
        }
    };
}

/// Declares a stored enum of variants with at most one value, as [`mirror_struct`] does a struct.
/// The order of the variants is the format.
macro_rules! mirror_enum {
    (
        $(#[$doc:meta])*
        $name:ident<$a:lifetime> = $plain:ty {
            $($variant:ident $(($value:ident: $type:ty))?,)+
        }
    ) => {
        $(#[$doc])*
        #[derive(serde::Serialize, serde::Deserialize)]
        pub(crate) enum $name<$a> {
            $($variant $(($type))?,)+
            /// Never written: gives the lifetime a use where no variant has one.
            #[serde(skip)]
            #[expect(dead_code, reason = "see its comment")]
            Never(std::convert::Infallible, std::marker::PhantomData<&$a ()>),
        }

        impl<$a> $crate::mirror::Mirror<$a> for $name<$a> {
            type Plain = $plain;

            fn of(plain: &$a $plain) -> Self {
                type Plain = $plain;
                match plain {
                    $(Plain::$variant $(($value))? => {
                        Self::$variant $(($crate::mirror::Mirror::of($value)))?
                    })+
                }
            }

            fn back(self) -> Result<$plain, $crate::error::DecodeError> {
                type Plain = $plain;
                match self {
                    $(Self::$variant $(($value))? => {
                        Ok(Plain::$variant $(($crate::mirror::Mirror::back($value)?))?)
                    })+
                    Self::Never(never, _) => match never {},
                }
            }
        }
    };
}

pub(crate) use {mirror_enum, mirror_struct};
