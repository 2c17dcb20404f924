//! Build, set-up, test and demo commands of this repository.

fn main() {}
