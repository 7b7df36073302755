"""Builds the stub host: the extension's glue, the archive that it links, and a Lua.

build(name) returns the path of the program; the names are in HOSTS.
"""

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
HERE = ROOT / "tests/hosts/defold"
GLUE = sorted((ROOT / "defold/websocket/src").glob("*.cpp"))
HOST = [HERE / "sdk.cpp", HERE / "host.cpp"]
OUT = ROOT / "build/defold/hosts"
TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "lua5.1"

# The archive of each Lua, by pkg-config's name for it.
LUAS = {"luajit": "libluajit-5.1.a", "lua5.1": "liblua5.1.a"}

# Its Lua, and whether the symbols of that are renamed as engines since 2026 do.
HOSTS = {
    "luajit": ("luajit", False),
    "luajit-renamed": ("luajit", True),
    "5.1": ("lua5.1", False),
    "5.1-renamed": ("lua5.1", True),
}

WARNINGS = ["-Wall", "-Wextra", "-Werror"]


def run(*command, **options):
    subprocess.run([str(part) for part in command], check=True, cwd=ROOT, **options)


def output(*command):
    return subprocess.check_output([str(part) for part in command], text=True, cwd=ROOT)


def pkg_config(name, option):
    return output("pkg-config", option, name).strip()


def lua(package):
    return Path(pkg_config(package, "--variable=libdir")) / LUAS[package]


def archives():
    """Both archives, from a static library with the system's OpenSSL."""
    feature = output("tests/openssl-feature").strip()
    features = ",".join(filter(None, ["lua51", "module", feature]))
    run(
        *["cargo", "rustc", "--locked", "--release", "--quiet", "--lib"],
        *["--crate-type", "staticlib", "--features", features, "--target-dir", TARGET],
    )
    run("defold/archive", TARGET / "release/libwebsocket.a", OUT)


def rename(library, folder):
    """A copy of Lua whose symbols begin with dm_, and the header that says so to C."""
    symbols = output("nm", "-g", "--defined-only", library)
    names = sorted(set(re.findall(r" [A-Z] (lua(?:L|open)?_\w+)$", symbols, re.M)))
    assert "lua_gettop" in names
    (folder / "names").write_text("".join(f"{name} dm_{name}\n" for name in names))
    run("objcopy", f"--redefine-syms={folder / 'names'}", library, folder / "liblua.a")
    lines = ["#define DM_LUA_PRIVATE_PREFIX dm_", *(f"#define {name} dm_{name}" for name in names)]
    (folder / "lua_rename.h").write_text("\n".join(lines) + "\n")
    return folder / "liblua.a"


def build(name):
    package, renamed = HOSTS[name]
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    library = lua(package)
    flags = ["-std=c++11", "-g", "-fno-exceptions", "-fno-rtti", *WARNINGS]
    flags += [f"-I{HERE / 'include'}", *pkg_config(package, "--cflags").split()]
    if renamed:
        library = rename(library, folder)
        flags += ["-DHOST_RENAMES_LUA", f"-I{folder}"]
    objects = []
    for source in [*GLUE, *HOST, HERE / "main.cpp"]:
        objects.append(folder / f"{source.stem}.o")
        run("g++", *flags, "-c", source, "-o", objects[-1])
    # As the extender links on Linux: all archives in one group, whichever names are asked for.
    run(
        *["g++", *objects, f"-L{OUT}", "-Wl,--start-group", "-lwebsocket", "-lwebsocket_dm"],
        *[library, "-Wl,--end-group", "-lssl", "-lcrypto", "-ldl", "-lpthread", "-lm"],
        *["-o", folder / "host"],
    )
    return folder / "host"
