//! The whole system in one process, with fakes where the world would be.

pub mod sim;
