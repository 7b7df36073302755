//! Secrets of TLS sessions, for whoever records traffic and wants to read it: `SSLKEYLOGFILE`, as
//! browsers and curl have it (the lines are those of draft-ietf-tls-keylogfile).

use std::{
    env,
    fs::{File, OpenOptions},
    io::Write,
};

const VARIABLE: &str = "SSLKEYLOGFILE";

/// The file that the environment names, its owner's alone. None, where it names none, or one that
/// cannot be opened: what serves to look on must not end what is looked at.
pub(super) fn of_environment() -> Option<File> {
    let path = env::var_os(VARIABLE).filter(|it| !it.is_empty())?;
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).ok()
}

/// Appends a line as a whole: others may write to the same file.
pub(super) fn write(mut file: &File, line: &str) {
    // As above.
    let _ = file.write_all(format!("{line}\n").as_bytes());
}
