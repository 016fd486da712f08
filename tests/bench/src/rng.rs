//! Chance that can be repeated: the same seed, the same patients, the same order of calls.

use std::sync::atomic::{AtomicU64, Ordering};

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    /// A sequence of its own for each seed.
    pub(crate) fn seeded(seed: u64) -> Self {
        // Mixed once, or the sequences of neighbouring seeds would be one, a step apart.
        Self(Self(seed).next())
    }

    /// A sequence that no other caller of this process has.
    pub(crate) fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1 << 63);
        Self::seeded(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A place in a list of this length, 0 for an empty one.
    pub(crate) fn below(&mut self, length: usize) -> usize {
        let length = u64::try_from(length).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % length).unwrap_or(0)
    }

    /// One of these, if there is one.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }

    /// A random UUID as text.
    pub(crate) fn uuid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            low >> 52,
            low & 0xffff_ffff_ffff
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn neighbouring_seeds_share_nothing() {
        let draw = |seed| {
            let mut rng = Rng::seeded(seed);
            (0..1_000).map(move |_| rng.next())
        };
        let all: BTreeSet<u64> = (0..100).flat_map(draw).collect();
        assert_eq!(all.len(), 100_000);
        assert!(draw(7).eq(draw(7)));
        assert_ne!(Rng::fresh().uuid(), Rng::fresh().uuid());
    }
}
