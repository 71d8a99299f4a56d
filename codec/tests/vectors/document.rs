//! What `docs/protocol.md` states in tables and examples is what the code does.
