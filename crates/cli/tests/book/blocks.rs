//! What is done with a block, by its language.

use crate::page::{Block, Steering};
use crate::place::{Place, root};
use crate::terminal::serves;
use crate::wording::{Shown, commands, fits, tail};

/// What became of a block.
#[derive(Debug)]
pub(crate) enum Outcome {
    Ran,
    /// Something to look at: there is nothing to be done with it.
    Picture,
}

/// A route's beginning, for a block that only goes on with one.
const ROUTE: &str = "[[route]]\npath = \"/{*rest}\"\nupstream = \"http://127.0.0.1:8000\"\nprice = 1\n\n";
const SIMPLE: &str = "upstream = \"http://127.0.0.1:8000\"\nprice = 1\n";

/// Does what a block says.
///
/// # Errors
/// When it is wrong, and how.
pub(crate) fn carry_out(page: &str, block: &Block, place: &mut Place) -> Result<Outcome, String> {
    for steering in &block.steering {
        match steering {
            Steering::File(name) => place.write(name, &block.text)?,
            Steering::Ends(program) => place.terminal().end(program)?,
            _ => {}
        }
    }
    match block.language.as_str() {
        "text" | "http" | "mermaid" | "html" | "css" | "solidity" => return Ok(Outcome::Picture),
        "console" => console(block, place)?,
        "sh" | "bash" if block.file().is_none() => place.run(&block.text)?,
        "cron" => cron(&block.text, place)?,
        "json" => {
            drop(serde_json::from_str::<serde_json::Value>(&block.text).map_err(|error| error.to_string())?)
        }
        "toml" => toml(&block.text, place)?,
        "rust" => rust(page)?,
        "js" | "javascript" => script(block, "block.mjs", "node", place)?,
        "ts" | "typescript" => script(block, "block.ts", TSC, place)?,
        "python" => script(block, "block.py", "python3", place)?,
        "ini" | "yaml" | "dockerfile" | "nginx" | "haproxy" | "promql" if block.file().is_none() => {
            packaged(&block.text)?
        }
        "sh" | "bash" | "ini" | "yaml" | "dockerfile" | "nginx" | "haproxy" => {}
        other => return Err(format!("nobody knows what to do with a block of `{other}`")),
    }
    Ok(Outcome::Ran)
}

const TSC: &str = "node node_modules/typescript/bin/tsc --noEmit --strict --skipLibCheck --target es2022 --module esnext \
     --moduleResolution bundler --lib es2022,dom";

/// Each command, and whether it prints what stands below it.
fn console(block: &Block, place: &mut Place) -> Result<(), String> {
    let shown = commands(&block.text)?;
    if shown.is_empty() {
        return Err("no line begins with `$ `; a picture is `text`".to_owned());
    }
    let last = shown.len() - 1;
    for (index, Shown { command, output }) in shown.iter().enumerate() {
        if block.has(&Steering::Serves) || serves(command) {
            place.terminal().serve(command, output, block.typed())?;
            continue;
        }
        let ended = place.terminal().run(command, block.typed())?;
        let printed = tail(&ended.printed);
        if ended.success == (block.has(&Steering::Fails) && index == last) {
            let ends = if ended.success { "succeeds" } else { "fails" };
            return Err(format!("`{command}` {ends}; it printed\n{printed}"));
        }
        if !output.is_empty() && !fits(output, &ended.printed) {
            return Err(format!(
                "`{command}` prints\n{printed}\nand not\n{}",
                output.join("\n")
            ));
        }
    }
    Ok(())
}

/// The command behind the five fields of a time.
fn cron(text: &str, place: &mut Place) -> Result<(), String> {
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let command = line.splitn(6, ' ').nth(5).ok_or("a time has five fields")?;
        place.run(&command.replace("\\%", "%"))?;
    }
    Ok(())
}

/// A proxy's configuration, or a part of one, is checked by the program itself; others must be TOML.
fn toml(text: &str, place: &mut Place) -> Result<(), String> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    if table.contains_key("dependencies") || table.contains_key("package") {
        return Ok(());
    }
    let begins_within = text
        .lines()
        .find(|line| line.starts_with('['))
        .is_some_and(|line| line.starts_with("[route."));
    let before = match table.get("route") {
        Some(_) if begins_within => ROUTE,
        Some(_) => "",
        None if table.contains_key("upstream") => "",
        None => SIMPLE,
    };
    place.write("block.toml", &format!("{before}{text}"))?;
    place.run("microraiden proxy check --config block.toml")
}

/// The doc-tests of microraiden-tests have the page, or it is documentation already.
fn rust(page: &str) -> Result<(), String> {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap_or_default();
    let listed = read("tests/src/pages.rs").contains(&format!("include_str!(\"../../{page}\")"));
    let own = page.strip_suffix("README.md").is_some_and(|folder| {
        read(&format!("{folder}src/lib.rs")).contains("include_str!(\"../README.md\")")
    });
    match listed || own {
        true => Ok(()),
        false => Err(format!("add {page} to tests/src/pages.rs, so that its Rust runs")),
    }
}

/// A program in another language; one that is a file is run when the page says so, one for browsers is read only.
fn script(block: &Block, name: &str, program: &str, place: &mut Place) -> Result<(), String> {
    if block.file().is_some() {
        return Ok(());
    }
    place.write(name, &block.text)?;
    match block.has(&Steering::Browser) {
        true if program == "node" => place.run(&format!("node --check {name}")),
        _ => place.run(&format!("{program} {name}")),
    }
}

/// It must stand in a file below packaging/, to the letter but for its indentation.
fn packaged(text: &str) -> Result<(), String> {
    let wanted = plain(text);
    let mut folders = vec![root().join("packaging")];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().map_err(|error| error.to_string())?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read_to_string(&path).is_ok_and(|held| plain(&held).contains(&wanted)) {
                return Ok(());
            }
        }
    }
    Err(
        "no file below packaging/ has these lines; change one of them, or write the block to a file"
            .to_owned(),
    )
}

fn plain(text: &str) -> String {
    let lines = text.lines().map(|line| format!("{}\n", line.trim()));
    lines.collect()
}
