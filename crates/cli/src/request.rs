//! The id of a request that files something.

use clap::Args;

use crate::failure::Failure;

/// The id that a command files under: repeated with the same one, it files nothing twice.
#[derive(Debug, Args)]
pub(crate) struct RequestId {
    /// Request id, to repeat a call whose outcome is unknown; otherwise a new one.
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
}

impl RequestId {
    /// The one that was typed, or a random one, which is nobody else's.
    pub(crate) fn get(&self) -> Result<String, Failure> {
        if let Some(typed) = &self.request_id {
            return Ok(typed.clone());
        }
        let mut id = [0; 16];
        aws_lc_rs::rand::fill(&mut id)
            .map_err(|_| Failure::local("make a request id", "the system gives no random bytes"))?;
        Ok(hex::encode(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_used_and_otherwise_no_two_are_the_same() {
        let typed = RequestId { request_id: Some("desk-7".to_owned()) };
        assert_eq!(typed.get().unwrap(), "desk-7");
        let new = || RequestId { request_id: None }.get().unwrap();
        assert_ne!(new(), new());
    }
}
