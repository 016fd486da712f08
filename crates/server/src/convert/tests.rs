//! Conversion: what goes in comes out, and hostile input is named by its place.

mod hostile;
mod round_trip;
