//! Bare JetStream: the blocks that the node published, published again to a stream with the same
//! settings on the same server, by a client that does nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, ensure};
use async_nats::jetstream;
use bytes::Bytes;

use crate::load::Caller;

/// The stream of the ledger of changes.
const RECORDS: &str = "CASELEDGER_RECORDS";
/// The stream and subject that are published to.
const STREAM: &str = "BENCH_BLOCKS";
const SUBJECT: &str = "bench.blocks";
/// Most bytes of blocks kept to be published again: more than any processor's cache.
const KEPT: usize = 128 * 1024 * 1024;

/// What an acknowledgement means.
pub(crate) const DURABILITY: &str =
    "acknowledged when nats-server has synced the message (sync_interval: always)";

/// Blocks as the node published them.
#[derive(Clone, Debug)]
pub(crate) struct Blocks(Arc<Vec<Block>>);

#[derive(Clone, Debug)]
struct Block {
    message: Bytes,
    records: u64,
}

impl Blocks {
    /// Takes blocks `first` to `last` out of the stream, which hold so many records together.
    ///
    /// # Errors
    /// When the broker does not have them.
    pub(crate) async fn take(
        broker: &str,
        first: u64,
        last: u64,
        records: u64,
    ) -> anyhow::Result<Self> {
        let context = context(broker).await?;
        let stream = context.get_stream(RECORDS).await?;
        let count = (last + 1).saturating_sub(first);
        ensure!(count > 0, "nothing was published");
        let (mut blocks, mut bytes) = (Vec::new(), 0);
        for sequence in first..=last {
            let message = stream.get_raw_message(sequence).await?.payload;
            bytes += message.len();
            // Spread evenly: only the sum of a round matters.
            let place = sequence - first;
            let share = records * (place + 1) / count - records * place / count;
            blocks.push(Block { message, records: share });
            if bytes > KEPT {
                break;
            }
        }
        Ok(Self(Arc::new(blocks)))
    }

    /// Mean length, bytes.
    pub(crate) fn mean_length(&self) -> usize {
        let sum: usize = self.0.iter().map(|block| block.message.len()).sum();
        sum / self.0.len().max(1)
    }
}

/// A stream to publish to; gone when [`Target::delete`] was called, at the latest with its server.
pub(crate) struct Target {
    context: jetstream::Context,
}

impl Target {
    /// Makes it with the settings of the ledger's own stream.
    ///
    /// # Errors
    /// When the broker refuses.
    pub(crate) async fn create(broker: &str) -> anyhow::Result<Self> {
        let context = context(broker).await?;
        let stream = context.get_stream(RECORDS).await?;
        let settings = jetstream::stream::Config {
            name: STREAM.to_owned(),
            subjects: vec![SUBJECT.to_owned()],
            metadata: std::collections::HashMap::new(),
            ..stream.cached_info().config.clone()
        };
        context.create_stream(settings).await?;
        Ok(Self { context })
    }

    /// So many publishers over one connection, as the node's writer has, one block in flight each.
    pub(crate) fn publishers(&self, count: usize, blocks: &Blocks) -> Vec<Publisher> {
        let next = Arc::new(AtomicUsize::new(0));
        let publisher = |_| Publisher {
            context: self.context.clone(),
            blocks: blocks.clone(),
            next: Arc::clone(&next),
        };
        (0..count).map(publisher).collect()
    }

    /// Deletes the stream and all in it.
    ///
    /// # Errors
    /// When the broker refuses.
    pub(crate) async fn delete(self) -> anyhow::Result<()> {
        self.context.delete_stream(STREAM).await?;
        Ok(())
    }
}

async fn context(broker: &str) -> anyhow::Result<jetstream::Context> {
    Ok(jetstream::new(async_nats::connect(broker).await?))
}

/// Publishes the blocks in turn and waits for each acknowledgement.
pub(crate) struct Publisher {
    context: jetstream::Context,
    blocks: Blocks,
    next: Arc<AtomicUsize>,
}

impl Caller for Publisher {
    async fn call(&mut self) -> anyhow::Result<u64> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.blocks.0.len().max(1);
        let block = self.blocks.0.get(turn).context("no block")?;
        self.context.publish(SUBJECT, block.message.clone()).await?.await?;
        Ok(block.records)
    }
}
