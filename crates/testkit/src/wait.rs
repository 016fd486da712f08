//! Waiting for a state, never for a duration.

use std::time::Duration;

/// Asks again and again until it is so, and fails with the last answer when it is not in time.
///
/// # Errors
/// The last error, when `patience` is over.
pub async fn eventually<T>(
    patience: Duration,
    what: &str,
    mut ask: impl AsyncFnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    /// Between two looks: short beside anything that is waited for.
    const LOOK: Duration = Duration::from_millis(10);
    let deadline = tokio::time::Instant::now() + patience;
    let mut looks = tokio::time::interval(LOOK);
    loop {
        looks.tick().await;
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) if tokio::time::Instant::now() > deadline => {
                return Err(error.context(format!("waited {patience:?} until {what}")));
            }
            Err(_) => {}
        }
    }
}
