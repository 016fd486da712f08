//! Where this node listens, and what must hold before it does.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

use crate::reload::Reload;
use crate::run::RunError;
use crate::tls::Tls;
use crate::{config, unaudited};

/// Connections that may wait to be taken: after a restart all services come back in one moment. A
/// connection that finds no room is tried again after a whole second.
const CONNECTIONS_AT_ONCE: u32 = 4_096;

/// An address that is listened at.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    /// Where; the port is the real one.
    pub(crate) address: SocketAddr,
    /// With what certificate; none: in the clear.
    pub(crate) tls: Option<Tls>,
}

impl Listener {
    /// Listens. `key` is the configuration's name for `tls`, `protocol` what is spoken over it; what looks
    /// whether its files have changed is added to `reloads`.
    ///
    /// # Errors
    /// The address is not to be had or not to be listened at in this way, or the certificate cannot be used.
    pub(crate) fn open(
        listen: SocketAddr,
        (key, tls): (&'static str, Option<&config::Tls>),
        protocol: &'static [u8],
        reloads: &mut Vec<Reload>,
    ) -> Result<Self, RunError> {
        unaudited::confine(engine::UNAUDITED, listen)?;
        confine(listen, tls.is_some())?;
        let tls = match tls {
            None => None,
            Some(files) => {
                let (tls, reload) = Tls::load(key, files, protocol)
                    .map_err(|source| RunError::Tls { key, source })?;
                reloads.push(reload);
                Some(tls)
            }
        };
        let failed = |source| RunError::Listen { address: listen, source };
        let socket = bind(listen).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address, tls })
    }
}

/// Keeps what is said in the clear on this machine: tokens and patient data are in it.
fn confine(listen: SocketAddr, tls: bool) -> Result<(), RunError> {
    if tls || listen.ip().is_loopback() {
        Ok(())
    } else {
        Err(RunError::InTheClear { address: listen })
    }
}

/// Listens, with room for everybody who comes at once.
fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(CONNECTIONS_AT_ONCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_clear_a_node_is_reached_from_this_machine_only() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        for here in ["127.0.0.1:7443", "127.9.8.7:0", "[::1]:7443"] {
            assert!(confine(address(here), false).is_ok(), "{here}");
        }
        for elsewhere in ["0.0.0.0:7443", "[::]:7443", "192.0.2.1:7443", "[2001:db8::1]:7443"] {
            let refused = confine(address(elsewhere), false);
            assert!(matches!(refused, Err(RunError::InTheClear { .. })), "{elsewhere}");
            assert!(confine(address(elsewhere), true).is_ok(), "{elsewhere} with TLS");
        }
    }
}
