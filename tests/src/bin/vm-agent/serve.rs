//! Runs scripts that arrive on the port, each in a shell and a thread of its own.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use vcp_tests::vm::agent::{Answer, Ask, PORT};

pub(crate) fn serve() -> Result<(), Box<dyn Error>> {
    let port = File::options().read(true).write(true).open(PORT)?;
    let mut quiet = tcgetattr(&port)?;
    quiet.make_raw();
    tcsetattr(&port, OptionalActions::Flush, &quiet)?;
    let replies = Arc::new(Mutex::new(port.try_clone()?));
    reply(
        &replies,
        &Answer {
            id: 0,
            code: 0,
            stdout: String::new(),
            stderr: String::new(),
        },
    );
    for line in BufReader::new(port).lines() {
        let ask: Ask = serde_json::from_str(&line?)?;
        let replies = Arc::clone(&replies);
        std::thread::spawn(move || reply(&replies, &run(&ask)));
    }
    Ok(())
}

/// Output goes to files: a script may leave something running that keeps a pipe
/// open, and is not waited for.
fn run(ask: &Ask) -> Answer {
    let [stdout, stderr] = ["out", "err"].map(|kind| format!("/tmp/{}.{kind}", ask.id));
    let script = || -> std::io::Result<i32> {
        let status = Command::new("/bin/sh")
            .args(["-c", &ask.script])
            .stdin(Stdio::null())
            .stdout(File::create(&stdout)?)
            .stderr(File::create(&stderr)?)
            .status()?;
        let signal = || 128 + status.signal().unwrap_or(0);
        Ok(status.code().unwrap_or_else(signal))
    };
    let code = script();
    let read = |path: &str| {
        let bytes = fs::read(path).unwrap_or_default();
        let _ = fs::remove_file(path);
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Answer {
        id: ask.id,
        stdout: read(&stdout),
        stderr: match &code {
            Ok(_) => read(&stderr),
            Err(error) => format!("cannot start a shell: {error}"),
        },
        code: code.unwrap_or(127),
    }
}

fn reply(port: &Mutex<File>, answer: &Answer) {
    let mut line = serde_json::to_vec(answer).expect("strings and numbers");
    line.push(b'\n');
    let mut port = port.lock().expect("nobody panics while writing");
    // With the port gone there is nobody to tell.
    let _ = port.write_all(&line);
}
