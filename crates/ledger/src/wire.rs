//! The part of the postcard format that headers and blocks use, read strictly and without copies.
//!
//! postcard itself accepts a number written with needless bytes; a hash then covers bytes that
//! decoding and encoding would change. This reader refuses them while reading, which makes a second
//! encoding for comparison unnecessary (it would cost as much as the rest of apply). Tests compare
//! what is written here with what postcard writes.

/// The bytes are not the canonical encoding of anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Reads from the front of a slice.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        let (&first, rest) = self.rest.split_first().ok_or(Malformed)?;
        self.rest = rest;
        Ok(first)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (&first, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(first)
    }

    /// A little-endian base-128 number in the fewest bytes.
    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit; a final zero byte is needless.
            if (shift == 63 && byte > 1) || (shift > 0 && byte == 0) {
                return Err(Malformed);
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.u64()?).map_err(|_| Malformed)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        u16::try_from(self.u64()?).map_err(|_| Malformed)
    }

    /// How many elements follow. Each takes at least `smallest` bytes, so that a claimed length
    /// never reserves more memory than the message itself takes.
    pub(crate) fn count(&mut self, smallest: usize) -> Result<usize, Malformed> {
        let count = usize::try_from(self.u64()?).map_err(|_| Malformed)?;
        let needed = count.checked_mul(smallest).ok_or(Malformed)?;
        if needed > self.remaining() { Err(Malformed) } else { Ok(count) }
    }

    /// Bytes preceded by their number.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let count = self.count(1)?;
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or(Malformed)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Nothing may be left over.
    pub(crate) fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

/// Writes a number as [`Reader::u64`] reads it.
pub(crate) fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(low_bits(value) | 0x80);
        value >>= 7;
    }
    out.push(low_bits(value));
}

/// Writes bytes preceded by their number.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// How many bytes [`put_number`] writes: one for each seven bits begun.
pub(crate) const fn number_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// How many bytes [`put_bytes`] writes for `len` bytes.
pub(crate) const fn bytes_len(len: usize) -> usize {
    number_len(len as u64) + len
}

const fn low_bits(value: u64) -> u8 {
    let [low, ..] = value.to_le_bytes();
    low & 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_are_postcards(value: u64, shift in 0_u32..64) {
            let value = value >> shift;
            let mut out = Vec::new();
            put_number(&mut out, value);
            prop_assert_eq!(&out, &postcard::to_allocvec(&value).unwrap());
            prop_assert_eq!(out.len(), number_len(value));
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.u64(), Ok(value));
            prop_assert_eq!(reader.finish(), Ok(()));
        }

        #[test]
        fn whatever_reads_writes_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            let mut reader = Reader::new(&bytes);
            if let Ok(value) = reader.u64() {
                let mut out = Vec::new();
                put_number(&mut out, value);
                prop_assert_eq!(out.as_slice(), &bytes[..bytes.len() - reader.remaining()]);
            }
        }
    }

    #[test]
    fn needless_bytes_and_overflow_are_refused() {
        for bad in [&[0x80, 0x00][..], &[0xff; 10], &[0x80], &[]] {
            assert_eq!(Reader::new(bad).u64(), Err(Malformed), "{bad:?}");
        }
        assert_eq!(Reader::new(&[0x80, 0x80, 0x04]).u16(), Err(Malformed));
        assert_eq!(Reader::new(&[0xff, 0xff, 0x03]).u16(), Ok(u16::MAX));
    }

    #[test]
    fn a_claimed_length_reserves_nothing() {
        let mut reader = Reader::new(&[0xff, 0xff, 0xff, 0x7f, 1, 2, 3]);
        assert_eq!(reader.count(33), Err(Malformed));
        assert_eq!(Reader::new(&[4, 1, 2, 3]).bytes(), Err(Malformed));
    }
}
