//! The walls of the house: who may import whom, read off the `use` lines and paths of `src`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// A file of `src`: its path below that, and its text without tests and comments.
struct File {
    path: String,
    code: String,
}

fn files() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("src is there") {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                found.push(read(&root, path));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 30, "these are not all: {}", found.len());
    found
}

fn read(root: &Path, path: PathBuf) -> File {
    let text = fs::read_to_string(&path).expect("a source is UTF-8");
    let below = path.strip_prefix(root).expect("found below src");
    // Tests stand at the end of a file, and may use what they like.
    let code = text
        .split("#[cfg(test)]\nmod tests")
        .next()
        .expect("split gives one");
    let lines = code
        .lines()
        .map(|line| line.split("//").next().unwrap_or(""));
    File {
        path: below.to_string_lossy().replace('\\', "/"),
        code: lines.collect::<Vec<_>>().join("\n"),
    }
}

/// The room of a file: the first folder below `src`, or the file's own name.
fn room(path: &str) -> &str {
    let first = path.split('/').next().expect("split gives one");
    first.strip_suffix(".rs").unwrap_or(first)
}

/// The rooms that a file names after `crate::`, alone or in braces.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (start, _) in code.match_indices("crate::") {
        let after = &code[start + "crate::".len()..];
        match after.strip_prefix('{') {
            Some(list) => found.extend(heads(list)),
            None => found.extend([word(after)]),
        }
    }
    found
}

/// The first names of the elements of a list in braces.
fn heads(list: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 1;
    let mut expects_name = true;
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => expects_name = true,
            it if expects_name && it.is_alphanumeric() => {
                names.push(word(&list[at..]));
                expects_name = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn word(text: &str) -> String {
    text.chars()
        .take_while(|it| it.is_alphanumeric() || *it == '_')
        .collect()
}

#[test]
fn no_room_imports_another_in_a_circle() {
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let files = files();
    let rooms: BTreeSet<&str> = files.iter().map(|it| room(&it.path)).collect();
    for file in &files {
        let own = room(&file.path);
        if own == "lib" {
            continue;
        }
        let mut others = imports(&file.code);
        others.retain(|it| it != own && rooms.contains(it.as_str()));
        graph.entry(own.to_owned()).or_default().extend(others);
    }
    let arrows: usize = graph.values().map(BTreeSet::len).sum();
    assert!(arrows > 40, "these are not all arrows: {graph:?}");
    // Takes away rooms that import none that is left, until none is left.
    while !graph.is_empty() {
        let free: Vec<String> = graph
            .iter()
            .filter(|(_, others)| !others.iter().any(|it| graph.contains_key(it)))
            .map(|(room, _)| room.clone())
            .collect();
        assert!(!free.is_empty(), "a circle is among {graph:#?}");
        graph.retain(|room, _| !free.contains(room));
    }
}

/// Files of one folder: `super::name` for a sibling, or for what `mod.rs` has from one.
#[test]
fn no_file_imports_a_sibling_in_a_circle() {
    let files = files();
    let mut graph: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for file in files.iter().filter(|it| it.path.contains('/')) {
        let (folder, name) = file.path.rsplit_once('/').expect("it contains one");
        if name == "mod.rs" {
            continue;
        }
        for sibling in &files {
            let same = sibling
                .path
                .rsplit_once('/')
                .is_some_and(|it| it.0 == folder);
            let stem = sibling.path.rsplit('/').next().expect("split gives one");
            let stem = stem.trim_end_matches(".rs");
            if same && sibling.path != file.path && names_sibling(&file.code, stem) {
                graph.entry(&file.path).or_default().insert(&sibling.path);
            }
        }
    }
    assert!(graph.len() > 10, "these are not all: {graph:?}");
    while !graph.is_empty() {
        let free: Vec<&str> = graph
            .iter()
            .filter(|(_, others)| !others.iter().any(|it| graph.contains_key(it)))
            .map(|(file, _)| *file)
            .collect();
        assert!(!free.is_empty(), "a circle is among {graph:#?}");
        graph.retain(|file, _| !free.contains(file));
    }
}

fn names_sibling(code: &str, stem: &str) -> bool {
    code.match_indices("super::").any(|(start, _)| {
        let after = &code[start + "super::".len()..];
        match after.strip_prefix('{') {
            Some(list) => heads(list).iter().any(|it| it == stem),
            None => word(after) == stem,
        }
    })
}

/// Fails for each file below `places` that names one of `words`.
fn must_not_name(places: &[&str], words: &[&str]) {
    let files = files();
    for place in places {
        let inside: Vec<_> = files
            .iter()
            .filter(|it| it.path.starts_with(place))
            .collect();
        assert!(!inside.is_empty(), "nothing is at src/{place}");
        for file in inside {
            for word in words {
                assert!(!file.code.contains(word), "src/{} names {word}", file.path);
            }
        }
    }
}

#[test]
fn the_session_and_the_protocol_know_bytes_and_time_alone() {
    let system = [
        "mio",
        "socket2",
        "std::net",
        "std::thread",
        "std::sync",
        "std::fs",
        "std::io",
        "Instant::now",
        "SystemTime",
        "crossbeam",
        "crate::sync",
    ];
    must_not_name(&["session/", "protocol/", "handshake/"], &system);
}

#[test]
fn the_link_knows_neither_the_handle_nor_the_queue() {
    must_not_name(&["link/"], &["Connection", "Queue", "crate::event"]);
    must_not_name(
        &["desk/", "session/"],
        &["Connection", "crate::queue", "crate::link"],
    );
}

#[test]
fn the_network_and_the_protocol_do_not_know_each_other() {
    must_not_name(
        &["net/"],
        &["crate::protocol", "crate::handshake", "crate::session"],
    );
    must_not_name(&["protocol/", "handshake/", "session/"], &["crate::net"]);
}

#[test]
fn each_third_party_crate_has_its_seam() {
    for (name, places) in [
        ("mlua", &["lua/", "lib.rs"][..]),
        ("native_tls", &["net/tls.rs", "net/tls/"]),
        ("openssl::", &["net/tls/openssl.rs"]),
        ("flate2", &["protocol/deflate.rs"]),
        ("httparse", &["handshake/", "net/proxy/http_connect.rs"]),
        ("getaddrinfo", &["net/resolve.rs"]),
        ("crossbeam_channel", &["sync.rs", "net/offload.rs"]),
    ] {
        let files = files();
        let naming: Vec<_> = files.iter().filter(|it| it.code.contains(name)).collect();
        assert!(!naming.is_empty(), "nothing names {name}");
        for file in naming {
            let allowed = places.iter().any(|place| file.path.starts_with(place));
            assert!(allowed, "src/{} names {name}", file.path);
        }
    }
}

#[test]
fn the_lua_face_knows_no_socket() {
    must_not_name(&["lua/"], &["std::net", "mio::", "native_tls", "socket2"]);
}

/// What is longer has its reason here.
#[test]
fn files_functions_and_structs_are_short() {
    /// One match over every variant, a line or two each.
    const LONG_FUNCTIONS: [(&str, &str); 0] = [];
    for file in files() {
        let lines = file.code.lines().count();
        assert!(lines <= 450, "src/{} has {lines} lines", file.path);
        for (name, length) in bodies(&file.code, "fn ") {
            let known = LONG_FUNCTIONS.contains(&(file.path.as_str(), name.as_str()));
            assert!(
                length <= 50 || known,
                "src/{}: {name} has {length} lines",
                file.path
            );
        }
        for (name, fields) in structs(&file.code) {
            // Plain configuration, field by field as a script gives it.
            let plain = file.path == "config.rs";
            assert!(
                fields <= 12 || plain,
                "src/{}: {name} has {fields} fields",
                file.path
            );
        }
    }
}

/// The items that begin with `keyword`, and their lines from that to the closing brace.
fn bodies(code: &str, keyword: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some((before, after)) = line.split_once(keyword) else {
            continue;
        };
        let qualified = before.trim().split(' ').all(|it| {
            [
                "",
                "pub",
                "pub(super)",
                "pub(crate)",
                "unsafe",
                "extern",
                "\"C-unwind\"",
                "const",
            ]
            .contains(&it)
        });
        if !qualified {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let end = format!("{}}}", " ".repeat(indent));
        let length = lines[at..]
            .iter()
            .position(|it| *it == end)
            .map_or(1, |it| it + 1);
        found.push((word(after), length));
    }
    found
}

fn structs(code: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some((_, after)) = line.split_once("struct ").filter(|_| line.ends_with('{')) else {
            continue;
        };
        let fields = lines[at + 1..].iter().take_while(|it| **it != "}");
        let is_field =
            |it: &&&str| it.starts_with("    ") && !it.starts_with("     ") && it.contains(": ");
        found.push((word(after), fields.filter(is_field).count()));
    }
    found
}
