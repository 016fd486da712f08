//! Identifiers and hashes: fixed-width byte strings that are compared, hashed and printed as hex.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A text that is not an identifier of the expected kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text has another length or holds something else than hexadecimal digits.
    #[error("expected {digits} hexadecimal digits")]
    NotHex {
        /// How many digits the identifier has.
        digits: usize,
    },
    /// The text is not `kind.shard.period`.
    #[error("expected a ledger as KIND.SHARD.PERIOD with kind records or access")]
    NotALedger,
}

macro_rules! byte_string {
    ($(#[$doc:meta])* $name:ident, $size:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub [u8; $size]);

        impl $name {
            /// All bytes zero: stands for "none" where the format has no optional field.
            pub const ZERO: Self = Self([0; $size]);
            /// Length in bytes.
            pub const SIZE: usize = $size;

            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $size] {
                &self.0
            }

            /// Reads exactly as many bytes as the identifier has; none for any other length.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let mut bytes = [0; $size];
                hex::decode_to_slice(text, &mut bytes)
                    .map_err(|_| IdError::NotHex { digits: 2 * $size })?;
                Ok(Self(bytes))
            }
        }

        impl From<[u8; $size]> for $name {
            fn from(bytes: [u8; $size]) -> Self {
                Self(bytes)
            }
        }
    };
}

byte_string!(
    /// What records are about: a patient file, a registry bucket, the system. 128 random bits (a
    /// keyed hash for registry buckets alone), never a name or a hospital number.
    SubjectId,
    16
);
byte_string!(
    /// One running `caseledgerd`. 128 random bits.
    NodeId,
    16
);
byte_string!(
    /// The pseudonym of who acted; the person behind it stands only in encrypted bodies.
    ActorId,
    16
);
byte_string!(
    /// One record. The bytes of a UUIDv7, see [`RecordId::new`].
    RecordId,
    16
);
byte_string!(
    /// One data key. 128 random bits; zero in control records, whose bodies are clear.
    KeyId,
    16
);
byte_string!(
    /// A SHA-256 digest.
    Hash,
    32
);
byte_string!(
    /// One contribution: see [`ContributionId::of_request`]; random for access contributions.
    ContributionId,
    32
);

impl RecordId {
    /// A UUIDv7 (RFC 9562 §5.7) from milliseconds since the Unix epoch and ten random bytes.
    #[must_use]
    pub const fn new(unix_ms: u64, random: [u8; 10]) -> Self {
        let [_, _, t0, t1, t2, t3, t4, t5] = unix_ms.to_be_bytes();
        let [a0, a1, b0, b1, b2, b3, b4, b5, b6, b7] = random;
        let (version, variant) = (0x70 | (a0 & 0x0f), 0x80 | (b0 & 0x3f));
        Self([t0, t1, t2, t3, t4, t5, version, a1, variant, b1, b2, b3, b4, b5, b6, b7])
    }
}

impl Hash {
    /// SHA-256 of the bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// SHA-256(label ‖ parts), `LENGTH` bytes in all: in one piece, for a tree hashes millions of these.
    pub(crate) fn labelled<const LENGTH: usize>(label: u8, parts: &[&[u8]]) -> Self {
        debug_assert_eq!(LENGTH, 1 + parts.iter().map(|part| part.len()).sum::<usize>());
        let mut bytes = [label; LENGTH];
        let mut rest = bytes.get_mut(1..).unwrap_or_default();
        for part in parts {
            let (to, after) = rest.split_at_mut(part.len());
            to.copy_from_slice(part);
            rest = after;
        }
        Self::of(&bytes)
    }
}

impl ContributionId {
    /// The id of a write: a retry under the same request id by the same service for the same person
    /// is the same contribution, whatever it carries.
    ///
    /// SHA-256("caseledger/contribution/v1" ‖ service ‖ person ‖ request id), each part preceded by
    /// its length in bytes as u32 big-endian. A service acting alone has an empty `person`.
    #[must_use]
    pub fn of_request(service: &str, person: &str, request_id: &str) -> Self {
        let mut digest = Sha256::new();
        digest.update(b"caseledger/contribution/v1");
        for part in [service, person, request_id] {
            // A part of 4 GiB or more never reaches this crate (gRPC messages end at 4 MiB).
            digest.update(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            digest.update(part.as_bytes());
        }
        Self(digest.finalize().into())
    }
}

/// What a ledger records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LedgerKind {
    /// Changes of files. Its chains are the subjects' records.
    Records = 1,
    /// Who was shown or denied what. Its chains are the nodes' records.
    Access = 2,
}

impl LedgerKind {
    /// `records` or `access`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Access => "access",
        }
    }
}

/// One ledger. Shard and period are part of the name so that a later shard or a closed year is a
/// new ledger and not a new format.
///
/// Five bytes everywhere: kind (1 records, 2 access), shard u16 big-endian, period u16 big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "[u8; 5]", try_from = "[u8; 5]")]
pub struct LedgerId {
    /// What it records.
    pub kind: LedgerKind,
    /// Shard, 0 until there is more than one.
    pub shard: u16,
    /// Period, 0 until a year is closed.
    pub period: u16,
}

impl LedgerId {
    /// The ledger of changes, first shard and period.
    pub const RECORDS: Self = Self { kind: LedgerKind::Records, shard: 0, period: 0 };
    /// The ledger of accesses, first shard and period.
    pub const ACCESS: Self = Self { kind: LedgerKind::Access, shard: 0, period: 0 };
    /// Length in bytes.
    pub const SIZE: usize = 5;

    /// The five bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 5] {
        let [s0, s1] = self.shard.to_be_bytes();
        let [p0, p1] = self.period.to_be_bytes();
        [self.kind as u8, s0, s1, p0, p1]
    }

    /// Reads the five bytes; none when the kind is unknown.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 5]) -> Option<Self> {
        let [kind, s0, s1, p0, p1] = bytes;
        let kind = match kind {
            1 => LedgerKind::Records,
            2 => LedgerKind::Access,
            _ => return None,
        };
        let (shard, period) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([p0, p1]));
        Some(Self { kind, shard, period })
    }
}

impl From<LedgerId> for [u8; 5] {
    fn from(ledger: LedgerId) -> Self {
        ledger.to_bytes()
    }
}

impl TryFrom<[u8; 5]> for LedgerId {
    type Error = IdError;

    fn try_from(bytes: [u8; 5]) -> Result<Self, IdError> {
        Self::from_bytes(bytes).ok_or(IdError::NotALedger)
    }
}

impl fmt::Display for LedgerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.kind.name(), self.shard, self.period)
    }
}

impl FromStr for LedgerId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let mut parts = text.split('.');
        let (Some(kind), Some(shard), Some(period), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(IdError::NotALedger);
        };
        let kind = match kind {
            "records" => LedgerKind::Records,
            "access" => LedgerKind::Access,
            _ => return Err(IdError::NotALedger),
        };
        let number = |digits: &str| digits.parse().map_err(|_| IdError::NotALedger);
        let ledger = Self { kind, shard: number(shard)?, period: number(period)? };
        // One spelling only: "+1" and "01" parse as numbers.
        if ledger.to_string() == text { Ok(ledger) } else { Err(IdError::NotALedger) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_round_trip_and_refusals() {
        let id = SubjectId([0xab; 16]);
        assert_eq!(id.to_string(), "ab".repeat(16));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("ab".parse::<SubjectId>(), Err(IdError::NotHex { digits: 32 }));
        assert_eq!("zz".repeat(32).parse::<Hash>(), Err(IdError::NotHex { digits: 64 }));
    }

    #[test]
    fn record_id_is_a_uuid_v7() {
        // The example of RFC 9562, appendix A.6.
        let random = [0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f];
        let id = RecordId::new(0x017F_22E2_79B0, random);
        assert_eq!(id.to_string(), "017f22e279b07cc398c4dc0c0c07398f");
    }

    #[test]
    fn ledger_names_have_one_spelling() {
        let ledger = LedgerId { kind: LedgerKind::Access, shard: 3, period: 2026 };
        assert_eq!(ledger.to_string(), "access.3.2026");
        assert_eq!("access.3.2026".parse(), Ok(ledger));
        assert_eq!(LedgerId::from_bytes(ledger.to_bytes()), Some(ledger));
        for bad in ["", "records", "records.0", "records.0.0.0", "records.+1.0", "records.01.0"] {
            assert_eq!(bad.parse::<LedgerId>(), Err(IdError::NotALedger), "{bad}");
        }
        assert_eq!(LedgerId::from_bytes([3, 0, 0, 0, 0]), None);
    }

    #[test]
    fn contribution_ids_keep_their_parts_apart() {
        let id = ContributionId::of_request("ab", "c", "d");
        assert_ne!(id, ContributionId::of_request("a", "bc", "d"));
        assert_ne!(id, ContributionId::of_request("ab", "cd", ""));
        assert_eq!(id, ContributionId::of_request("ab", "c", "d"));
    }
}
