//! Checks of codes.
