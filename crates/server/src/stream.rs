//! Streams that stay: they end with the caller's credentials or the node, and never outlive the caller.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::Duration;

use futures::{FutureExt, Stream, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::auth::Refused;
use crate::call::Call;
use crate::gate::said;
use crate::{clock, status};

/// A stream of unnamed type.
pub(crate) type Out<T> = Pin<Box<dyn Stream<Item = T> + Send>>;

/// `items`, until they end, the caller's credentials end or are taken back, or the node stops; the places among the calls
/// and the streams are held for as long.
pub(crate) fn until_end<T: Send + 'static>(
    items: impl Stream<Item = Result<T, Status>> + Send + 'static,
    call: &Call,
    stopping: CancellationToken,
    place: OwnedSemaphorePermit,
) -> Out<Result<T, Status>> {
    let ends = ends(call, stopping);
    let held = (call.place(), place);
    let ending = futures::stream::once(ends.map(Err));
    let items = items.map(Some).chain(futures::stream::once(std::future::ready(None)));
    // Which of the two is first decides; after an error nothing follows.
    let merged = futures::stream::select(items, ending.map(Some));
    let stream = merged
        .take_while(|item| std::future::ready(item.is_some()))
        .filter_map(std::future::ready)
        .scan((false, held), |(ended, _held), item| {
            let after = *ended;
            *ended |= item.is_err();
            std::future::ready((!after).then_some(item))
        });
    Box::pin(stream)
}

/// Resolves with the status that ends the call's stream.
pub(crate) fn ends(
    call: &Call,
    stopping: CancellationToken,
) -> impl Future<Output = Status> + Send + use<> {
    let left = call.expires().saturating_sub(clock::seconds());
    credentials_or_stop(Duration::from_secs(left), call.ended(), call.taken_back(), stopping)
}

async fn credentials_or_stop(
    left: Duration,
    ended: Refused,
    taken_back: impl Future<Output = Refused>,
    stopping: CancellationToken,
) -> Status {
    tokio::select! {
        () = stopping.cancelled() => status::stopping(),
        () = after(left) => status::unauthenticated(ended),
        why = taken_back => status::unauthenticated(why),
    }
}

/// How long a stream's last messages may wait for a caller who does not read, once the node stops.
const UNREAD: Duration = Duration::from_secs(1);

/// Hands a message to the caller, and waits while they read slowly; not when the node stops.
///
/// # Errors
/// The caller went away, or reads nothing and the node stops.
pub(crate) async fn hand_over<T>(
    out: &mpsc::Sender<Result<T, Status>>,
    message: Result<T, Status>,
    stopping: &CancellationToken,
) -> Result<(), Status> {
    let too_late = async {
        stopping.cancelled().await;
        after(UNREAD).await;
    };
    tokio::select! {
        biased;
        // The caller is gone: nothing more is started.
        sent = out.send(message) => sent.map_err(|_| Status::cancelled("the caller went away")),
        () = too_late => Err(status::stopping()),
    }
}

/// Resolves after that long, however long it is.
async fn after(left: Duration) {
    // An endless wait that is cut off: the timer is what is waited for.
    let _elapsed = tokio::time::timeout(left, std::future::pending::<()>()).await;
}

/// Runs `work` with a channel to the caller. A panic in it ends the stream with INTERNAL: a
/// channel that just closes would look like a good end.
pub(crate) fn run<T, F>(
    waiting: usize,
    call: &Call,
    work: impl FnOnce(mpsc::Sender<Result<T, Status>>) -> F,
) -> ReceiverStream<Result<T, Status>>
where
    T: Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let (send, receive) = mpsc::channel(waiting);
    let work = AssertUnwindSafe(work(send.clone())).catch_unwind();
    let id = call.id().to_owned();
    tokio::spawn(async move {
        if let Err(panic) = work.await {
            tracing::error!(call = id, panic = said(&*panic), "a stream panicked");
            // The caller may be gone; then nobody needs to know.
            let _ = send.send(Err(status::internal(&id))).await;
        }
    });
    ReceiverStream::new(receive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_reads_nothing_does_not_hold_up_a_node_that_stops() {
        let stopping = CancellationToken::new();
        let (out, mut unread) = mpsc::channel(1);
        hand_over(&out, Ok(1), &stopping).await.expect("there is room");
        stopping.cancel();
        let given_up = hand_over(&out, Ok(2), &stopping).await.expect_err("nobody reads");
        assert_eq!(given_up.code(), tonic::Code::Unavailable);
        assert!(matches!(unread.recv().await, Some(Ok(1))));
        hand_over(&out, Ok(3), &stopping).await.expect("who reads gets what there is");
        assert!(matches!(unread.recv().await, Some(Ok(3))));
    }
}
