//! Rules of this repository, as a test over the working tree: those that no compiler and no lint checks.
//!
//! Each rule puts down the places that break it, so that all of them are seen at once. `TIDY_ROOT` names another tree to
//! check: a copy, in which a rule is seen to fail.

use std::{collections::HashSet, env, fs, path::Path};

/// The libraries, whose sources keep the strictest rules.
const LIBRARIES: [&str; 3] = ["runtime/src/", "io/src/", "sync/src/"];

/// Where sources and documents are.
const PLACES: &str = "README.md CHANGELOG.md CONTRIBUTING.md docs src tests examples loom-tests \
    benches/README.md benches/src runtime/src runtime/tests io/src io/tests sync/src sync/tests";

/// Who may name the atomics of `std`, beside `prim.rs` and tests, and why.
const STD_ATOMICS: [(&str, &str); 1] = [("sync/src/lib.rs", "re-exports them, as part of `std::sync`")];

/// Who may say `cfg(loom)`, beside `prim.rs`, and why.
const CFG_LOOM: [(&str, &str); 2] = [
    ("runtime/src/lib.rs", "a lint that only models set off"),
    ("sync/src/lib.rs", "a lint that only models set off"),
];

/// What has no place in a finished source. The bars keep these phrases out of this file.
const BANNED: &str = "to|do! unimple|mented! #[ig|nore FIX|ME XX|X Untri|aged obvi|ously";

/// No source is longer. Most should be shorter than 500.
const LONGEST: usize = 800;

struct File {
    /// From the root.
    path: String,
    text: String,
}

struct Tree {
    root: String,
    files: Vec<File>,
    findings: Vec<String>,
}

impl File {
    fn is_source(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn is_library(&self) -> bool {
        self.is_source() && LIBRARIES.iter().any(|library| self.path.starts_with(library))
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// The lines without comments and strings. Close enough for the words that are looked for.
    fn code(&self) -> impl Iterator<Item = String> {
        self.text.lines().map(strip)
    }
}

/// A line without its comment and what is between quotes.
fn strip(line: &str) -> String {
    let (mut code, mut quoted, mut rest) = (String::new(), false, line);
    while let Some(c) = rest.chars().next() {
        if !quoted && rest.starts_with("//") {
            break;
        }
        let escape = quoted && c == '\\' || !quoted && rest.starts_with("'\"'");
        let step = if escape { 2 } else { c.len_utf8() };
        rest = rest.get(step..).unwrap_or_default();
        if c == '"' {
            quoted = !quoted;
        } else if !quoted {
            code.push(c);
        }
    }
    code
}

fn has_word(code: &str, word: &str) -> bool {
    let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.any(|found| found == word)
}

/// The lines of a document that are in no block of code.
fn prose(text: &str) -> Vec<(usize, &str)> {
    let (mut lines, mut fenced) = (Vec::new(), false);
    for (i, line) in text.lines().enumerate() {
        fenced ^= line.starts_with("```");
        if !fenced {
            lines.push((i, line));
        }
    }
    lines
}

/// The anchor that a heading gets.
fn anchor_of(heading: &str) -> String {
    let mut title = heading.trim_start_matches('#').trim().to_lowercase();
    title.retain(|c| c.is_alphanumeric() || " -_".contains(c));
    title.replace(' ', "-")
}

/// Whether a link of the document at `here` leads to a file, and to a heading in it.
fn leads_somewhere(here: &Path, target: &str) -> bool {
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let mut there = here.to_owned();
    if !path.is_empty() {
        there.set_file_name(path);
    }
    if target.contains("://") || anchor.is_empty() {
        return target.contains("://") || there.exists();
    }
    let text = fs::read_to_string(there).unwrap_or_default();
    let is_it = |line: &str| line.starts_with('#') && anchor_of(line) == anchor;
    prose(&text).iter().any(|(_, line)| is_it(line))
}

impl Tree {
    fn read() -> Self {
        let root = env::var("TIDY_ROOT").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").into());
        let (files, findings) = (Vec::new(), Vec::new());
        let mut tree = Self { root, files, findings };
        for place in PLACES.split_whitespace() {
            tree.walk(place);
        }
        assert!(tree.files.len() > 50, "the tree is elsewhere");
        tree
    }

    fn walk(&mut self, path: &str) {
        let full = Path::new(&self.root).join(path);
        if path.ends_with(".rs") || path.ends_with(".md") {
            let text = fs::read_to_string(full).unwrap_or_else(|error| panic!("{path}: {error}"));
            let path = path.to_owned();
            return self.files.push(File { path, text });
        }
        let entries = fs::read_dir(full).into_iter().flatten();
        for entry in entries.filter_map(Result::ok) {
            let name = entry.file_name();
            if name != "target" {
                self.walk(&format!("{path}/{}", name.to_string_lossy()));
            }
        }
    }

    /// Looks for breaches in each file of a kind: `rule` is given a file and where to put them.
    fn check(&mut self, of: fn(&File) -> bool, rule: impl Fn(&File, &mut dyn FnMut(usize, &str))) {
        for file in self.files.iter().filter(|file| of(file)) {
            let found = &mut self.findings;
            rule(file, &mut |i, what| found.push(format!("{}:{}: {what}", file.path, i + 1)));
        }
    }
}

fn length(file: &File, breach: &mut dyn FnMut(usize, &str)) {
    if file.text.lines().count() > LONGEST {
        breach(LONGEST, "the file goes on too long");
    }
}

fn header(file: &File, breach: &mut dyn FnMut(usize, &str)) {
    if !file.text.starts_with("//! ") {
        breach(0, "no `//!` header");
    }
}

/// Atomics come from `prim.rs`, which alone knows loom.
fn atomics(file: &File, breach: &mut dyn FnMut(usize, &str)) {
    let is_in = |list: &[(&str, &str)]| list.iter().any(|(path, _)| *path == file.path);
    let mut import = String::new();
    for (i, code) in file.code().enumerate() {
        // An import may be nested and spread over lines.
        if !import.is_empty() || code.trim_start_matches("pub ").starts_with("use std::") {
            import += &code;
        }
        let imported = has_word(&import, "sync") && has_word(&import, "atomic");
        if import.ends_with(';') || imported {
            import.clear();
        }
        if (imported || code.contains("std::sync::atomic")) && !is_in(&STD_ATOMICS) {
            breach(i, "names the atomics of `std`, which come from `prim`");
        }
        if code.contains("cfg") && has_word(&code, "loom") && !is_in(&CFG_LOOM) {
            breach(i, "knows `cfg(loom)`, as only `prim.rs` may");
        }
    }
}

fn phrases(file: &File, breach: &mut dyn FnMut(usize, &str)) {
    for phrase in BANNED.replace('|', "").split(' ') {
        for (i, line) in file.text.lines().enumerate() {
            if line.contains(phrase) {
                breach(i, phrase);
            }
        }
    }
}

#[test]
fn sources_are_tidy() {
    let mut tree = Tree::read();
    tree.check(File::is_source, length);
    tree.check(File::is_source, phrases);
    tree.check(|file| file.is_library() && !file.is_test(), header);
    let above_prim = |file: &File| file.is_library() && !file.is_test() && !file.path.ends_with("/prim.rs");
    tree.check(above_prim, atomics);
    assert!(tree.findings.is_empty(), "\n{}\n", tree.findings.join("\n"));
}

#[test]
fn links_lead_somewhere() {
    let mut tree = Tree::read();
    let root = tree.root.clone();
    tree.check(
        |file| !file.is_source(),
        |file, breach| {
            let here = Path::new(&root).join(&file.path);
            for (i, line) in prose(&file.text) {
                for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                    if !leads_somewhere(&here, target) {
                        breach(i, target);
                    }
                }
            }
        },
    );
    assert!(tree.findings.is_empty(), "\n{}\n", tree.findings.join("\n"));
}

#[test]
fn unsafe_code_is_where_the_docs_list_it() {
    let tree = Tree::read();
    let has_unsafe = |file: &File| file.code().any(|code| has_word(&code, "unsafe"));
    let found = tree.files.iter().filter(|file| file.is_library() && has_unsafe(file));
    let found: HashSet<_> = found.map(|file| &*file.path).collect();
    let docs = tree.files.iter().find(|file| file.path == "docs/unsafe.md");
    let quoted = docs.expect("it is there").text.split('`').skip(1).step_by(2);
    let is_library = |name: &&str| LIBRARIES.iter().any(|library| name.starts_with(library));
    let listed: HashSet<_> = quoted.filter(is_library).collect();
    let differing: Vec<_> = found.symmetric_difference(&listed).collect();
    assert!(differing.is_empty(), "with unsafe code or listed, but not both: {differing:#?}");
}

#[test]
fn crates_depend_downwards() {
    let root = Tree::read().root;
    for (member, allowed) in [("runtime", "none"), ("io", "sward-runtime"), ("sync", "sward-runtime")] {
        let path = Path::new(&root).join(member).join("Cargo.toml");
        let manifest = fs::read_to_string(path).expect("each has one");
        for line in manifest.lines().filter(|line| line.starts_with("sward")) {
            let name = line.split(['.', ' ', '=']).next();
            assert_eq!(name, Some(allowed), "what `{member}` depends on");
        }
    }
}

#[test]
fn every_file_of_tests_is_compiled() {
    let tree = Tree::read();
    let mut forgotten = Vec::new();
    for file in tree.files.iter().filter(|file| file.is_source()) {
        let Some((dir, name)) = file.path.rsplit_once('/').filter(|(dir, _)| dir.ends_with("tests")) else {
            continue;
        };
        let module = name.trim_end_matches(".rs");
        let main = tree.files.iter().find(|main| main.path == format!("{dir}/main.rs"));
        let Some(main) = main else { continue };
        let manifest = Path::new(&tree.root).join(dir).with_file_name("Cargo.toml");
        let manifest = fs::read_to_string(manifest).expect("each crate has one");
        let is_module = main.code().any(|code| code == format!("mod {module};"));
        if !is_module && !manifest.contains(&format!("path = \"tests/{name}\"")) {
            forgotten.push(&file.path);
        }
    }
    assert!(
        forgotten.is_empty(),
        "neither a module of their `main.rs` nor a test of their own: {forgotten:#?}"
    );
}
