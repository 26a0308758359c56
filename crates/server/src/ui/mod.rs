//! The web user interface.
