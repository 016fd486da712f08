//! Whatever bytes come from outside, parsers refuse or understand them, and what they understand they
//! write again as it stood: junk, and good inputs with a few bytes changed, put in or taken out.

// `cfg(test)` is always so here; it tells clippy that helpers may unwrap like the tests they serve.
#[cfg(test)]
mod parsers {
    use std::path::Path;
    use std::str::FromStr;

    use ledger::checkpoint::{Checkpoint, TlogProof};
    use ledger::note::{SignedNote, Vkey};
    use ledger::policy::Policy;
    use ledger::witness::AddCheckpoint;
    use ledger::{Control, Frame, Header, TilePath};
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    /// Cases of each parser: a few seconds in all.
    const CASES: u32 = 4_000;

    /// The golden files whose names begin so.
    fn golden(name: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        let named = |file: &Path| file.file_name().unwrap().to_string_lossy().starts_with(name);
        let text = |file: &Path| std::fs::read_to_string(file).unwrap().replace('\n', "");
        let found: Vec<Vec<u8>> = files
            .filter(|file| named(file))
            .map(|file| hex::decode(text(&file)).unwrap())
            .collect();
        assert!(!found.is_empty(), "no golden file is named {name}");
        found
    }

    /// Junk, or one of these with some changes.
    fn input(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
        let change = (any::<Index>(), any::<u8>(), 0..4_u8);
        let changes = prop::collection::vec(change, 0..4);
        let changed = (select(seeds), changes).prop_map(|(mut bytes, changes)| {
            for (at, byte, how) in changes {
                let at = at.index(bytes.len() + 1);
                match how {
                    0 => bytes.insert(at, byte),
                    1 => bytes.truncate(at),
                    _ if at == bytes.len() => bytes.push(byte),
                    2 => drop(bytes.remove(at)),
                    _ => bytes[at] = byte,
                }
            }
            bytes
        });
        prop_oneof![1 => prop::collection::vec(any::<u8>(), 0..600), 9 => changed]
    }

    const NOTE: &str = "ledger.hospital.example/log1\n70000\n\
        rrcsJMg8f5Van4afhRM7zA3q8G1RjrUyMn2TAIYVMYk=\n\n\
        \u{2014} ledger.hospital.example/log1 g2Q26EhuXoOWZknP52t+7UqTrhRPGdGA7irvn0+zQ56F9YtVwbnUegXHhz\
        Ph9SuFQ+77SXKDtLK4F5XtbXSrjhYEIQQ=\n";
    const LOG: &str =
        "ledger.hospital.example/log1+836436e8+AZsfhHkc/HZjBFhU04netcqVRJ2HXydqg4QLBgqznPxx";
    const WITNESS: &str =
        "witness.example/w1+24c2fdca+BHun0VNAaOinILs4fYx9M8U2nh2Uos9enWj6iwn0agfE";

    fn proof() -> Vec<u8> {
        let hash = "rrcsJMg8f5Van4afhRM7zA3q8G1RjrUyMn2TAIYVMYk=";
        format!("c2sp.org/tlog-proof@v1\nindex 7\n{hash}\n\n{NOTE}").into_bytes()
    }

    fn request() -> Vec<u8> {
        let hash = "rrcsJMg8f5Van4afhRM7zA3q8G1RjrUyMn2TAIYVMYk=";
        format!("old 69000\n{hash}\n{hash}\n\n{NOTE}").into_bytes()
    }

    fn policy() -> Vec<u8> {
        format!("log {LOG}\nwitness w {WITNESS}\ngroup g all w\nquorum g\n").into_bytes()
    }

    /// Parses a changed text; what is accepted must be written as it stood.
    fn text<T: FromStr + ToString>(bytes: &[u8]) -> Option<T> {
        let text = std::str::from_utf8(bytes).ok()?;
        let parsed: T = text.parse().ok()?;
        assert_eq!(parsed.to_string(), text, "one spelling");
        Some(parsed)
    }

    #[test]
    fn the_seeds_are_good() {
        assert!(text::<SignedNote>(NOTE.as_bytes()).is_some());
        assert!(text::<TlogProof>(&proof()).is_some());
        assert!(text::<AddCheckpoint>(&request()).is_some());
        assert!(
            text::<Vkey>(LOG.as_bytes()).is_some() && text::<Vkey>(WITNESS.as_bytes()).is_some()
        );
        assert!(std::str::from_utf8(&policy()).unwrap().parse::<Policy>().is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(CASES))]

        #[test]
        fn headers(bytes in input(golden("header"))) {
            if let Ok(header) = Header::decode(&bytes) {
                prop_assert_eq!(header.encode(), bytes);
            }
        }

        #[test]
        fn control_records(bytes in input(golden("control"))) {
            if let Ok(control) = Control::decode(&bytes) {
                prop_assert_eq!(control.encode(), bytes);
            }
        }

        #[test]
        fn blocks(bytes in input([golden("founding"), golden("block")].concat())) {
            if let Ok(frame) = Frame::parse(&bytes) && let Ok(content) = frame.content() {
                prop_assert!(content.items.len() < bytes.len(), "no more items than bytes");
            }
        }

        #[test]
        fn notes_and_checkpoints(bytes in input(vec![NOTE.as_bytes().to_vec()])) {
            if let Some(note) = text::<SignedNote>(&bytes) {
                let _ = note.text().parse::<Checkpoint>();
            }
        }

        #[test]
        fn proofs(bytes in input(vec![proof()])) {
            // An `extra` line may stand in it, and is not written again.
            let _ = std::str::from_utf8(&bytes).map(str::parse::<TlogProof>);
        }

        #[test]
        fn requests_for_cosignatures(bytes in input(vec![request()])) {
            text::<AddCheckpoint>(&bytes);
        }

        #[test]
        fn verifier_keys(bytes in input(vec![LOG.into(), WITNESS.into()])) {
            text::<Vkey>(&bytes);
        }

        #[test]
        fn tile_paths(
            bytes in input(vec![b"tile/0/x001/x234/067.p/112".to_vec(), b"tile/entries/005".to_vec()])
        ) {
            text::<TilePath>(&bytes);
        }

        #[test]
        fn policies(bytes in input(vec![policy()])) {
            let _ = std::str::from_utf8(&bytes).map(str::parse::<Policy>);
        }
    }
}
