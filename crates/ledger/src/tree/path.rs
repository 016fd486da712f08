//! Paths of tiles and entry bundles under a log's prefix (c2sp.org/tlog-tiles).
//!
//! `tile/<level>/<number>` and `tile/entries/<number>`, the number in groups of three digits, all but
//! the last with an `x` before them: 1234067 is `x001/x234/067`. `.p/<width>` follows for one that is
//! not full.

use core::fmt;
use core::str::FromStr;

use super::{TILE_WIDTH, TileId};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TileKind {
    /// The hashes of this level: 0 to 63 in the format, of which trees of 2^64 leaves have 8.
    Hashes(u8),
    /// The entries themselves.
    Entries,
}

/// A tile or an entry bundle, full or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TilePath {
    /// What it holds.
    pub kind: TileKind,
    /// Its place, from 0.
    pub index: u64,
    /// How many hashes or entries: 1 to 256, which is full.
    pub width: u16,
}

/// A text that is not the one path of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected tile/LEVEL/NUMBER or tile/entries/NUMBER, as in tile/0/x001/x234/067.p/112")]
pub struct TilePathError;

const FULL: u16 = 256;
const _: () = assert!(FULL as usize == TILE_WIDTH, "one width everywhere");

impl TilePath {
    /// The full tile.
    #[must_use]
    pub fn full(id: TileId) -> Self {
        Self { kind: TileKind::Hashes(id.level), index: id.index, width: FULL }
    }

    /// Whether it holds all that it ever can.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.width == FULL
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes(level) => write!(f, "tile/{level}/")?,
            TileKind::Entries => write!(f, "tile/entries/")?,
        }
        let mut groups = vec![format!("{:03}", self.index % 1000)];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(format!("x{:03}", rest % 1000));
            rest /= 1000;
        }
        groups.reverse();
        write!(f, "{}", groups.join("/"))?;
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

impl FromStr for TilePath {
    type Err = TilePathError;

    /// Reads a path. Each tile has one spelling: what would be written otherwise is refused.
    fn from_str(text: &str) -> Result<Self, TilePathError> {
        let path = parse(text).ok_or(TilePathError)?;
        if path.to_string() == text { Ok(path) } else { Err(TilePathError) }
    }
}

fn parse(text: &str) -> Option<TilePath> {
    let (kind, number) = text.strip_prefix("tile/")?.split_once('/')?;
    let kind = match kind {
        "entries" => TileKind::Entries,
        level => TileKind::Hashes(level.parse().ok().filter(|level| *level < 64)?),
    };
    let (number, width) = match number.split_once(".p/") {
        Some((number, width)) => {
            (number, width.parse().ok().filter(|width| (1..FULL).contains(width))?)
        }
        None => (number, FULL),
    };
    let mut index: u64 = 0;
    for group in number.split('/') {
        let digits = group.strip_prefix('x').unwrap_or(group);
        let group: u64 = digits.parse().ok().filter(|_| digits.len() == 3)?;
        index = index.checked_mul(1000)?.checked_add(group)?;
    }
    Some(TilePath { kind, index, width })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_those_of_tlog_tiles() {
        let tile = |level, index, width| TilePath { kind: TileKind::Hashes(level), index, width };
        let entries = |index, width| TilePath { kind: TileKind::Entries, index, width };
        for (path, text) in [
            (tile(0, 1_234_067, 256), "tile/0/x001/x234/067"),
            (tile(0, 273, 112), "tile/0/273.p/112"),
            (tile(2, 0, 1), "tile/2/000.p/1"),
            (tile(1, 1000, 256), "tile/1/x001/000"),
            (entries(5, 256), "tile/entries/005"),
        ] {
            assert_eq!(path.to_string(), text);
            assert_eq!(text.parse(), Ok(path));
        }
        assert_eq!(TilePath::full(TileId { level: 1, index: 7 }).to_string(), "tile/1/007");
    }

    #[test]
    fn another_spelling_is_no_path() {
        for text in [
            "tile/0/1",
            "tile/0/0001",
            "tile/00/001",
            "tile/64/001",
            "tile/0/x000/001",
            "tile/0/001/002",
            "tile/0/x001",
            "tile/0/001.p/0",
            "tile/0/001.p/256",
            "tile/0/001.p/01",
            "tile/0/+01",
            "tile/0/001/",
            "tile//001",
            "tile/entries",
            "/tile/0/001",
            "tile/0/001.p/1.p/1",
            "tile/0/",
            "tile/0/x184/x467/x440/x737/x095/x516/616",
        ] {
            assert_eq!(text.parse::<TilePath>(), Err(TilePathError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn paths_come_back(level in 0_u8..64, index: u64, width in 1_u16..=256, entries: bool) {
            let kind = if entries { TileKind::Entries } else { TileKind::Hashes(level) };
            let path = TilePath { kind, index, width };
            prop_assert_eq!(path.to_string().parse(), Ok(path));
        }
    }
}
