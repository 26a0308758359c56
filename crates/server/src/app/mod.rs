//! Puts the parts of the server together, starts them and stops them in order.
