//! Tests that need a process of their own: for its limits, its network, its threads.

use std::{
    env,
    process::{Command, Stdio},
};

use crate::certificates;

const MARK: &str = "WEBSOCKET_TEST_ALONE";

/// Runs `body` in a new process, started as `wrapper... this-binary`, that runs only `test`.
pub fn in_own_process(test: &str, wrapper: &[&str], body: impl FnOnce()) {
    if env::var_os(MARK).is_some() {
        return body();
    }
    let binary = env::current_exe().expect("a test runs from a file");
    let mut words = wrapper
        .iter()
        .map(std::ffi::OsString::from)
        .collect::<Vec<_>>();
    words.push(binary.into());
    let output = Command::new(&words[0])
        .args(&words[1..])
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        .env(certificates::VARIABLE, certificates::directory())
        .stdin(Stdio::null())
        .output()
        .expect("the process starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    // A test's name that matches nothing would pass as well.
    assert!(text.contains("1 passed"), "{text}{errors}");
}

/// The threads and the open descriptors of this process, where the system tells: elsewhere no
/// test sees what is left over.
#[cfg(not(target_os = "linux"))]
pub fn threads_and_descriptors() -> (usize, usize) {
    (0, 0)
}

/// The threads and the open descriptors of this process.
#[cfg(target_os = "linux")]
pub fn threads_and_descriptors() -> (usize, usize) {
    let count = |path| std::fs::read_dir(path).expect("Linux has /proc").count();
    (count("/proc/self/task"), count("/proc/self/fd"))
}
