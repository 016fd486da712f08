//! Every RocksDB option that differs from its default, and why.
//!
//! Compression is off at build time: bodies and views are ciphertext, hashes are random.

use crate::keys;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBRecoveryMode, Options, WriteBufferManager,
    WriteOptions,
};

/// Blocks, indexes and filters in memory. With the memtables and the vault's cache the node stays
/// far below its 1.5 GiB; the operating system's page cache holds the rest.
const BLOCK_CACHE_BYTES: usize = 192 * 1024 * 1024;
/// All memtables together: six full batches. With twice as much, syncs were seen to stand still
/// for 50 to 90 ms around the end of a flush.
const MEMTABLE_BYTES: usize = 48 * 1024 * 1024;
/// Log to replay after a crash: at 100 MB/s two or three seconds.
const LOG_BYTES: u64 = 256 * 1024 * 1024;
/// What flush and compaction write in a second at most: twice what two cores can file.
const BACKGROUND_BYTES: i64 = 96 * 1024 * 1024;
/// Files are not written again merely because no snapshot is older than what is in them, before they
/// are a day old. By default they are as soon as that is so, and every answer takes a snapshot and lets
/// it go: whatever was flushed was written a second time at once.
const REWRITE: &str = "bottommost_file_compaction_delay=86400";
/// Open files: 512 of 64 MiB are 32 GiB of tables without reopening.
const OPEN_FILES: i32 = 512;

/// The spool's memtables: a few of its largest blocks; most are removed before they reach a table.
const SPOOL_BYTES: usize = 8 * 1024 * 1024;

/// What any database of ours is opened with: damage is an error, at open and at every read, never
/// an empty or shorter answer.
fn strict() -> Options {
    let mut options = Options::default();
    // A later version adds tables to a database that exists.
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    // The log, tried with flipped bits and cut ends. The default (point in time) opens happily with
    // half of what was synced after one flipped bit. Absolute consistency refuses that, but also a
    // last record that ends with the file, which is what a power failure leaves of a write that
    // nobody was told of ("truncated record body"): a node would not start after it. This mode
    // refuses every checksum and length that does not fit and tolerates only such a tail. (A process
    // killed with -9 leaves none: the operating system has all it wrote.) That a log was cut further
    // up, or is gone, no mode notices: `position.json` does.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    // A recycled log holds older records behind its end, so a damaged middle and an end look alike.
    options.set_recycle_log_file_num(0);
    // A log that was closed and synced and then disappears is noticed at open (the live one is not).
    options.set_track_and_verify_wals_in_manifest(true);
    // Tables are flushed together: whatever happens to the log, no table is ahead of another.
    options.set_atomic_flush(true);
    // RocksDB's own report: a few small files, not one a start for ever.
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(4 * 1024 * 1024);
    options
}

/// The spool's database.
pub(crate) fn spool() -> Options {
    let mut options = strict();
    options.create_if_missing(true);
    options.set_write_buffer_size(SPOOL_BYTES);
    options.set_max_total_wal_size(4 * SPOOL_BYTES as u64);
    options.set_max_open_files(16);
    options
}

/// The ledgers' database as a whole. `create` only where there is none.
pub(crate) fn database(create: bool) -> Options {
    let mut options = strict();
    options.create_if_missing(create);
    options.set_max_total_wal_size(LOG_BYTES);
    options.set_max_open_files(OPEN_FILES);
    // Two cores: one flush and one compaction beside apply and answers.
    options.set_max_background_jobs(2);
    // Compaction writes in pieces, so that its sync does not stall the log's.
    options.set_bytes_per_sync(1024 * 1024);
    // Flush and compaction no faster than needed, and in pieces of 10 ms' worth: a burst of them holds
    // up the log's syncs, and everybody who waits for one. Not the limit that tunes itself: after a quiet time it would be a
    // twentieth, and a load that comes then would wait for its flush.
    options.set_ratelimiter(BACKGROUND_BYTES, 10_000, 10);
    let manager = WriteBufferManager::new_write_buffer_manager(MEMTABLE_BYTES, false);
    options.set_write_buffer_manager(&manager);
    options
}

/// The tables.
///
/// # Errors
/// When RocksDB does not know an option.
pub(crate) fn tables() -> Result<Vec<ColumnFamilyDescriptor>, rocksdb::Error> {
    let cache = Cache::new_lru_cache(BLOCK_CACHE_BYTES);
    keys::TABLES
        .iter()
        .map(|name| Ok(ColumnFamilyDescriptor::new(*name, table(name, &cache)?)))
        .collect()
}

fn table(name: &str, cache: &Cache) -> Result<Options, rocksdb::Error> {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    // Indexes and filters count against the cache: memory is bounded whatever the database's size.
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    // Apply asks for heads, settled ids and entries that mostly are not there: 10 bits a key make
    // 99 of 100 such questions free.
    blocks.set_bloom_filter(10.0, false);
    // Rows are 16 bytes to 8 KiB; four times the default block spares index entries at 10 M records.
    blocks.set_block_size(16 * 1024);
    // The one option that has no function of its own.
    let mut options = Options::default().get_options_from_string(REWRITE)?;
    options.set_block_based_table_factory(&blocks);
    if [keys::HEADS, keys::SETTLED, keys::FILES].contains(&name) {
        // The same for what is still in memory, for the tables that apply asks: a miss costs
        // a walk through the memtable otherwise. Half a MiB each, taken with every new memtable.
        options.set_memtable_whole_key_filtering(true);
        options.set_memtable_prefix_bloom_ratio(0.02);
    }
    // The manager above bounds the sum; one busy table may take half of it.
    options.set_write_buffer_size(MEMTABLE_BYTES / 2);
    Ok(options)
}

/// For everything that is acknowledged: on the disk when the call returns.
pub(crate) fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

/// For rebuilding views: no log, because an interrupted rebuild starts again.
pub(crate) fn unlogged() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    options
}
