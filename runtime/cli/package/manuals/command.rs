//! Pages of commands: the text of `--help`, with every option in the synopsis, and what
//! the book's reference adds.

use anyhow::{Context as _, Result};
use clap::{Arg, Command};
use roff::{Inline, Roff, bold, italic, roman};

use crate::entries::{self, Entry};
use crate::markdown;
use crate::page::{Page, item_of, subsection, verbatim};

/// The book's page on the command line.
const REFERENCE: &str = include_str!("../../../../docs/src/reference/command-line.md");

/// The page of `vcp` and those of all its commands.
pub(crate) fn pages(command: Command) -> Result<Vec<Page>> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let of = |command: &Command| {
        let name = command.get_display_name().unwrap_or(command.get_name());
        page(name, command).with_context(|| format!("the page of {name}"))
    };
    let own = of(&command)?;
    let others = command.get_subcommands().map(of);
    std::iter::once(Ok(own)).chain(others).collect()
}

fn page(name: &str, command: &Command) -> Result<Page> {
    let entry = entries::of(name)?;
    let about = command.get_about().map(ToString::to_string);
    let about = about.context("it says not what it is")?;
    let mut page = Page::new(name, "1", &about);
    page.section("SYNOPSIS");
    // The synopsis is for typing: no word may be hyphenated or broken.
    for request in ["nh", "na"] {
        page.text.control(request, []);
    }
    page.text.text(synopsis(command));
    for request in ["ad", "hy"] {
        page.text.control(request, []);
    }
    page.section("DESCRIPTION");
    description(&mut page.text, command, &about);
    options(&mut page, command);
    if command.has_subcommands() {
        page.section("COMMANDS");
        for command in command.get_subcommands() {
            let about = command.get_about().map(ToString::to_string);
            let name = command.get_display_name().unwrap_or_default();
            let item = [bold(name), roman("(1)")];
            page.item(item, [roman(about.unwrap_or_default())]);
        }
    }
    if let Some(help) = command.get_after_help() {
        page.section("MODULES AND LINKS");
        after_help(&mut page.text, &help.to_string());
    }
    rest(&mut page, command, entry);
    Ok(page)
}

/// Adds EXIT STATUS and the sections after it.
fn rest(page: &mut Page, command: &Command, entry: &Entry) {
    page.section("EXIT STATUS");
    for (code, about) in entries::EXIT_STATUS {
        page.item([bold(*code)], [roman(*about)]);
    }
    page.section("ENVIRONMENT");
    page.item([bold("VCP_LOG")], [roman(entries::VCP_LOG)]);
    let asks = command.get_arguments().any(|arg| arg.get_id() == "control");
    page.files(entries::files_of(command.get_name(), asks));
    page.section("EXAMPLES");
    for (number, (about, lines)) in entry.examples.iter().enumerate() {
        if number > 0 {
            page.text.control("PP", []);
        }
        page.text.text([roman(format!("{about}:"))]);
        verbatim(&mut page.text, lines.lines());
    }
    let own = (page.name != "vcp").then_some("vcp(1)");
    page.see_also(own.into_iter().chain(entry.see_also.iter().copied()));
}

/// Every option with its value, and the arguments.
fn synopsis(command: &Command) -> Vec<Inline> {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let mut line = vec![bold(name)];
    let visible = || command.get_arguments().filter(|arg| !arg.is_hide_set());
    let standard = |arg: &Arg| ["help", "version"].contains(&arg.get_id().as_str());
    let options = visible().filter(|arg| !arg.is_positional() && !standard(arg));
    for arg in options.chain(visible().filter(|arg| arg.is_positional())) {
        let (open, close) = match arg.is_required_set() {
            true => ("", ""),
            false => ("[", "]"),
        };
        line.push(roman(format!(" {open}")));
        match (arg.get_long(), arg.get_short()) {
            (Some(long), Some(short)) => {
                line.extend([
                    bold(format!("-{short}")),
                    roman("|"),
                    bold(format!("--{long}")),
                ]);
            }
            (Some(long), None) => line.push(bold(format!("--{long}"))),
            (None, Some(short)) => line.push(bold(format!("-{short}"))),
            (None, None) => {}
        }
        if let Some(value) = value_of(arg) {
            if !arg.is_positional() {
                line.push(roman(" "));
            }
            line.push(italic(value));
            if repeats(arg) {
                line.push(roman(" ..."));
            }
        }
        line.push(roman(close));
    }
    if command.has_subcommands() {
        line.extend([
            roman(" "),
            italic("COMMAND"),
            roman(" ["),
            italic("ARGUMENT"),
            roman(" ...]"),
        ]);
    }
    line
}

/// An option's or argument's value, as help shows it.
fn value_of(arg: &Arg) -> Option<String> {
    if !arg.get_num_args().is_some_and(|count| count.takes_values()) {
        return None;
    }
    let possible = arg.get_possible_values();
    if !possible.is_empty() {
        let names: Vec<_> = possible.iter().map(|value| value.get_name()).collect();
        return Some(names.join("|"));
    }
    let names = arg.get_value_names()?;
    Some(
        names
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" "),
    )
}

fn repeats(arg: &Arg) -> bool {
    let many = arg
        .get_num_args()
        .is_some_and(|count| count.max_values() > 1);
    many || matches!(arg.get_action(), clap::ArgAction::Append)
}

/// Adds the book's text on this command, without the tables of options, which come later.
fn description(roff: &mut Roff, command: &Command, about: &str) {
    let name = format!("`vcp {}", command.get_name());
    let is_about = |heading: &str| {
        let rest = heading.strip_prefix(&name);
        rest.is_some_and(|rest| rest.starts_with([' ', '`']))
    };
    let parts = markdown::parts(REFERENCE);
    let parts: Vec<_> = parts.iter().filter(|part| is_about(part.heading)).collect();
    if parts.is_empty() {
        roff.text([roman(format!("{about}."))]);
    }
    for part in &parts {
        if parts.len() > 1 {
            subsection(roff, &markdown::plain(part.heading));
        }
        markdown::body(roff, part.body, |head| head != "option");
    }
}

/// Adds OPTIONS, with the arguments after them.
fn options(page: &mut Page, command: &Command) {
    let visible = || command.get_arguments().filter(|arg| !arg.is_hide_set());
    if visible().next().is_none() {
        return;
    }
    page.section("OPTIONS");
    let positional = visible().filter(|arg| arg.is_positional());
    for arg in visible()
        .filter(|arg| !arg.is_positional())
        .chain(positional)
    {
        let mut item = Vec::new();
        if let Some(short) = arg.get_short() {
            item.extend([bold(format!("-{short}")), roman(", ")]);
        }
        if let Some(long) = arg.get_long() {
            item.push(bold(format!("--{long}")));
        }
        if let Some(value) = value_of(arg) {
            if !item.is_empty() {
                item.push(roman(" "));
            }
            item.push(italic(value));
        }
        let mut about = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let defaults = arg.get_default_values().iter();
        let defaults: Vec<_> = defaults.map(|value| value.to_string_lossy()).collect();
        if !defaults.is_empty() && value_of(arg).is_some() {
            about += &format!(" (default: {})", defaults.join(" "));
        }
        page.item(item, [roman(about)]);
    }
}

/// Adds the text after the options: headings, and rows of two columns.
fn after_help(roff: &mut Roff, help: &str) {
    for line in help.lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix("  ") {
            None => subsection(roff, line.trim_end_matches(':')),
            Some(row) => {
                let (left, right) = row.trim().split_once("  ").unwrap_or((row, ""));
                item_of(roff, [bold(left)], [roman(right.trim())]);
            }
        }
    }
}
