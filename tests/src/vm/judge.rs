//! What a kernel says when something has gone wrong.

/// Never good.
const BROKEN: &[&str] = &[
    "Kernel panic",
    "Oops",
    "BUG:",
    "WARNING: CPU",
    "general protection fault",
    "blocked for more than",
    "Out of memory",
    "possible deadlock",
];

/// That a disk, or a file system on it, has failed.
const FAILED: &[&str] = &[
    "I/O error",
    "EXT4-fs error",
    "EXT4-fs warning",
    "Aborting journal",
    "XFS: Internal error",
    "Shutting down filesystem",
];

/// Lines of a kernel's log that say it is broken.
#[must_use]
pub fn broken(log: &str) -> Vec<&str> {
    lines(log, BROKEN)
}

/// Lines that say a disk or a file system has failed.
#[must_use]
pub fn failed(log: &str) -> Vec<&str> {
    lines(log, FAILED)
}

fn lines<'a>(log: &'a str, signs: &[&str]) -> Vec<&'a str> {
    log.lines()
        .filter(|line| signs.iter().any(|sign| line.contains(sign)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_found_among_the_rest() {
        let log = "[1.0] nbd: registered device at major 43\n\
                   [2.0] block nbd0: Receive control failed (result -32)\n\
                   [3.0] I/O error, dev nbd0, sector 8 op 0x1:(WRITE)\n\
                   [4.0] INFO: task sync:77 blocked for more than 120 seconds.\n";
        assert_eq!(failed(log).len(), 1);
        assert!(failed(log)[0].starts_with("[3.0]"));
        assert_eq!(broken(log).len(), 1);
        assert!(broken(log)[0].starts_with("[4.0]"));
    }
}
