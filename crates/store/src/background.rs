//! Work that nobody waits for by the millisecond.

use std::io;

/// Niceness of such work: beside a thread of the usual priority it gets a tenth of a processor.
const NICENESS: i32 = 10;

/// Lowers the priority of the calling thread, for good: whoever works with files gets a processor at
/// once, and where nobody else wants one, the thread is as fast as ever. The price: a lock that it
/// holds when it has to give way is held for that long.
///
/// # Errors
/// When the system does not allow it. At the usual priority the work is done as well.
pub fn lower_priority() -> io::Result<()> {
    // On Linux this is the calling thread alone.
    Ok(rustix::process::setpriority_process(None, NICENESS)?)
}
