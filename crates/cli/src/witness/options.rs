//! What can be typed after `caseledger witness`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What a witness does.
#[derive(Debug, Subcommand)]
pub(crate) enum Witness {
    /// Make the key that a witness cosigns with.
    ///
    /// Prints the verifier key that belongs into policies. One key, one name, one witness: whoever
    /// uses it in two places promises what neither can keep.
    #[command(after_help = "\
Example:
  caseledger witness key --name compliance.hospital.example/w1 -o compliance.key")]
    Key(Key),
    /// Answer logs that ask for cosignatures, over HTTP, as c2sp.org/tlog-witness says.
    ///
    /// POST /add-checkpoint cosigns; GET /HASH/checkpoint, with the hex SHA-256 of the origin, shows the newest
    /// checkpoint that was cosigned. What was cosigned is on disk before the answer leaves.
    #[command(after_help = "\
Stops with exit code 0 on SIGTERM and SIGINT; 1 when it cannot start; 2 wrong usage.

Example:
  caseledger witness serve --name compliance.hospital.example/w1 --key compliance.key \\
    --state /var/lib/witness --listen 127.0.0.1:7090 --policy records.policy access.policy")]
    Serve(Serve),
    /// Look at a log every so often, and cosign what continues that which was cosigned before.
    ///
    /// Nothing of the log is believed: the policy must accept its checkpoint, and hashes recomputed
    /// from its tiles must lead from the root on record to the new one. Every note that was cosigned
    /// is kept in the state folder, under the hex SHA-256 of the log's origin: the newest as
    /// `checkpoint`, each as `<size>.checkpoint`, and the first of a fork as `fork`.
    #[command(after_help = "\
Exit codes with --once: 0 consistent; 10 the checkpoint is not signed as the policy asks, or tiles do
not match; 11 forked from, or behind, what was cosigned; 12 it could not be read; 2 wrong usage; 1 the
state folder cannot be used. Without --once it goes on and says each trouble.

Example:
  caseledger witness follow --name compliance.hospital.example/w1 --key compliance.key \\
    --state /var/lib/witness --policy records.policy --every 300 \\
    http://127.0.0.1:7080/records.0.0/9f31...")]
    Follow(Follow),
}

/// Which key to make.
#[derive(Debug, Args)]
pub(crate) struct Key {
    /// Name of the witness, best an address that belongs to it: no white space, no plus sign.
    #[arg(long)]
    pub(crate) name: String,
    /// Where the private key goes, 64 hex digits; never overwritten.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

/// Which witness.
#[derive(Debug, Args)]
pub(crate) struct Own {
    /// Its private key, as `caseledger witness key` makes it.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Its name, as it was given to `caseledger witness key`.
    #[arg(long)]
    pub(crate) name: String,
    /// Folder of what it has cosigned. One process at a time; without it the witness's promise is
    /// lost, and its key must not be used again.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: PathBuf,
}

/// How to serve.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) own: Own,
    /// Address to listen on; plain HTTP, so behind a proxy if the way is not private.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7090")]
    pub(crate) listen: SocketAddr,
    /// C2SP tlog-policy files: the logs to cosign for are those of their `log` lines, and any of a
    /// log's keys will do.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub(crate) policy: Vec<PathBuf>,
}

/// What to follow.
#[derive(Debug, Args)]
pub(crate) struct Follow {
    #[command(flatten)]
    pub(crate) own: Own,
    /// C2SP tlog-policy of this one log: the keys of its nodes, and how many must have signed.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: PathBuf,
    /// Seconds from one look to the next.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    pub(crate) every: u64,
    /// Look once, and say with the exit code what was found.
    #[arg(long)]
    pub(crate) once: bool,
    /// A folder with `checkpoint` and `tile/`, or a node's address: http://HOST:PORT/LEDGER/GENESIS.
    pub(crate) log: String,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::options::Options;

    #[test]
    fn examples_can_be_typed() {
        let own = "--name w.example/1 --key k --state s";
        for line in [
            "witness key --name w.example/1 -o k".to_owned(),
            format!("witness serve {own} --listen 127.0.0.1:7090 --policy a.policy b.policy"),
            format!("witness serve {own} --policy a.policy --policy b.policy --json"),
            format!("witness follow {own} --policy a.policy --every 300 http://h:1/records.0.0/9f"),
            format!("witness follow {own} --policy a.policy --once folder"),
        ] {
            Options::try_parse_from(format!("caseledger {line}").split(' ')).unwrap();
        }
        for wrong in [
            format!("witness serve {own}"),
            format!("witness follow {own} --policy a.policy --every 0 folder"),
            format!("witness follow {own} --policy a.policy"),
            "witness serve --policy a.policy".to_owned(),
        ] {
            let typed = Options::try_parse_from(format!("caseledger {wrong}").split(' '));
            assert_eq!(typed.unwrap_err().exit_code(), 2, "{wrong}");
        }
    }
}
