//! The `vcp` command.

fn main() {}
