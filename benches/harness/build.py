"""Builds and installs what the measurements need; everything of it is under build/."""

import concurrent.futures
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BENCHES = ROOT / "benches"
BUILD = ROOT / "build" / "bench"
LOG = BUILD / "build.log"

# command: Debian package
COMMANDS = {
    "cargo": "rustup.rs",
    "make": "make",
    "luajit": "luajit",
    "lua5.4": "lua5.4",
    "node": "nodejs",
    "npm": "npm",
    "openssl": "openssl",
    "chrt": "util-linux",
    "taskset": "util-linux",
}


def prepare():
    """Everything at once: the compilers and the installers wait for different things."""
    missing = [f"{command} ({package})" for command, package in COMMANDS.items() if not shutil.which(command)]
    if missing:
        sys.exit(f"missing: {', '.join(missing)}")
    BUILD.mkdir(parents=True, exist_ok=True)
    LOG.write_text("")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        steps = [pool.submit(step) for step in (modules, native, build_native_benches, npm, pip, certificate)]
        for step in steps:
            step.result()


def modules():
    run("make", "--no-print-directory", "-j2", "build-lua5.1", "build-lua5.4")


def native():
    manifest = BENCHES / "native" / "Cargo.toml"
    run("cargo", "build", "--release", "--locked", "--manifest-path", manifest, "--target-dir", BUILD / "target")


def npm():
    installed = BUILD / "node_modules" / ".package-lock.json"
    source = BENCHES / "peers" / "package-lock.json"
    if installed.exists() and installed.stat().st_mtime > source.stat().st_mtime:
        return
    for name in ("package.json", "package-lock.json"):
        shutil.copy(BENCHES / "peers" / name, BUILD / name)
    run("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", cwd=BUILD)
    installed.touch()


def pip():
    requirements = BENCHES / "peers" / "requirements.txt"
    stamp = BUILD / "venv" / ".installed"
    if stamp.exists() and stamp.stat().st_mtime > requirements.stat().st_mtime:
        return
    venv.create(BUILD / "venv", clear=True, with_pip=True)
    run(BUILD / "venv" / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements)
    stamp.touch()


def certificate():
    """For localhost, signed by itself: client and peer are the only two that see it."""
    if (BUILD / "certificate.pem").exists():
        return
    run(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-keyout", BUILD / "key.pem", "-out", BUILD / "certificate.pem", "-days", "3650"),
        *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
    )


def native_benches():
    """The benchmarks in Rust that print a table of their own."""
    return sorted(path.stem for path in BENCHES.glob("*.rs"))


def build_native_benches():
    for name in native_benches():
        run("cargo", "bench", "--locked", "--no-run", "--bench", name)


def run_native_bench(name):
    command = ["cargo", "bench", "--locked", "--quiet", "--bench", name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return (done.stdout if done.returncode == 0 else done.stdout + done.stderr).strip()


def run(*command, cwd=ROOT):
    with LOG.open("a") as log:
        status = subprocess.run(command, cwd=cwd, stdout=log, stderr=log, check=False).returncode
    if status != 0:
        sys.exit(f"failed: {' '.join(map(str, command))}\n{os.linesep.join(LOG.read_text().splitlines()[-20:])}")
