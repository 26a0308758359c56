//! Job logs: append at a byte offset, read whole, follow live.
