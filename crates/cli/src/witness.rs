//! `caseledger witness`: cosigns checkpoints for an office that is not the one that runs the nodes.
//!
//! A witness promises one thing: never to cosign two trees of which neither continues the other
//! (c2sp.org/tlog-witness). `serve` answers logs that ask, `follow` asks a log itself; both keep what
//! they cosigned in the same form, so that one may take over from the other.

mod follow;
mod key;
pub(crate) mod options;
mod serve;
mod state;

use std::path::Path;
use std::process::ExitCode;

use ledger::SigningKey;
use ledger::note::{KeyType, Vkey};
use ledger::policy::Policy;
use ledger::witness::{Accepted, Known, Refused};

use self::options::Witness;
use crate::failure::Failure;
use crate::output::Output;

pub(crate) async fn run(wanted: &Witness, output: &Output) -> Result<ExitCode, Failure> {
    match wanted {
        Witness::Key(key) => key::run(key, output),
        Witness::Serve(serve) => serve::run(serve, output).await,
        Witness::Follow(follow) => follow::run(follow, output).await,
    }
}

/// Who cosigns.
struct Own {
    vkey: Vkey,
    key: SigningKey,
}

impl Own {
    fn new(name: &str, key: SigningKey) -> Result<Self, Failure> {
        let vkey = Vkey::new(name, KeyType::Cosignature, key.verifying_key().to_bytes());
        let vkey = vkey.map_err(|_| {
            Failure::Usage(format!("--name {name:?}: a name has no white space and no plus sign"))
        })?;
        Ok(Self { vkey, key })
    }

    /// Cosigns as of now, and hands on the signatures of `keep`.
    fn cosign(&self, accepted: Accepted, keep: &[Vkey]) -> Result<Known, Refused> {
        // No clock stands before 1970; a verifier takes such a time for what it is.
        let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0);
        accepted.cosign(keep, &self.vkey, &self.key, now)
    }
}

/// A policy that was named on the command line.
fn policy(file: &Path) -> Result<Policy, Failure> {
    let wrong = |why: String| Failure::Usage(format!("--policy {}: {why}", file.display()));
    let text = std::fs::read_to_string(file)
        .map_err(|error| wrong(format!("it cannot be read: {error}")))?;
    text.parse().map_err(|error| wrong(format!("{error}")))
}
