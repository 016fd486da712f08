//! `PolicyService/TryPolicy`.

use api::v1 as proto;
use engine::{Failure, Operation, Trial, TrialPart, TrialQuery};
use prost::Message;
use proto::try_policy_response::Part;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status};

use super::{Services, receipt};
use crate::call::Call;
use crate::convert::Report;
use crate::convert::policy::{count_out, difference_out, sums_out, trial_in};
use crate::convert::values::{all, time_out};
use crate::stream::{self, Out};

/// Counts in a message: at most some 500 bytes each, but for long names.
const COUNTS: usize = 1_000;

/// Messages that a slow caller may leave unread before the walk waits for it.
const UNREAD: usize = 4;

type Sender = mpsc::Sender<Result<proto::TryPolicyResponse, Status>>;

impl Services {
    /// Starts a trial; what it finds comes through the stream.
    pub(super) async fn tried(
        &self,
        request: Request<proto::TryPolicyRequest>,
    ) -> Result<Response<Out<Result<proto::TryPolicyResponse, Status>>>, Status> {
        let (call, message) = Call::of(request)?;
        let place = call.slots().watch()?;
        let (trial, started) = match self.trial(&call, &message).await {
            Ok(begun) => begun,
            Err(failure) => return Err(call.status(&failure)),
        };
        let stopping = self.stopping();
        let told = {
            let (services, call, stopping) = (self.clone(), call.clone(), stopping.clone());
            stream::run(UNREAD, &call.clone(), |out| async move {
                // A caller who went away needs no status.
                let _ = async {
                    let started = Ok(part(Part::Started(started)));
                    stream::hand_over(&out, started, stream::stops(&stopping)).await?;
                    services.walk(trial, &call, &out, &stopping).await
                }
                .await;
            })
        };
        Ok(Response::new(stream::until_end(told, &call, stopping, place)))
    }

    async fn trial(
        &self,
        call: &Call,
        message: &proto::TryPolicyRequest,
    ) -> Result<(Trial, proto::TryStarted), Failure> {
        let mut report = Report::default();
        let operation = Operation::TryPolicy;
        let context = call.context(operation, message.purpose.as_ref(), message, &mut report);
        let query: Option<TrialQuery> = trial_in(message, &mut report);
        let (context, query) = report.finish(context.zip(query))?;
        let (trial, version, shown) = self.engine().try_policy(&context, &query).await?;
        let (position, receipt) = (shown.position, receipt(shown.receipt));
        Ok((trial, proto::TryStarted { version, position, receipt }))
    }

    /// Tells what the trial finds until it ends; an error ends it too.
    async fn walk(
        &self,
        mut trial: Trial,
        call: &Call,
        out: &Sender,
        stopping: &tokio_util::sync::CancellationToken,
    ) -> Result<(), Status> {
        loop {
            let parts = match trial.next(|record| self.asked_then(record), parts_out).await {
                Ok(Some((mut parts, shown))) => {
                    for part in &mut parts {
                        set_receipt(part, receipt(shown));
                    }
                    parts
                }
                Ok(None) => return Ok(()),
                Err(failure) => {
                    let told = Err(call.status(&failure));
                    return stream::hand_over(out, told, stream::stops(stopping)).await;
                }
            };
            for one in parts {
                stream::hand_over(out, Ok(part(one)), stream::stops(stopping)).await?;
            }
        }
    }
}

fn part(part: Part) -> proto::TryPolicyResponse {
    proto::TryPolicyResponse { part: Some(part) }
}

/// Messages for a part, and the bytes that the trail keeps a digest of: theirs, one after the other.
fn parts_out(from: &TrialPart) -> (Vec<Part>, Vec<u8>) {
    let parts = match from {
        TrialPart::Progress { looked_at, reached, differences } => {
            vec![Part::Progress(proto::TryProgress {
                looked_at: *looked_at,
                reached: reached.map(time_out),
                accesses: all(differences, difference_out),
                receipt: Vec::new(),
            })]
        }
        TrialPart::Ended { counts, sums } => {
            let counts: Vec<_> =
                counts.iter().map(|(kind, count)| count_out(kind, *count)).collect();
            let counts = counts
                .chunks(COUNTS)
                .map(|counts| Part::Counts(proto::TryCounts { counts: counts.to_vec() }));
            counts.chain(std::iter::once(Part::Ended(sums_out(sums)))).collect()
        }
    };
    let bytes = parts.iter().flat_map(|one| part(one.clone()).encode_to_vec()).collect();
    (parts, bytes)
}

fn set_receipt(part: &mut Part, receipt: Vec<u8>) {
    match part {
        Part::Progress(progress) => progress.receipt = receipt,
        Part::Ended(ended) => ended.receipt = receipt,
        // The sums behind them carry it; the start has its own.
        Part::Counts(_) | Part::Started(_) => {}
    }
}
