//! Every parser of `ledger` as a target for a fuzzer that is guided by coverage.
//!
//! A target is a plain function of bytes. It asks for more than that nothing panics: what is
//! understood must be printed again as it stood, and must be the only thing that means it. The usual
//! tests run each target on its seeds; `run` builds `main.rs` around libFuzzer and lets it change them.
//!
//! Not the place for what needs a store, a node or a clock. Nothing builds on this.

mod bytes;
mod seeds;
mod texts;

use std::path::Path;

/// One parser.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// As `run` calls it.
    pub name: &'static str,
    /// Whether the parser understands these bytes. Panics where it should not have.
    pub run: fn(&[u8]) -> bool,
    /// Inputs that it understands, to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "note", run: texts::note, seeds: seeds::notes },
    Target { name: "checkpoint", run: texts::checkpoint, seeds: seeds::checkpoints },
    Target { name: "add-checkpoint", run: texts::add_checkpoint, seeds: seeds::additions },
    Target { name: "proof", run: texts::proof, seeds: seeds::proofs },
    Target { name: "vkey", run: texts::vkey, seeds: seeds::vkeys },
    Target { name: "path", run: texts::path, seeds: seeds::paths },
    Target { name: "policy", run: texts::policy, seeds: seeds::policies },
    Target { name: "header", run: bytes::header, seeds: seeds::headers },
    Target { name: "leaf", run: bytes::leaf, seeds: seeds::leaves },
    Target { name: "frame", run: bytes::frame, seeds: seeds::blocks },
    Target { name: "content", run: bytes::content, seeds: seeds::contents },
    Target { name: "control", run: bytes::control, seeds: seeds::controls },
    Target { name: "override", run: bytes::leave, seeds: seeds::overrides },
];

/// Writes the seeds of every target as files below `folder`, in a folder of the target's name.
///
/// # Errors
/// When a file cannot be written.
pub fn write_seeds(folder: &Path) -> std::io::Result<()> {
    for target in TARGETS {
        let own = folder.join(target.name);
        std::fs::create_dir_all(&own)?;
        for (number, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(own.join(number.to_string()), seed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_understands_its_seeds_and_not_junk() {
        for target in TARGETS {
            let seeds = (target.seeds)();
            assert!(!seeds.is_empty(), "{} has no seed", target.name);
            for seed in &seeds {
                assert!((target.run)(seed), "{} refuses its seed", target.name);
                // What is left when the end is cut off holds nowhere, and must not panic.
                for end in 0..seed.len() {
                    (target.run)(&seed[..end]);
                }
            }
            for junk in [&b""[..], b"\n\n", b"\xff\xff\xff\xff", &[0; 64]] {
                assert!(!(target.run)(junk), "{} understands {junk:?}", target.name);
            }
        }
    }

    #[test]
    fn every_target_has_a_name_of_its_own() {
        let mut names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TARGETS.len());
    }
}
