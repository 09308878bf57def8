//! The references in docs/specification that the program writes about itself: its commands, and the settings of a proxy.
//!
//! They are compared with what is committed; with `MICRORAIDEN_WRITE_REFERENCE` in the environment they are written, which is
//! what `cargo xtask reference` does.

use crate::args::Cli;
use crate::proxy::init::TEMPLATE;
use crate::proxy::settings::{RELOADED, Settings};
use clap::{Arg, Args, Command, CommandFactory};
use std::fmt::Write;
use std::path::Path;

const NOTE: &str = "<!-- Written by `cargo xtask reference`. -->\n\n";

#[test]
fn commands_are_as_the_reference_says() {
    compare("command-line.md", &commands());
}

#[test]
fn settings_are_as_the_reference_says() {
    compare("configuration.md", &settings());
}

fn compare(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs/specification")
        .join(name);
    if std::env::var_os("MICRORAIDEN_WRITE_REFERENCE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = committed
        .lines()
        .zip(text.lines())
        .find(|(committed, written)| committed != written);
    assert!(
        committed == text,
        "docs/specification/{name} is old: run `cargo xtask reference`; {differs:?}"
    );
}

/// All commands, with their options and examples.
fn commands() -> String {
    let mut program = Cli::command();
    program.build();
    let mut text = format!(
        "# The command line\n\n{NOTE}What `microraiden --help` and the `--help` of each command tell. The settings of `proxy` can \
         stand in a file as well: [configuration.md](configuration.md).\n"
    );
    section(&mut text, &program, "microraiden", &[]);
    text
}

/// A command and those below it.
fn section(text: &mut String, command: &Command, name: &str, before: &[&Command]) {
    writeln!(
        text,
        "\n## `{name}`\n\n{}.\n",
        paragraph(command.get_about().map(ToString::to_string))
    )
    .unwrap();
    let usage = command.clone().render_usage().to_string();
    let usage: Vec<&str> = usage
        .trim_start_matches("Usage:")
        .lines()
        .map(str::trim)
        .collect();
    writeln!(text, "```text\n{}\n```", usage.join("\n")).unwrap();
    let shown = |argument: &&Arg| {
        !argument.is_hide_set() && !["help", "version"].contains(&argument.get_id().as_str())
    };
    let arguments: Vec<&Arg> = command
        .get_arguments()
        .filter(shown)
        .filter(|argument| !argument.is_global_set() || name == "microraiden")
        .collect();
    let same = |other: &&&Command| {
        let ids = |command: &Command| {
            command
                .get_arguments()
                .map(|argument| argument.get_id().to_string())
                .collect::<Vec<_>>()
        };
        ids(other) == ids(command) && arguments.len() > 8
    };
    match before.iter().find(same) {
        Some(other) => writeln!(
            text,
            "\nArguments and options are those of `{}`.",
            other.get_name()
        )
        .unwrap(),
        None => table(text, &arguments),
    }
    if let Some(examples) = command.get_after_help() {
        writeln!(text, "\n```text\n{}\n```", examples.to_string().trim_end()).unwrap();
    }
    let mut before = Vec::new();
    for command in command
        .get_subcommands()
        .filter(|command| command.get_name() != "help")
    {
        section(text, command, &format!("{name} {}", command.get_name()), &before);
        before.push(command);
    }
}

/// Arguments, then options under their headings.
fn table(text: &mut String, arguments: &[&Arg]) {
    let mut headings: Vec<Option<&str>> = Vec::new();
    for argument in arguments {
        if !headings.contains(&argument.get_help_heading()) {
            headings.push(argument.get_help_heading());
        }
    }
    headings.sort_by_key(Option::is_some);
    for heading in headings {
        writeln!(text, "\n| {} | |\n|---|---|", heading.unwrap_or("option")).unwrap();
        for argument in arguments
            .iter()
            .filter(|argument| argument.get_help_heading() == heading)
        {
            writeln!(text, "| `{}` | {} |", written(argument), meaning(argument)).unwrap();
        }
    }
}

/// How an argument is written.
fn written(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    let values = match argument.get_action().takes_values() {
        true => names
            .iter()
            .map(|name| format!("<{name}>"))
            .collect::<Vec<_>>()
            .join(" "),
        false => String::new(),
    };
    let short = argument
        .get_short()
        .map_or(String::new(), |short| format!("-{short}, "));
    match argument.get_long() {
        Some(long) => format!("{short}--{long} {values}").trim_end().to_owned(),
        None => values,
    }
}

/// What it means, with its values and its default.
fn meaning(argument: &Arg) -> String {
    let mut text = paragraph(argument.get_help().map(ToString::to_string));
    let values: Vec<String> = argument
        .get_possible_values()
        .iter()
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if argument.get_action().takes_values() && !values.is_empty() && !values.contains(&"`true`".to_owned()) {
        text += &format!(" ({})", values.join(", "));
    }
    let default: Vec<_> = argument
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy())
        .collect();
    if argument.get_action().takes_values() && !default.is_empty() {
        text += &format!(" \\[default: {}]", default.join(" "));
    }
    text
}

/// A text as a part of Markdown.
fn paragraph(text: Option<String>) -> String {
    let text = text.unwrap_or_default().replace('\n', " ");
    ["|", "*", "<", "["]
        .iter()
        .fold(text, |text, sign| text.replace(sign, &format!("\\{sign}")))
}

/// All settings of a proxy, and a file with each of them.
fn settings() -> String {
    let command = Settings::augment_args(Command::new("proxy"));
    let mut text = format!(
        "# The configuration\n\n{NOTE}The settings of `microraiden proxy`: keys of a TOML file (`--config proxy.toml`), and options by the \
         same names with `-` for `_`, which win over the file. [The proxy](../proxy.md) explains them. What SIGHUP takes over \
         changes while the proxy runs; all else is read at the start.\n"
    );
    let mut heading = Some("");
    for argument in command.get_arguments() {
        if argument.get_help_heading() != heading {
            heading = argument.get_help_heading();
            let title = heading.unwrap_or("What is sold");
            writeln!(
                text,
                "\n## {title}\n\n| key | value | meaning | SIGHUP |\n|---|---|---|---|"
            )
            .unwrap();
        }
        let key = argument.get_id().as_str();
        let names = argument.get_value_names().unwrap_or_default();
        let value = match argument.get_action().takes_values() {
            true => names
                .iter()
                .map(|name| name.as_str())
                .collect::<Vec<_>>()
                .join(" ")
                .to_lowercase(),
            false => "true or false".to_owned(),
        };
        let value = match argument.get_action() {
            clap::ArgAction::Append => format!("{value}, or a list"),
            _ => value,
        };
        let reloaded = if RELOADED.contains(&key) { "yes" } else { "no" };
        writeln!(
            text,
            "| `{key}` | {} | {} | {reloaded} |",
            paragraph(Some(value)),
            meaning(argument)
        )
        .unwrap();
    }
    writeln!(
        text,
        "\n## A file with everything\n\n`microraiden init` writes this; what stands between two `@` is filled in. Routes stand only in the \
         file.\n\n```text\n{}\n```",
        TEMPLATE.trim_end()
    )
    .unwrap();
    text
}
