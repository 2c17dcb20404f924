//! Stock programs: whether they are there, and running them within a limit.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Seconds that one program may run.
const LIMIT: &str = "100";
/// Where the distribution's programs are; other Pythons lack its modules.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Whether a test can run. If not, the reason is printed, and under CI that is a failure.
pub(crate) fn have(test: &str, what: &[&str]) -> bool {
    let found = |program: &&&str| match **program {
        "python3-libnbd" => python_has_nbd(),
        program => PATH
            .split(':')
            .any(|dir| Path::new(dir).join(program).exists()),
    };
    let Some(missing) = what.iter().find(|program| !found(program)) else {
        return true;
    };
    println!("skipped: {test} needs {missing}");
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{test} needs {missing}"
    );
    false
}

fn python_has_nbd() -> bool {
    let python = Command::new("/usr/bin/python3")
        .args(["-c", "import nbd"])
        .output();
    python.is_ok_and(|output| output.status.success())
}

/// Returns from the test unless all programs are there.
#[macro_export]
macro_rules! requires {
    ($($program:literal),+) => {
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        if !$crate::tool::have(&test, &[$($program),+]) {
            return;
        }
    };
}

fn output(program: &str, arguments: &[&str]) -> Output {
    Command::new("timeout")
        .args(["-k", "5", LIMIT, program])
        .args(arguments)
        .env("PATH", PATH)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Runs a program that has to succeed and returns what it printed.
#[track_caller]
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = output(program, arguments);
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}\n{out}\n{err}",
        output.status
    );
    out.into_owned()
}

/// Runs a program that has to fail by itself and returns its complaint.
#[track_caller]
pub(crate) fn fails(program: &str, arguments: &[&str]) -> String {
    let output = output(program, arguments);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let code = output.status.code();
    assert!(
        !matches!(code, Some(0 | 124 | 137) | None),
        "{program} {arguments:?}: {code:?} {text}"
    );
    text
}

/// Runs a libnbd script; `h` is an unconnected handle with all checks on the
/// client's side switched off, `uri` the first argument.
#[track_caller]
pub(crate) fn libnbd(uri: &str, script: &str) -> String {
    let prelude = "
import sys, errno, nbd
uri = sys.argv[1]
h = nbd.NBD()
h.set_strict_mode(0)
def fails(code, call, *args):
    try:
        call(*args)
    except nbd.Error as error:
        assert error.errnum == code, (error.errnum, code, str(error))
        return str(error)
    raise AssertionError('no error')
";
    run(
        "/usr/bin/python3",
        &["-c", &format!("{prelude}{script}"), uri],
    )
}

/// A file of `size` bytes: runs of noise, of zeroes and of holes.
pub(crate) fn image(path: &Path, size: usize) {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(size);
    while bytes.len() < size {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let run = (4096 + (seed >> 40) as usize % 300_000).min(size - bytes.len());
        if seed >> 63 == 0 {
            bytes.resize(bytes.len() + run, 0);
        } else {
            bytes.extend(
                (0..run as u64).map(|i| {
                    (i.wrapping_add(seed).wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8
                }),
            );
        }
    }
    std::fs::write(path, bytes).unwrap();
}
