//! A build that keeps no audit trail exists to be measured beside the one that does. It says so, and
//! serves nobody but the machine that it runs on.

use std::net::SocketAddr;

use crate::run::RunError;

/// What a node says that it is: a build without an audit trail says so wherever it is asked.
pub const VERSION: &str = if engine::UNAUDITED {
    concat!(env!("CARGO_PKG_VERSION"), " unaudited")
} else {
    env!("CARGO_PKG_VERSION")
};

/// Lets a build with an audit trail pass; one without is named an error in the log, and held to a
/// loopback address.
///
/// # Errors
/// [`RunError::Unaudited`] when others could reach it.
pub(crate) fn confine(unaudited: bool, listen: SocketAddr) -> Result<(), RunError> {
    if !unaudited {
        return Ok(());
    }
    tracing::error!(
        "this build keeps NO AUDIT TRAIL: nothing that it shows is put on record; it is for \
         measurements only"
    );
    if listen.ip().is_loopback() { Ok(()) } else { Err(RunError::Unaudited { address: listen }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_a_trail_is_reached_from_this_machine_only() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        for here in ["127.0.0.1:7443", "127.9.8.7:0", "[::1]:7443"] {
            assert!(confine(true, address(here)).is_ok(), "{here}");
        }
        for elsewhere in ["0.0.0.0:7443", "[::]:7443", "192.0.2.1:7443", "[2001:db8::1]:7443"] {
            let refused = confine(true, address(elsewhere));
            assert!(matches!(refused, Err(RunError::Unaudited { .. })), "{elsewhere}");
            assert!(confine(false, address(elsewhere)).is_ok(), "{elsewhere} with a trail");
        }
    }
}
