//! Streams that stay: they end with the caller's credentials or the node, and never outlive the caller.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::Duration;

use futures::{FutureExt, Stream, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
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
/// and the streams are held for as long, and no longer if the caller reads nothing.
pub(crate) fn until_end<T: Send + 'static>(
    items: impl Stream<Item = Result<T, Status>> + Send + 'static,
    call: &Call,
    stopping: CancellationToken,
    place: OwnedSemaphorePermit,
) -> Out<Result<T, Status>> {
    let ends = ends(call, stopping);
    let held = (call.place(), place);
    // Beside the messages: whoever reads late does not take what was cut off for a good end.
    let (tell, told) = oneshot::channel();
    let messages = run(1, call, |out| async move {
        if let Some(status) = forward(items, ends, &out).await {
            // The caller may be gone.
            let _ = tell.send(status);
        }
        drop(held);
    });
    let told = told.into_stream().filter_map(|told| std::future::ready(told.ok().map(Err)));
    Box::pin(messages.chain(told))
}

/// Hands items on as the caller reads them, until they end, one is an error, the caller is gone, or `ends`
/// resolves: with its status then, also while the caller reads nothing.
async fn forward<T>(
    items: impl Stream<Item = Result<T, Status>>,
    ends: impl Future<Output = Status>,
    out: &mpsc::Sender<Result<T, Status>>,
) -> Option<Status> {
    let (mut items, mut ends) = (std::pin::pin!(items), std::pin::pin!(ends));
    loop {
        let next = async {
            let room = out.reserve().await.ok()?;
            Some((room, items.next().await?))
        };
        let (room, item) = tokio::select! {
            status = ends.as_mut() => return Some(status),
            () = out.closed() => return None,
            next = next => next?,
        };
        let last = item.is_err();
        room.send(item);
        if last {
            return None;
        }
    }
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

/// How long a stream's last messages may wait for a caller who does not read, once it is to end.
const UNREAD: Duration = Duration::from_secs(1);

/// Hands a message to the caller, and waits while they read slowly; not when the stream `ends`.
///
/// # Errors
/// The caller went away, or reads nothing and the stream ends.
pub(crate) async fn hand_over<T>(
    out: &mpsc::Sender<Result<T, Status>>,
    message: Result<T, Status>,
    ends: impl Future<Output = Status>,
) -> Result<(), Status> {
    let too_late = async {
        let status = ends.await;
        after(UNREAD).await;
        status
    };
    tokio::select! {
        biased;
        // The caller is gone: nothing more is started.
        sent = out.send(message) => sent.map_err(|_| Status::cancelled("the caller went away")),
        status = too_late => Err(status),
    }
}

/// Resolves when the node stops, with what its callers are told.
pub(crate) async fn stops(stopping: &CancellationToken) -> Status {
    stopping.cancelled().await;
    status::stopping()
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
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn who_reads_nothing_does_not_hold_up_a_node_that_stops() {
        let stopping = CancellationToken::new();
        let (out, mut unread) = mpsc::channel(1);
        hand_over(&out, Ok(1), stops(&stopping)).await.expect("there is room");
        stopping.cancel();
        let given_up = hand_over(&out, Ok(2), stops(&stopping)).await.expect_err("nobody reads");
        assert_eq!(given_up.code(), tonic::Code::Unavailable);
        assert!(matches!(unread.recv().await, Some(Ok(1))));
        hand_over(&out, Ok(3), stops(&stopping)).await.expect("who reads gets what there is");
        assert!(matches!(unread.recv().await, Some(Ok(3))));
    }

    /// Waits until nobody holds the place.
    async fn let_go(place: &Arc<Semaphore>) {
        let free = place.acquire();
        let free = tokio::time::timeout(Duration::from_secs(10), free).await;
        drop(free.expect("it is let go").expect("not closed"));
    }

    #[tokio::test]
    async fn who_reads_nothing_holds_no_place_beyond_the_end_and_hears_of_it_later() {
        let place = Arc::new(Semaphore::new(1));
        let held = Arc::clone(&place).acquire_owned().await.unwrap();
        let (end, ended) = oneshot::channel::<()>();
        let (out, mut unread) = mpsc::channel(1);
        let forwarded = tokio::spawn(async move {
            let items = futures::stream::repeat_with(|| Ok(1));
            let ends = ended.map(|_| status::stopping());
            let status = forward(items, ends, &out).await;
            drop(held);
            status
        });
        end.send(()).expect("it is waited for");
        let_go(&place).await;
        let status = forwarded.await.unwrap().expect("cut off");
        assert_eq!(status.code(), tonic::Code::Unavailable);
        while let Some(read) = unread.recv().await {
            assert!(matches!(read, Ok(1)));
        }
    }

    #[tokio::test]
    async fn after_an_error_nothing_follows() {
        let (out, mut read) = mpsc::channel(4);
        let items = futures::stream::iter([Ok(1), Err(status::stopping()), Ok(2)]);
        assert!(forward(items, std::future::pending(), &out).await.is_none());
        drop(out);
        assert!(matches!(read.recv().await, Some(Ok(1))));
        assert!(matches!(read.recv().await, Some(Err(_))));
        assert!(read.recv().await.is_none());
    }
}
