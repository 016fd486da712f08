//! The store on a real RocksDB: what goes in comes out, and what was damaged is named.

mod access;
mod aside;
mod damage;
mod records;
mod reopening;
mod views;
mod world;
