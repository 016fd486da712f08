//! `caseledger witness follow`: a witness that asks the log, instead of being asked.

mod look;

use std::process::ExitCode;
use std::time::Duration;

use ledger::checkpoint::Checkpoint;
use ledger::note::Vkey;
use ledger::policy::Policy;
use ledger::witness::consider;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::options::Follow;
use super::state::{Log, State};
use super::{Own, key, policy};
use crate::failure::Failure;
use crate::output::{Output, thousands};
use crate::source::Source;
use crate::stopping::Stopping;
use crate::verify::Found;

/// Who follows what.
struct Follower<'f> {
    wanted: &'f Follow,
    own: Own,
    policy: Policy,
    log: Log,
}

pub(crate) async fn run(wanted: &Follow, output: &Output) -> Result<ExitCode, Failure> {
    let (own, policy) = (key::read(&wanted.own)?, policy(&wanted.policy)?);
    let origin = one_origin(policy.log_keys()).map(str::to_owned).ok_or_else(|| {
        let file = wanted.policy.display();
        Failure::Usage(format!("--policy {file}: names several logs; follow each with its own"))
    })?;
    let _ = Source::new(&wanted.log, None).map_err(Failure::Usage)?;
    let state = State::open(&wanted.own.state)?;
    let log = state
        .log(&origin, &own.vkey)
        .map_err(|why| Failure::local(format!("follow {}", wanted.log), why))?;
    log.keep_each().map_err(|error| kept(wanted, error))?;
    let mut follower = Follower { wanted, own, policy, log };
    if wanted.once {
        let found = follower.round().await?;
        return follower.say(&found, output);
    }
    let mut stopping = Stopping::new()?;
    loop {
        let found = tokio::select! {
            found = follower.round() => found?,
            () = stopping.asked() => return Ok(ExitCode::SUCCESS),
        };
        follower.say(&found, output)?;
        if timeout(Duration::from_secs(wanted.every), stopping.asked()).await.is_ok() {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// What there was to see.
struct Seen {
    checkpoint: Checkpoint,
    /// Whether it was cosigned just now, not before.
    new: bool,
}

fn one_origin(keys: &[Vkey]) -> Option<&str> {
    let (first, rest) = keys.split_first()?;
    rest.iter().all(|key| key.name() == first.name()).then(|| first.name())
}

fn kept(wanted: &Follow, error: std::io::Error) -> Failure {
    Failure::local(format!("keep what was cosigned in {}", wanted.own.state.display()), error)
}

impl Follower<'_> {
    /// Looks at the log once, and cosigns what is new. Only what this machine fails at ends it.
    async fn round(&mut self) -> Result<Result<Seen, Found>, Failure> {
        let known = self.log.known().map(|known| known.checkpoint().clone());
        // A source of its own each time: the connection of a minute ago is closed by now.
        let mut source = Source::new(&self.wanted.log, None).map_err(Failure::Usage)?;
        let (note, checkpoint) = match look::newest(&mut source, &self.policy).await {
            Ok(found) => found,
            Err(found) => return Ok(Err(found)),
        };
        let request =
            match look::prove(&mut source, known.as_ref(), note.clone(), &checkpoint).await {
                Ok(request) => request,
                Err(found) => {
                    if matches!(found, Found::Forked(_))
                        && !look::is_behind(known.as_ref(), &checkpoint)
                    {
                        self.log.keep_fork(&note).map_err(|error| kept(self.wanted, error))?;
                    }
                    return Ok(Err(found));
                }
            };
        if known.as_ref() == Some(&checkpoint) {
            return Ok(Ok(Seen { checkpoint, new: false }));
        }
        // Once more, and by the rules that hold for everybody who asks.
        let considered = consider(self.log.known(), &request, self.policy.log_keys());
        let cosigned = considered.and_then(|ok| self.own.cosign(ok, &self.policy.keys()));
        let known = match cosigned {
            Ok(known) => known,
            Err(refused) => return Ok(Err(Found::Damaged(format!("checkpoint: {refused}")))),
        };
        self.log.keep(known).map_err(|error| kept(self.wanted, error))?;
        self.log.keep_each().map_err(|error| kept(self.wanted, error))?;
        Ok(Ok(Seen { checkpoint, new: true }))
    }

    /// Says what was found. Who follows on hears nothing of a log that rests.
    fn say(&self, found: &Result<Seen, Found>, output: &Output) -> Result<ExitCode, Failure> {
        match found {
            Ok(seen) => {
                if seen.new || self.wanted.once {
                    output.show(|| self.seen_json(seen), || self.seen_text(seen))?;
                }
                Ok(ExitCode::SUCCESS)
            }
            Err(found) => {
                let (verdict, headline, what) = found.told();
                let text = || format!("{headline}: {what}\nnothing was cosigned");
                output.explain(|| json!({"verdict": verdict, "what": what}), text)?;
                Ok(ExitCode::from(found.code()))
            }
        }
    }

    fn seen_json(&self, seen: &Seen) -> Value {
        let Seen { checkpoint, new } = seen;
        json!({
            "verdict": "consistent",
            "origin": checkpoint.origin,
            "records": checkpoint.size,
            "root": checkpoint.root.to_string(),
            "cosigned": new,
            "fork": self.log.fork(),
        })
    }

    fn seen_text(&self, seen: &Seen) -> String {
        let Seen { checkpoint, new } = seen;
        let what = if *new { "cosigned" } else { "consistent, and cosigned before" };
        let fork = self.log.fork().map_or_else(String::new, |file| {
            format!("\nBUT IT HAS FORKED BEFORE: {} is signed by it too", file.display())
        });
        format!("{what}: {} records of {}{fork}", thousands(checkpoint.size), checkpoint.origin)
    }
}
