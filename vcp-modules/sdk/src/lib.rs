//! What a VCP written in Rust is made with.
