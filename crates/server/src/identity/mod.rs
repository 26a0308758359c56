//! Who is asking: tokens, sessions, scopes.
