//! One log's requests, one after another: checking and keeping are one step, under one lock. Two at
//! once could both pass the check, and the smaller could be kept last.

use std::sync::{Arc, Mutex};

use hyper::StatusCode;
use ledger::checkpoint::Checkpoint;
use ledger::note::Vkey;
use ledger::witness::{AddCheckpoint, Refused, SIZE_TYPE, consider};

use super::Own;
use crate::failure::Failure;
use crate::witness::state::Log;

const TEXT: &str = "text/plain; charset=utf-8";

/// One log.
pub(super) struct Desk {
    own: Arc<Own>,
    keys: Vec<Vkey>,
    /// What is on record; or why that is not known, and nothing is cosigned.
    log: Mutex<Result<Log, String>>,
}

/// What is answered, and what is told here.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) kind: &'static str,
    pub(super) body: String,
    pub(super) cosigned: Option<Checkpoint>,
    pub(super) troubles: Vec<Failure>,
}

impl Answer {
    pub(super) fn of(status: StatusCode, body: impl Into<String>) -> Self {
        Self { status, kind: TEXT, body: body.into(), cosigned: None, troubles: Vec::new() }
    }

    pub(super) fn refused(refused: Refused) -> Self {
        let status = StatusCode::from_u16(refused.status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        match refused {
            Refused::Stale { size } => {
                Self { kind: SIZE_TYPE, ..Self::of(status, format!("{size}\n")) }
            }
            Refused::Malformed
            | Refused::UnknownLog
            | Refused::NotSigned
            | Refused::OldAboveNew
            | Refused::WrongProof
            | Refused::WrongRoot => Self::of(status, format!("{refused}\n")),
        }
    }

    /// The record cannot be read or written. Where it lies concerns nobody outside.
    fn stopped() -> Self {
        let told = "the record of this log cannot be used; nothing is cosigned until its keeper has \
                    looked at it\n";
        Self::of(StatusCode::INTERNAL_SERVER_ERROR, told)
    }

    fn telling(mut self, what: String, cause: impl std::fmt::Display) -> Self {
        self.troubles.push(Failure::local(what, cause));
        self
    }
}

impl Desk {
    pub(super) fn new(own: Arc<Own>, keys: Vec<Vkey>, log: Result<Log, String>) -> Self {
        Self { own, keys, log: Mutex::new(log) }
    }

    /// The newest note that was cosigned.
    pub(super) fn newest(&self) -> Answer {
        let Ok(log) = self.log.lock() else { return Answer::stopped() };
        match log.as_ref().map(Log::known) {
            Ok(Some(known)) => Answer::of(StatusCode::OK, known.note().to_string()),
            Ok(None) => Answer::of(StatusCode::NOT_FOUND, "nothing of this log was cosigned yet\n"),
            Err(_) => Answer::stopped(),
        }
    }

    /// Cosigns, or says why not. What it answers 200 to is on disk.
    pub(super) fn add(&self, request: &AddCheckpoint) -> Answer {
        let Ok(mut record) = self.log.lock() else { return Answer::stopped() };
        let Ok(log) = record.as_mut() else { return Answer::stopped() };
        let accepted = match consider(log.known(), request, &self.keys) {
            Ok(accepted) => accepted,
            Err(Refused::WrongRoot) => return forked(log, request),
            Err(refused) => return Answer::refused(refused),
        };
        let known = match self.own.cosign(accepted, &self.keys) {
            Ok(known) => known,
            Err(refused) => return Answer::refused(refused),
        };
        match log.keep(known) {
            Ok(known) => {
                let line = known.cosignature().map(|line| format!("{line}\n")).unwrap_or_default();
                let cosigned = Some(known.checkpoint().clone());
                Answer { cosigned, ..Answer::of(StatusCode::OK, line) }
            }
            Err(error) => {
                // Nobody knows which of the two is on disk now: only reading it again tells.
                *record = Err(format!("it could not be written: {error}"));
                let cause = format!("{error}; restart the witness when its disk is well");
                Answer::stopped().telling("keep what was cosigned".to_owned(), cause)
            }
        }
    }
}

/// The log signed two roots for one size: the only proof of it is this note.
fn forked(log: &Log, request: &AddCheckpoint) -> Answer {
    let origin = request.origin().unwrap_or_default();
    let told = "A LOG HAS FORKED: it signed another root for a size that was cosigned here";
    let answer = Answer::refused(Refused::WrongRoot);
    let answer = answer.telling(format!("cosign {origin}"), told);
    match log.keep_fork(&request.note) {
        Ok(()) => answer,
        Err(error) => answer.telling(format!("keep the forked checkpoint of {origin}"), error),
    }
}
