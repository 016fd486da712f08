//! No core dumps: the memory of a node holds keys and what people's files say.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Switches core dumps off for this process and what it starts, whatever the system collects them with;
/// and nobody but the administrator can attach a debugger or read its memory. Swap is not touched: on a
/// machine that has some, it is to be encrypted.
///
/// # Errors
/// When the system does not let it.
pub fn off() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // A collector that cores are piped to takes them whatever the limit.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}
