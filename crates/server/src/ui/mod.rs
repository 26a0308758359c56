//! The web user interface: pages that are whole without JavaScript and live with it.

pub mod log;
