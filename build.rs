//! Keeps the library mapped for the life of the process.
//!
//! A Lua state that closes unloads its modules, while a worker or resolver thread may still
//! be running this code. On ELF the linker marks the library; Windows and macOS pin it at
//! load time (`src/lua/pin.rs`).

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let os = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if matches!(
        os.as_str(),
        "linux" | "android" | "freebsd" | "netbsd" | "openbsd" | "dragonfly"
    ) {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
    // The interpreter that loads the module provides Lua's symbols.
    if os == "macos" && std::env::var_os("CARGO_FEATURE_MODULE").is_some() {
        println!("cargo::rustc-cdylib-link-arg=-undefined");
        println!("cargo::rustc-cdylib-link-arg=dynamic_lookup");
    }
}
