//! Inside the tests' virtual machine: `vm-agent` runs what the test asks for,
//! `vm-agent tree …` writes and checks trees of files.

mod serve;
mod tree;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        [] => serve::serve(),
        ["tree", rest @ ..] => tree::command(rest),
        _ => Err(format!("unexpected {arguments:?}").into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vm-agent: {error}");
            ExitCode::FAILURE
        }
    }
}
