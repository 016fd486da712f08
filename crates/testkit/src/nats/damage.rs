//! What disks do to a broker's files.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};

use super::{NatsServer, blocks};

impl NatsServer {
    /// Cuts `bytes` from the end of a stream's last block file, and removes the indexes that would
    /// tell what was there. The server must not run.
    ///
    /// # Errors
    /// When it runs, or the stream has no block of that length.
    pub fn truncate_tail(&self, stream: &str, bytes: u64) -> anyhow::Result<()> {
        let block = self.last_block(stream)?;
        let length = std::fs::metadata(&block)?.len();
        let kept = length.checked_sub(bytes).context("the block is shorter than that")?;
        std::fs::OpenOptions::new().write(true).open(&block)?.set_len(kept)?;
        self.forget_index(stream)
    }

    /// Flips one bit of a stream's last block file, `from_end` bytes before its end. The server must
    /// not run.
    ///
    /// # Errors
    /// When it runs, or the stream has no block of that length.
    pub fn flip_bit(&self, stream: &str, from_end: usize) -> anyhow::Result<()> {
        let block = self.last_block(stream)?;
        let mut bytes = std::fs::read(&block)?;
        let at = bytes.len().checked_sub(from_end).context("the block is shorter than that")?;
        let byte = bytes.get_mut(at).context("nothing is flipped at the very end")?;
        *byte ^= 1;
        std::fs::write(&block, bytes)?;
        Ok(())
    }

    /// Bytes in all block files of a stream, as they are on disk.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn block_bytes(&self, stream: &str) -> anyhow::Result<u64> {
        let mut sum = 0;
        for block in blocks(&self.messages_dir(stream))? {
            sum += std::fs::metadata(block)?.len();
        }
        Ok(sum)
    }

    /// Removes a stream's index, as after a crash that came before it was written.
    ///
    /// # Errors
    /// When the server runs or the file cannot be removed.
    pub fn forget_index(&self, stream: &str) -> anyhow::Result<()> {
        ensure!(self.pid().is_none(), "the server runs: kill or stop it first");
        match std::fs::remove_file(self.messages_dir(stream).join("index.db")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn last_block(&self, stream: &str) -> anyhow::Result<PathBuf> {
        ensure!(self.pid().is_none(), "the server runs: kill or stop it first");
        blocks(&self.messages_dir(stream))?.pop().context("the stream has no block file")
    }
}
