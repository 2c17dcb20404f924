//! The restrictions of a service's unit, and the package's drop-ins that lift them.
//! Drop-ins do not help outside of a service.

/// A drop-in of the package for the unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DropIn {
    /// Allows kernel devices.
    Attach,
    /// Allows `tap:` and `packet:` links.
    Links,
}

impl DropIn {
    /// The drop-in's path in the package.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Attach => "/usr/share/doc/vcp/examples/attach.conf",
            Self::Links => "/usr/share/doc/vcp/examples/links.conf",
        }
    }

    /// Instructions for the operator.
    pub(crate) fn instructions(self) -> String {
        format!(
            "copy {} to /etc/systemd/system/vcp.service.d/, then \
             systemctl daemon-reload && systemctl restart vcp",
            self.path()
        )
    }
}

/// How to lift the restriction, if this process is a service.
pub(crate) fn cure(drop_in: DropIn) -> Option<String> {
    let variable = |name: &str| std::env::var(name).ok();
    is_service(variable, std::process::id()).then(|| {
        let how = drop_in.instructions();
        format!("the unit of the service has to allow it: {how}")
    })
}

/// Whether the service manager has started the process, judged by its environment. Most
/// of that is inherited, for example by the shell in a terminal (systemd.exec(5)).
fn is_service(variable: impl Fn(&str) -> Option<String>, process: u32) -> bool {
    if variable("NOTIFY_SOCKET").is_some() {
        return true;
    }
    let started = variable("SYSTEMD_EXEC_PID").map(|number| number.parse() == Ok(process));
    // Before version 248 no variable named the process.
    started.unwrap_or_else(|| variable("INVOCATION_ID").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told_by(environment: &[(&str, &str)]) -> bool {
        let variable = |name: &str| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        is_service(variable, 7)
    }

    #[test]
    fn a_service_is_told_from_what_runs_in_its_environment() {
        assert!(told_by(&[("NOTIFY_SOCKET", "/run/n")]));
        assert!(told_by(&[("INVOCATION_ID", "a")]));
        assert!(told_by(&[
            ("INVOCATION_ID", "a"),
            ("SYSTEMD_EXEC_PID", "7")
        ]));
        assert!(!told_by(&[
            ("INVOCATION_ID", "a"),
            ("SYSTEMD_EXEC_PID", "8")
        ]));
        assert!(!told_by(&[]));
    }

    #[test]
    fn a_drop_in_is_named_with_what_to_do_with_it() {
        for (drop_in, name) in [
            (DropIn::Attach, "attach.conf"),
            (DropIn::Links, "links.conf"),
        ] {
            let how = drop_in.instructions();
            assert!(
                how.contains(&format!("/usr/share/doc/vcp/examples/{name} ")),
                "{how}"
            );
            assert!(how.contains("/etc/systemd/system/vcp.service.d/"), "{how}");
            assert!(how.contains("daemon-reload"), "{how}");
        }
    }
}
