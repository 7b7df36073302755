//! Keeps this library mapped for the life of the process: a Lua state that closes unloads its
//! modules, while a resolver's thread may still run their code. On ELF the linker says so
//! (`build.rs`); here are the systems where it must be asked for at run time.

/// Takes one more reference to this library, never given back.
#[cfg(windows)]
pub fn pin() {
    use windows_sys::Win32::{
        Foundation::HMODULE,
        System::LibraryLoader::{
            GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_PIN,
            GetModuleHandleExW,
        },
    };
    let mut module: HMODULE = std::ptr::null_mut();
    let flags = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN;
    // SAFETY: with FROM_ADDRESS the name is any address inside the module, here this function's;
    // `module` is valid for a write. A failure leaves the library as it was.
    unsafe { GetModuleHandleExW(flags, (pin as *const ()).cast(), &mut module) };
}

/// Takes one more reference to this library, never given back.
#[cfg(target_os = "macos")]
pub fn pin() {
    // SAFETY: `info` is plain data for which zeros are a value; dladdr fills it for an address of
    // this function, and the name that it finds there lives as long as the library is loaded.
    // A failure leaves the library as it was.
    unsafe {
        let mut info: libc::Dl_info = std::mem::zeroed();
        if libc::dladdr((pin as *const ()).cast(), &mut info) != 0 && !info.dli_fname.is_null() {
            let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE;
            libc::dlopen(info.dli_fname, flags);
        }
    }
}

/// The linker has pinned this library.
#[cfg(not(any(windows, target_os = "macos")))]
pub fn pin() {}
