//! Streaming import, and the yardsticks that write as much at a time as they like.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{BARE_BLOCKS, IMPORT, STREAMED, UMADB_BATCHES, clients};
use crate::contender::hospital::Hospital;
use crate::contender::jetstream::{Blocks, Target};
use crate::contender::umadb::UmaDb;
use crate::importing::Delivery;
use crate::load::{Measured, closed, lasting};
use crate::plan::Plan;
use crate::session::{Session, say};

const UNIT: &str = "records";
/// Import streams at once.
const STREAMS: [u64; 2] = [1, 4];
/// Blocks in flight at once: the node's writer has four.
const IN_FLIGHT: [usize; 3] = [1, 4, 16];
/// Events of one of UmaDB's appends.
const BATCH: usize = 100;
/// Longer than a node gives way to those who worked before.
const QUIET: Duration = Duration::from_secs(3);
/// Clients that append in batches.
const BATCHERS: [usize; 2] = [1, 16];

/// Caseledger's, and bare publishes of the blocks that the import published.
///
/// # Errors
/// When an item is refused, or a part does not run any more.
pub(crate) async fn caseledger(session: &mut Session, hospital: &Hospital) -> anyhow::Result<()> {
    for streams in STREAMS {
        let load = if streams == 1 { "1 stream".to_owned() } else { format!("{streams} streams") };
        say(&format!("  import, {load}"));
        let (_, before) = hospital.records().await?;
        let measured = import(session, hospital, streams).await?;
        let (_, after) = hospital.records().await?;
        let items = measured.units;
        session.report.add(IMPORT, UNIT, STREAMED, &load, measured);
        if streams == 1 {
            let blocks = Blocks::take(hospital.broker(), before + 1, after, items).await?;
            bare(session, hospital, &blocks).await?;
        }
    }
    Ok(())
}

async fn import(
    session: &mut Session,
    hospital: &Hospital,
    streams: u64,
) -> anyhow::Result<Measured> {
    let mut deliveries = Vec::new();
    for _ in 0..streams {
        let numbers = session.numbers((session.plan.import_patients / streams).max(1));
        let delivery = Delivery::of(&session.people, numbers, Plan::IMPORT_ENTRIES)?;
        deliveries.push((hospital.client()?, delivery));
    }
    // Nobody else works, and the node has noticed that.
    lasting(QUIET).await;
    let meter = hospital.meter()?;
    let (before, began) = (meter.read()?, Instant::now());
    let mut sending = JoinSet::new();
    for (client, delivery) in deliveries {
        sending.spawn(async move { delivery.send(&client).await });
    }
    let (mut records, mut again) = (0, 0);
    while let Some(sent) = sending.join_next().await {
        let delivered = sent??;
        records += delivered.records;
        again += delivered.again;
    }
    let seconds = began.elapsed().as_secs_f64();
    if again > 0 {
        say(&format!("    {again} patients had to be sent again: no keys for them yet"));
    }
    Measured::bulk(seconds, records, meter.since(&before)?)
}

async fn bare(session: &mut Session, hospital: &Hospital, blocks: &Blocks) -> anyhow::Result<()> {
    for count in IN_FLIGHT {
        say(&format!("  bare publishes, {count} in flight ({} bytes each)", blocks.mean_length()));
        let target = Target::create(hospital.broker()).await?;
        let publishers = target.publishers(count, blocks);
        let measured = closed(publishers, session.plan.window, &hospital.meter()?).await?;
        session.report.add(IMPORT, UNIT, BARE_BLOCKS, &format!("{count} in flight"), measured);
        target.delete().await?;
    }
    Ok(())
}

/// UmaDB's, a hundred events at a time.
///
/// # Errors
/// When UmaDB does not run.
pub(crate) async fn umadb(session: &mut Session, database: &UmaDb) -> anyhow::Result<()> {
    for count in BATCHERS {
        say(&format!("  {UMADB_BATCHES}, {}", clients(count)));
        let writers = database.writers(count, session.plan.command_patients, BATCH)?;
        let measured = closed(writers, session.plan.window, &database.meter()).await?;
        session.report.add(IMPORT, UNIT, UMADB_BATCHES, &clients(count), measured);
    }
    Ok(())
}
