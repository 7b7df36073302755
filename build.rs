//! Lists the embedded Lua files, and keeps the library mapped for the life of the process.

use std::{env, fmt::Write, fs, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    embed_lua();
    keep_mapped();
}

/// Writes `files.rs`: name and text of every file in `lua/websocket`, so that one library is
/// the whole install.
fn embed_lua() {
    println!("cargo::rerun-if-changed=lua/websocket");
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let folder = Path::new(&root).join("lua/websocket");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .expect("lua/websocket is part of the package")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| Some(name.strip_suffix(".lua")?.to_owned()))
        .collect();
    names.sort();
    let mut list = String::from("&[\n");
    for name in names {
        let path = folder.join(format!("{name}.lua"));
        writeln!(list, "    ({name:?}, include_str!({path:?})),").expect("a String takes all");
    }
    list.push_str("]\n");
    fs::write(Path::new(&out).join("files.rs"), list).expect("cargo made OUT_DIR");
}

/// A Lua state that closes unloads its modules, while a worker or resolver thread may still
/// run this code. On ELF the linker marks the library; Windows and macOS pin it when it is
/// loaded (`src/lua/pin.rs`).
fn keep_mapped() {
    let os = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    let elf = [
        "linux",
        "android",
        "freebsd",
        "netbsd",
        "openbsd",
        "dragonfly",
    ];
    if elf.contains(&os.as_str()) {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
    // The interpreter that loads the module provides Lua's symbols.
    if os == "macos" && env::var_os("CARGO_FEATURE_MODULE").is_some() {
        println!("cargo::rustc-cdylib-link-arg=-undefined");
        println!("cargo::rustc-cdylib-link-arg=dynamic_lookup");
    }
}
