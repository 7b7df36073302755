//! Lists the embedded Lua files, keeps the library mapped for the life of the process, and
//! makes it smaller where the linker can.

use std::{env, ffi::OsString, fmt::Write, fs, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    embed_lua();
    keep_mapped();
    fold_identical_code();
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

/// Lets the linker keep one of several functions with the same code, a ninth of the library.
/// GNU ld cannot; whether this linker can is found out by asking it.
fn fold_identical_code() {
    const FLAG: &str = "-Wl,--icf=all";
    let linux = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux");
    if linux && env::var("PROFILE").is_ok_and(|profile| profile == "release") && links_with(FLAG) {
        println!("cargo::rustc-cdylib-link-arg={FLAG}");
    }
}

fn links_with(flag: &str) -> bool {
    let variable = |name| env::var_os(name).expect("cargo sets what build scripts need");
    let out = Path::new(&variable("OUT_DIR")).join("probe");
    let source = out.with_extension("rs");
    if fs::write(&source, "").is_err() {
        return false;
    }
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.args(["--crate-type", "cdylib", "--target"]);
    rustc.arg(variable("TARGET")).arg(source).arg("-o").arg(out);
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = OsString::from("linker=");
        option.push(linker);
        rustc.arg("-C").arg(option);
    }
    rustc.arg(format!("-Clink-arg={flag}"));
    rustc.output().is_ok_and(|output| output.status.success())
}
