//! The help below the options: the modules and links of this build, from the tables by
//! which they are found.

use std::fmt::Write as _;

use vcp_config::{LinkKind, LinkOption};

/// Whether this version can open a link of this kind.
pub(crate) fn opens(kind: &LinkKind) -> bool {
    match kind {
        LinkKind::Tap(_) | LinkKind::Packet(_) | LinkKind::Pipe(_) | LinkKind::Host => true,
        LinkKind::Macvtap(_) => false,
    }
}

/// Below `vcp --help`.
pub(crate) fn modules_and_links() -> String {
    let mut text = modules();
    text += "\nLinks (--link; \"vcp run --help\" has their options):\n";
    rows(&mut text, links());
    text
}

/// Below `vcp run --help`.
pub(crate) fn modules_and_link_options() -> String {
    let mut text = modules();
    text += "\nLinks (--link):\n";
    rows(&mut text, links());
    text += "\nOptions of a link, after it and a comma:\n";
    let option = |option: LinkOption| {
        let forms = LinkKind::FORMS
            .into_iter()
            .filter(|form| opens(&form.kind()));
        let forms = forms.filter(|form| form.options().any(|taken| taken == option));
        let kinds: Vec<&str> = forms
            .filter_map(|form| form.spec.split(':').next())
            .collect();
        let text = format!("{} ({})", option.summary, kinds.join(", "));
        (format!("{}={}", option.key, option.value), text)
    };
    rows(&mut text, LinkOption::ALL.map(option).into());
    text
}

fn modules() -> String {
    let mut text = String::from("Built-in modules:\n");
    let module = |module: vcp_builtin::Builtin| (module.name.to_owned(), module.summary.to_owned());
    rows(&mut text, vcp_builtin::MODULES.map(module).into());
    text
}

fn links() -> Vec<(String, String)> {
    let link = |form: vcp_config::LinkForm| {
        let not_yet = match opens(&form.kind()) {
            true => "",
            false => " (not in this version)",
        };
        (form.spec.to_owned(), format!("{}{not_yet}", form.summary))
    };
    LinkKind::FORMS.map(link).into()
}

/// Formats rows in two columns, as clap does.
fn rows(text: &mut String, rows: Vec<(String, String)>) {
    let width = rows.iter().map(|(left, _)| left.len()).max().unwrap_or(0);
    for (left, right) in rows {
        writeln!(text, "  {left:width$}  {right}").expect("a String takes everything");
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::args::Arguments;

    #[test]
    fn help_names_every_module_link_and_option() {
        let mut command = Arguments::command();
        let all = command.render_help().to_string();
        let run = command.find_subcommand_mut("run").unwrap();
        let run = run.render_help().to_string();
        for module in vcp_builtin::MODULES {
            for help in [&all, &run] {
                let line = help
                    .lines()
                    .find(|l| l.trim_start().starts_with(module.name));
                assert!(line.is_some_and(|l| l.contains(module.summary)), "{help}");
            }
        }
        for form in LinkKind::FORMS {
            assert!(all.contains(form.spec) && run.contains(form.spec), "{run}");
        }
        for option in LinkOption::ALL {
            assert!(
                run.contains(&format!("  {}={}", option.key, option.value)),
                "{run}"
            );
        }
        assert!(run.contains("a macvtap on an interface (not in this version)"));
        let allow = run.lines().find(|line| line.contains("allow=A[/B]"));
        assert!(allow.unwrap().ends_with("(host)"), "{run}");
        let own = modules_and_link_options();
        assert!(own.lines().all(|line| line.len() < 100), "{own}");
    }

    #[test]
    fn no_kind_is_refused_that_is_offered() {
        for form in LinkKind::FORMS {
            // Opening a TAP would create one.
            if matches!(form.kind(), LinkKind::Tap(_) | LinkKind::Host) {
                continue;
            }
            let net = vcp_config::Net::new(form.kind());
            let opened = crate::link::open(&net, &mut crate::link::Pipes::default(), false);
            let error = opened
                .err()
                .map(|error| format!("{error:#}"))
                .unwrap_or_default();
            let refused = error.contains("no such links");
            assert_eq!(refused, !opens(&form.kind()), "{}: {error}", form.spec);
        }
    }
}
