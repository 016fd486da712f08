//! Following a file's changes: each delivery is re-authorised, masked as its history is by then, and on
//! record before it leaves.

use std::time::Duration;

use domain::PatientId;
use futures::Stream;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::answers::{HistoryItem, Shown, WatchItem};
use crate::context::Context;
use crate::engine::Engine;
use crate::failure::Failure;
use crate::masking::Judged;
use crate::showing::Saw;

/// A quiet watch says how far the node is this often.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Deliveries that a slow watcher may have waiting; then the watch waits for it.
const WAITING: usize = 16;
/// Records looked up at once.
const PAGE: usize = 64;

impl Engine {
    /// Follows a file from a version on: first what is there, then what comes. It ends with the
    /// first error, and when the receiver is dropped.
    ///
    /// # Errors
    /// See [`Failure`]; later ones come through the stream.
    pub async fn watch<T: Send + 'static>(
        &self,
        ctx: Context,
        patient: PatientId,
        from_version: u64,
        render: impl Fn(&HistoryItem) -> (T, Vec<u8>) + Send + Sync + 'static,
    ) -> Result<impl Stream<Item = Result<WatchItem<T>, Failure>> + Send + 'static, Failure> {
        let pass = self.admit_once_reached(&ctx, Some(patient), None).await?;
        if let Err(failure) = self.load_history(&pass, patient, 1, 1, Judged::Never) {
            return Err(self.refused(&ctx, &pass, patient, failure).await);
        }
        let (send, receive) = mpsc::channel(WAITING);
        let engine = self.clone();
        tokio::spawn(async move {
            let ended = tokio::select! {
                ended = engine.deliver(&ctx, patient, from_version.max(1), &render, &send) => ended,
                () = send.closed() => Ok(()),
            };
            if let Err(failure) = ended {
                // The watcher may be gone by now.
                let _ = send.send(Err(failure)).await;
            }
        });
        Ok(futures::stream::unfold(receive, |mut receive| async move {
            receive.recv().await.map(|item| (item, receive))
        }))
    }

    async fn deliver<T>(
        &self,
        ctx: &Context,
        patient: PatientId,
        mut next: u64,
        render: &(impl Fn(&HistoryItem) -> (T, Vec<u8>) + Send + Sync),
        send: &mpsc::Sender<Result<WatchItem<T>, Failure>>,
    ) -> Result<(), Failure> {
        let mut progress = self.records.line.follow_progress();
        loop {
            progress.mark_unchanged();
            loop {
                let pass = self.admit(ctx, Some(patient)).await?;
                let page = self.load_history(&pass, patient, next, PAGE, Judged::Now)?;
                if page.items.is_empty() {
                    break;
                }
                let (position, judged) = (page.position, page.version);
                for item in page.items {
                    match send.try_reserve() {
                        Ok(room) => drop(room),
                        Err(TrySendError::Closed(())) => return Ok(()),
                        // A watcher may keep this waiting for long, and what it is judged by be over then.
                        Err(TrySendError::Full(())) => {
                            if send.reserve().await.is_err() {
                                return Ok(());
                            }
                            break;
                        }
                    }
                    // What lets the watcher in may have ended since the delivery before.
                    let pass = self.admit_on(ctx, patient, judged).await?;
                    let masked = pass.masked_among(item.entries())?;
                    let item = item.shown(&masked);
                    let (answer, digest) = render(&item);
                    let saw = Saw {
                        version: item.header.version,
                        position,
                        count: 1,
                        digest: Some(self.answer_digest(&digest)?),
                        masked,
                        ..Saw::default()
                    };
                    let receipt = self.showed(ctx, &pass, patient, &saw).await?;
                    let shown = Shown { answer, receipt, position: item.position + 1 };
                    if send.send(Ok(WatchItem::Change(shown))).await.is_err() {
                        return Ok(());
                    }
                    next = item.header.version + 1;
                    if self.version_of(patient)? > judged {
                        // What is to come is judged by what was filed meanwhile.
                        break;
                    }
                }
            }
            match tokio::time::timeout(HEARTBEAT, self.moved(patient, next, &mut progress)).await {
                Ok(moved) => moved?,
                Err(_) => {
                    let position = self.records.line.progress().size;
                    if send.send(Ok(WatchItem::Heartbeat { position })).await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Waits until the file has the next version.
    pub(crate) async fn moved(
        &self,
        patient: PatientId,
        next: u64,
        progress: &mut tokio::sync::watch::Receiver<crate::line::Progress>,
    ) -> Result<(), Failure> {
        loop {
            if self.version_of(patient)? >= next {
                return Ok(());
            }
            if progress.changed().await.is_err() {
                return Err(Failure::Unavailable { why: "this node is shutting down".to_owned() });
            }
        }
    }

    /// The file's version; 0 if there is none.
    pub(crate) fn version_of(&self, patient: PatientId) -> Result<u64, Failure> {
        let line = &self.records.line;
        let head = line.store.head(line.ledger, ledger::SubjectId(patient.0))?;
        Ok(head.map_or(0, |head| head.version))
    }
}
