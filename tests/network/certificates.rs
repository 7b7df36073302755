//! The certificates of `certificates.sh`, made once for each run.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// Names the directory for the processes that a test starts.
pub const VARIABLE: &str = "WEBSOCKET_TEST_CERTIFICATES";

/// The directory with the certificates.
pub fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        if let Some(made) = std::env::var_os(VARIABLE) {
            return made.into();
        }
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("certificates");
        let _ = fs::remove_dir_all(&directory);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/network/certificates.sh");
        let status = Command::new("sh").arg(script).arg(&directory).status();
        let log = || fs::read_to_string(directory.join("openssl.log")).unwrap_or_default();
        assert!(status.is_ok_and(|status| status.success()), "{}", log());
        directory
    })
}

/// A file's path, as an option of `tls`.
pub fn path(file: &str) -> Vec<u8> {
    let path = directory().join(file);
    path.to_str()
        .expect("the path is UTF-8")
        .as_bytes()
        .to_vec()
}

/// A file's content, as an option of `tls`.
pub fn content(file: &str) -> Vec<u8> {
    fs::read(directory().join(file)).expect("the script makes it")
}

/// A file's content where it is text.
pub fn text(file: &str) -> String {
    String::from_utf8(content(file)).expect("it is text")
}
