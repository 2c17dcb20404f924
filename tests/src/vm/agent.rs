//! Asking the agent inside the machine to run scripts. A line of JSON each way
//! on the second serial port; several may be under way at a time.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

/// Where the agent finds its port.
pub const PORT: &str = "/dev/ttyS1";
/// Where the machine keeps compiled modules.
pub const CACHE: &str = "/root/.cache/vcp";

/// A script for `sh`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ask {
    /// By which the answer is known.
    pub id: u64,
    /// What to run.
    pub script: String,
}

/// How a script ended. The agent's first line is one of script 0, which nobody
/// asked for: it is up.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// Of the [`Ask`].
    pub id: u64,
    /// Exit code, 128 + signal as a shell has it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// This end of the line.
#[derive(Debug)]
pub struct Agent {
    line: UnixStream,
    answers: Arc<Mutex<HashMap<u64, Answer>>>,
    asked: u64,
}

impl Agent {
    /// Listens to a port that qemu has connected.
    ///
    /// # Panics
    /// When there is no thread to be had.
    #[must_use]
    pub fn new(line: UnixStream) -> Self {
        let answers = Arc::new(Mutex::new(HashMap::new()));
        let theirs = line.try_clone().expect("a descriptor");
        let kept = Arc::clone(&answers);
        // Ends with qemu, whose end of the line it reads.
        std::thread::spawn(move || listen(theirs, &kept));
        Self {
            line,
            answers,
            asked: 0,
        }
    }

    /// Has a script run; returns its number.
    ///
    /// # Panics
    /// When qemu has gone.
    pub fn ask(&mut self, script: &str) -> u64 {
        self.asked += 1;
        let ask = Ask {
            id: self.asked,
            script: script.to_owned(),
        };
        let mut line = serde_json::to_vec(&ask).expect("strings and numbers");
        line.push(b'\n');
        self.line.write_all(&line).expect("the machine runs");
        self.asked
    }

    /// Its answer, if it is there; each can be taken once.
    ///
    /// # Panics
    /// When the listener has.
    #[must_use]
    pub fn answer(&self, id: u64) -> Option<Answer> {
        self.answers.lock().expect("nobody panics").remove(&id)
    }
}

fn listen(line: UnixStream, answers: &Mutex<HashMap<u64, Answer>>) {
    for line in BufReader::new(line).lines() {
        let Ok(line) = line else { return };
        // What is no answer is an echo from before the port was made quiet.
        if let Ok(answer) = serde_json::from_str::<Answer>(&line) {
            let mut answers = answers.lock().expect("nobody panics");
            answers.insert(answer.id, answer);
        }
    }
}
