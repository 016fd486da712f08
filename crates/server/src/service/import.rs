//! `ImportService`: a bounded window of groups, each the consecutive items of one patient.

mod group;

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::Arc;

use api::v1 as proto;
use api::v1::import_service_server::ImportService;
use domain::PatientId;
use engine::{Context, Failure, Operation, Receipt};
use futures::future::{BoxFuture, Shared};
use futures::{FutureExt, Stream, StreamExt};
use prost::Message;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;
use tonic::{Request, Response, Status, Streaming};

use self::group::{Done, Group};
use super::{Services, receipt};
use crate::call::Call;
use crate::convert::import::{Selector, selector_in};
use crate::convert::{At, Report};
use crate::{stream, undecodable};

/// Items in one message (its contract in the proto): a result must come back for each.
const MAX_ITEMS: usize = 256;

/// Groups of one import at work. The writer has four publishes in flight of up to 1,024 records
/// each; sixteen groups of up to 200 fill them.
const WINDOW: usize = 16;

/// Bytes of one import at work: what it may make this node hold, whatever the items.
const WINDOW_BYTES: usize = 16 * 1024 * 1024;

/// Responses a client may leave unread before its import waits for it.
const UNREAD: usize = 32;

/// Patients remembered by their number, within one stream: about 200 bytes each. Beyond it they are
/// looked up again; so is one as soon as the registry moved where the number stands.
const REMEMBERED: usize = 65_536;

type Out = Sender<Result<proto::ImportResponse, Status>>;

#[tonic::async_trait]
impl ImportService for Services {
    type ImportStream = Pin<Box<dyn Stream<Item = Result<proto::ImportResponse, Status>> + Send>>;

    async fn import(
        &self,
        request: Request<Streaming<proto::ImportRequest>>,
    ) -> Result<Response<Self::ImportStream>, Status> {
        let (call, items) = Call::of(request)?;
        let place = call.slots().import()?;
        let services = self.clone();
        let held = (call.place(), place);
        let stream = stream::run(UNREAD, &call.clone(), |out| async move {
            let mut import = Import::new(services, call, out);
            let ended = import.run(items).await;
            // What is under way is told before the end is.
            let drained = import.drain().await;
            let (out, stopping) = (import.out.clone(), import.services.stopping());
            // Others need the places while this caller does not read how it ended.
            drop((import, held));
            if let Err(status) = ended.and(drained) {
                // A caller that went away needs no status.
                let _ = stream::hand_over(&out, Err(status), stream::stops(&stopping)).await;
            }
        });
        Ok(Response::new(Box::pin(stream)))
    }
}

/// One import stream.
struct Import {
    services: Services,
    call: Call,
    out: Out,
    /// Resolves when the stream is to end, with why.
    ends: Shared<BoxFuture<'static, Status>>,
    /// Who, why: set by the first message.
    context: Option<Arc<Context>>,
    gathering: Option<Group>,
    working: JoinSet<Done>,
    /// Patients with a group at work: the next group of one waits, so that its items keep order.
    busy: HashSet<Selector>,
    bytes: usize,
    /// Whose a number was at this version of the registry.
    known: HashMap<Selector, (PatientId, u64)>,
}

impl Import {
    fn new(services: Services, call: Call, out: Out) -> Self {
        let ends = stream::ends(&call, services.stopping()).boxed().shared();
        Self {
            services,
            call,
            out,
            ends,
            context: None,
            gathering: None,
            working: JoinSet::new(),
            busy: HashSet::new(),
            bytes: 0,
            known: HashMap::new(),
        }
    }

    /// Takes items until the client has no more, or something ends the stream for good.
    async fn run(&mut self, mut items: Streaming<proto::ImportRequest>) -> Result<(), Status> {
        let mut ends = self.ends.clone();
        loop {
            if let Some(status) = (&mut ends).now_or_never() {
                return Err(status);
            }
            let next = match items.next().now_or_never() {
                Some(next) => next,
                None => {
                    // Nothing more is waiting: what was gathered need not wait either.
                    self.start().await?;
                    tokio::select! {
                        next = items.next() => next,
                        done = self.working.join_next(), if !self.working.is_empty() => {
                            self.done(done).await?;
                            continue;
                        }
                        status = &mut ends => return Err(status),
                    }
                }
            };
            match next {
                None => return self.start().await,
                Some(Ok(message)) => self.take(message).await?,
                Some(Err(status)) => return Err(undecodable::malformed(&status).unwrap_or(status)),
            }
        }
    }

    /// Gathers one message's items.
    async fn take(&mut self, message: proto::ImportRequest) -> Result<(), Status> {
        let first = self.context.is_none();
        self.check(&message).map_err(|failure| self.call.status(&failure))?;
        if let Some(context) = self.context.as_ref().filter(|_| first) {
            // Once, and before any item: else each group at work would be denied, and that put on record.
            let first = message.items.first().and_then(|item| item.patient.as_ref());
            let patient = match selector_in(first, &At::TOP, &mut Report::default()) {
                Some(Selector::Id(patient)) => Some(patient),
                Some(Selector::Number { .. }) | None => None,
            };
            let admitted = self.services.engine().may_import(context, patient).await;
            admitted.map_err(|failure| self.call.status(&failure))?;
        }
        let most = self.services.engine().import_group();
        for item in message.items {
            // A faulty selector is reported with the item's other faults; it belongs to no group.
            let at = At::TOP;
            let selector = selector_in(item.patient.as_ref(), &at, &mut Report::default());
            let fits = self.gathering.as_ref().is_some_and(|group| {
                selector.as_ref() == Some(&group.selector) && group.fits(&item, most)
            });
            if !fits {
                self.start().await?;
            }
            match (&mut self.gathering, selector) {
                (Some(group), _) => group.push(item),
                (none, Some(selector)) => *none = Some(Group::of(selector, item)),
                (None, None) => {
                    let result = group::refused_item(item);
                    self.tell(vec![result], 0, None).await?;
                }
            }
        }
        Ok(())
    }

    fn check(&mut self, message: &proto::ImportRequest) -> Result<(), Failure> {
        let mut report = Report::default();
        if message.items.len() > MAX_ITEMS {
            let limit = format!("a message has at most {MAX_ITEMS} items");
            report.fault(&At::TOP.field("items"), "too-many", limit);
        }
        if self.context.is_none() {
            let purpose = message.purpose.clone();
            let told = proto::ImportRequest { purpose, items: Vec::new() };
            let context =
                self.call.context(Operation::Import, told.purpose.as_ref(), &told, &mut report);
            self.context = Some(Arc::new(report.finish(context)?));
            return Ok(());
        }
        report.finish(Some(()))
    }

    /// Sends what was gathered to work, as soon as the window has room for it.
    async fn start(&mut self) -> Result<(), Status> {
        let Some(group) = self.gathering.take() else { return Ok(()) };
        while self.busy.contains(&group.selector)
            || self.working.len() >= WINDOW
            || (self.bytes + group.bytes > WINDOW_BYTES && !self.working.is_empty())
        {
            let done = self.working.join_next().await;
            self.done(done).await?;
        }
        let Some(context) = self.context.clone() else { return Ok(()) };
        self.busy.insert(group.selector.clone());
        self.bytes += group.bytes;
        let known = match &group.selector {
            Selector::Id(patient) => Some((*patient, 0)),
            number @ Selector::Number { .. } => self.known.get(number).copied(),
        };
        let engine = self.services.engine().clone();
        let call = self.call.id().to_owned();
        let work = async move { group.file(&engine, &context, &call, known).await };
        self.working.spawn_on(work, self.services.background());
        Ok(())
    }

    /// Tells what became of a group.
    async fn done(
        &mut self,
        done: Option<Result<Done, tokio::task::JoinError>>,
    ) -> Result<(), Status> {
        let done = match done {
            None => return Ok(()),
            Some(Ok(done)) => done,
            Some(Err(error)) => {
                let cause = format!("a group of an import did not end: {error}");
                return Err(self.call.status(&Failure::Internal { cause }));
            }
        };
        self.busy.remove(&done.selector);
        self.bytes = self.bytes.saturating_sub(done.bytes);
        if let Some(known) = done.patient.zip(done.version) {
            if self.known.len() >= REMEMBERED {
                self.known.clear();
            }
            self.known.insert(done.selector, known);
        }
        self.tell(done.results, done.position, done.receipt).await
    }

    async fn tell(
        &self,
        results: Vec<proto::ImportResult>,
        position: u64,
        shown: Option<Receipt>,
    ) -> Result<(), Status> {
        // What was unchanged or refused was found so at some position too.
        let position = position.max(self.services.engine().position());
        let receipt = shown.map(receipt).unwrap_or_default();
        let response = proto::ImportResponse { results, position, receipt };
        debug_assert!(response.encoded_len() < crate::status::MAX_MESSAGE);
        stream::hand_over(&self.out, Ok(response), self.ends.clone()).await
    }

    /// Waits for what is at work.
    async fn drain(&mut self) -> Result<(), Status> {
        let mut ended = Ok(());
        while let Some(done) = self.working.join_next().await {
            ended = ended.and(self.done(Some(done)).await);
        }
        ended
    }
}
