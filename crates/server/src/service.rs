//! The gRPC services: decode, convert, ask the engine, convert back. No rule lives here.

mod audit;
mod emergency;
mod evidence;
mod import;
mod incident;
mod ledger;
mod patient_file;
mod peer;
mod policy;
mod proof;
mod replay;
mod staff;
mod trial;

use std::net::IpAddr;
use std::sync::Arc;

use ::ledger::Hash;
use engine::{Engine, Failure, Receipt};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::gate::Gate;
use crate::pages::Pages;

/// What all services work with.
#[derive(Debug, Clone)]
pub(crate) struct Services {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    engine: Engine,
    gate: Gate,
    /// Genesis hash of `records`, which peers' proofs are bound to.
    genesis: Hash,
    background: Handle,
    stopping: CancellationToken,
}

impl Services {
    /// Services over this engine; what imports do is done on `background`. Streams end when `stopping` is cancelled.
    #[must_use]
    pub(crate) fn new(
        engine: Engine,
        gate: Gate,
        genesis: Hash,
        background: Handle,
        stopping: CancellationToken,
    ) -> Self {
        Self { shared: Arc::new(Shared { engine, gate, genesis, background, stopping }) }
    }

    fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    fn background(&self) -> &Handle {
        &self.shared.background
    }

    fn stopping(&self) -> CancellationToken {
        self.shared.stopping.clone()
    }

    /// Page tokens under this hospital's key.
    fn pages(&self) -> Result<Pages, Failure> {
        let key = self.engine().keyed_digest("page-token/v1", b"")?;
        Ok(Pages::new(&key.0))
    }

    /// Refuses and counts a peer call.
    fn refuse_peer(&self, source: Option<IpAddr>) -> tonic::Status {
        self.shared.gate.refuse_peer(source)
    }
}

fn receipt(from: Receipt) -> Vec<u8> {
    from.0.0.to_vec()
}
