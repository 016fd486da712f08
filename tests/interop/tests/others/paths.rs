//! Paths of tiles. `tlog_tiles` names the height in them (`tile/8/0/001`) and calls entries data.

use ledger::TilePath;
use ledger::tree::TileKind;
use proptest::prelude::*;
use tlog_tiles::tile::Tile;

/// The same path as `tlog_tiles` spells it.
fn theirs(path: &str) -> Option<String> {
    let rest = path.strip_prefix("tile/")?;
    let rest = rest.strip_prefix("entries/").map_or(rest.to_owned(), |rest| format!("data/{rest}"));
    Some(format!("tile/8/{rest}"))
}

fn as_theirs(path: TilePath) -> Tile {
    let (level, is_data) = match path.kind {
        TileKind::Hashes(level) => (level, false),
        TileKind::Entries => (0, true),
    };
    Tile::new(8, level, path.index, path.width.into(), is_data)
}

/// Paths and what is nearly one: groups of any length, needless zeros and signs, widths at the edges.
/// (Levels from 64 and the width 0 make `tlog_tiles` panic, so they are left to our own tests.)
fn nearly() -> impl Strategy<Value = String> {
    let level =
        prop_oneof![4 => "[0-9]|[1-5][0-9]|6[0-3]", 3 => "entries", 1 => "data|0[0-9]|[+-]?1?|"];
    let groups = prop::collection::vec("x[0-9]{3}|x[0-9]{3}|x[0-9]{3}|[x+]?[0-9]{1,4}|x184", 0..7);
    let last = "[0-9]{3}|[0-9]{3}|[0-9]{3}|[x+]?[0-9]{0,4}|616";
    let width =
        prop_oneof![2 => "", 2 => "\\.p/[1-9]", 1 => "\\.p/(255|256|300|01|[+]1|)", 1 => "/.p"];
    (level, groups, last, width).prop_map(|(level, groups, last, width)| {
        let number: String = groups.iter().map(|group| format!("{group}/")).collect();
        format!("tile/{level}/{number}{last}{width}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn paths_name_the_same_tiles(
        level in 0_u8..64, index: u64, shift in 0_u32..64, width in 1_u16..=256, entries: bool,
    ) {
        let kind = if entries { TileKind::Entries } else { TileKind::Hashes(level) };
        let path = TilePath { kind, index: index >> shift, width };
        let tile = as_theirs(path);
        prop_assert_eq!(theirs(&path.to_string()), Some(tile.path()));
        prop_assert_eq!(Tile::from_path(&tile.path()).unwrap(), tile);
        let back = tile.path().replacen("tile/8/", "tile/", 1).replacen("data/", "entries/", 1);
        prop_assert_eq!(back.parse(), Ok(path));
    }

    #[test]
    fn what_is_nearly_a_path_is_one_to_both_or_to_none(text in nearly()) {
        let read = text.parse::<TilePath>().ok();
        // Ours has no tile named data, which is theirs for entries.
        let named = theirs(&text).filter(|_| !text.contains("data"));
        let by_tiles = named.and_then(|path| Tile::from_path(&path).ok());
        prop_assert_eq!(read.map(as_theirs), by_tiles);
    }
}
