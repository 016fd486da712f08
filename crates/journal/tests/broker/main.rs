//! The journal against a real nats-server, which is killed, stopped, paused and damaged.

#[cfg(test)]
mod bucket;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod follow;
#[cfg(test)]
mod helpers;
#[cfg(test)]
mod publish;
#[cfg(test)]
mod replicated;
#[cfg(test)]
mod set_up;
