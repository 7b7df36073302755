//! Lua's C API on Windows. There a DLL names the file that each of its imports comes from, and
//! hosts keep their Lua in lua51.dll, lua5.1.dll, lua.dll, lua_shared.dll or in the program
//! itself. So we import nothing of Lua: every `lua_*` symbol that our code refers to is a jump
//! through a slot in this file, and [`fill`] fills the slots, before anything of Lua is called,
//! from the module whose code has called `luaopen_websocket`.
//!
//! There is no search among all loaded modules: which Lua a `lua_State` belongs to cannot be
//! asked, and a call of another one's function on it ends the process.
//!
//! ELF and Mach-O need none of this: an undefined symbol is found wherever the process exports it.

use std::{
    arch::global_asm,
    ffi::{CStr, c_char, c_int, c_void},
    fmt,
    io::Write,
    mem, ptr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use mlua::ffi::lua_State;
use windows_sys::Win32::{
    Foundation::{FARPROC, HMODULE},
    System::{
        Diagnostics::Debug::{
            IMAGE_DIRECTORY_ENTRY_IMPORT, IMAGE_NT_HEADERS64, OutputDebugStringA,
            RtlCaptureStackBackTrace,
        },
        LibraryLoader::{
            GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_PIN,
            GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT, GetModuleFileNameW, GetModuleHandleA,
            GetModuleHandleExW, GetProcAddress,
        },
        SystemServices::{IMAGE_DOS_HEADER, IMAGE_IMPORT_DESCRIPTOR},
    },
};

#[cfg(not(target_arch = "x86_64"))]
compile_error!("src/lua/slots.rs knows no jump for this processor yet");

/// Defines, for each name, a function that jumps to where its slot points. They are local to
/// this library: only Rust's own symbols are exported. A jump leaves stack and registers as they
/// are, so it serves every signature, and needs no unwind information: a function without any is
/// a leaf, whose return address is on top of the stack.
macro_rules! slots {
    ($($name:ident)*) => {
        const NAMES: &[&CStr] = &[$(
            match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => unreachable!(),
            }
        ),*];

        global_asm!(
            ".text",
            $(concat!(
                ".globl ", stringify!($name), "\n",
                stringify!($name), ": jmp qword ptr [rip + websocket_slot_", stringify!($name), "]"
            ),)*
            ".data",
            ".balign 8",
            ".globl websocket_slots",
            "websocket_slots:",
            $(concat!("websocket_slot_", stringify!($name), ": .quad 0"),)*
            ".text",
        );
    };
}

/// What every version's build refers to, and what one version's does besides. The linker says
/// what is missing, tests/windows/imports what is no longer needed.
macro_rules! slots_with {
    ($($name:ident)*) => {
        slots! {
            lua_concat lua_createtable lua_error lua_gethook lua_gethookcount lua_gethookmask
            lua_gettop lua_getupvalue lua_next lua_pushboolean lua_pushcclosure lua_pushinteger
            lua_pushlightuserdata lua_pushlstring lua_pushnil lua_pushnumber lua_pushstring
            lua_pushvalue lua_rawequal lua_rawget lua_rawgeti lua_rawset lua_rawseti lua_setfield
            lua_setmetatable lua_settop lua_setupvalue lua_toboolean lua_tolstring lua_touserdata
            lua_type
            $($name)*
        }
    };
}

#[cfg(any(feature = "lua51", feature = "luajit"))]
slots_with! {
    luaL_error luaL_loadbuffer lua_call lua_checkstack lua_insert lua_isnumber lua_newuserdata
    lua_pcall lua_pushfstring lua_pushthread lua_tonumber
}

#[cfg(feature = "lua52")]
slots_with! {
    luaL_loadbufferx lua_callk lua_insert lua_newuserdata lua_pcallk lua_rawgetp lua_rawsetp
    lua_tonumberx lua_tothread
}

#[cfg(feature = "lua53")]
slots_with! {
    luaL_loadbufferx lua_callk lua_newuserdata lua_pcallk lua_rawgetp lua_rawsetp lua_rotate
    lua_tointegerx lua_tonumberx lua_tothread
}

#[cfg(feature = "lua54")]
slots_with! {
    luaL_loadbufferx lua_callk lua_newuserdatauv lua_pcallk lua_rawgetp lua_rawsetp lua_rotate
    lua_tointegerx lua_tonumberx lua_tothread lua_version
}

#[cfg(feature = "lua55")]
slots_with! {
    luaL_loadbufferx lua_callk lua_newuserdatauv lua_pcallk lua_rawgetp lua_rawsetp lua_rotate
    lua_tointegerx lua_tonumberx lua_tothread lua_version
}

/// The Lua that this library is built for.
const VERSION: &str = if cfg!(any(feature = "lua51", feature = "luajit")) {
    "Lua 5.1 or LuaJIT"
} else if cfg!(feature = "lua52") {
    "Lua 5.2"
} else if cfg!(feature = "lua53") {
    "Lua 5.3"
} else if cfg!(feature = "lua54") {
    "Lua 5.4"
} else {
    "Lua 5.5"
};

unsafe extern "C" {
    /// Where each of [`NAMES`] jumps to: zeros, until [`fill`] has been here.
    static websocket_slots: [AtomicUsize; NAMES.len()];
}

/// The module that the slots point into, 0 if none does. Whoever has locked this once after that
/// sees the slots filled; they never change again.
static FILLED_FROM: Mutex<usize> = Mutex::new(0);

/// Lets the slots point into the Lua that has called `luaopen_websocket`. If there is none, or
/// another than before, `Err` is the number of results to return to it: unless nobody could be
/// told, this raises an error there instead and does not return.
///
/// # Safety
///
/// The function that calls this one must have been called by Lua with `lua`, and there must be
/// nothing with a destructor on the stack of either.
pub unsafe fn fill(lua: *mut lua_State) -> Result<(), c_int> {
    let Err(refusal) = try_to_fill() else {
        return Ok(());
    };
    // SAFETY: the caller vouches for `lua`, and a BindError has no destructor.
    unsafe { refusal.raise(lua) };
    Err(0)
}

fn try_to_fill() -> Result<(), BindError> {
    let caller = caller().ok_or(BindError::new(ptr::null_mut(), "its caller is not known"))?;
    let host = lua_of(caller).ok_or_else(|| {
        let name = Name::of(caller);
        BindError::new(
            ptr::null_mut(),
            format_args!("{name} has called it, which neither exports nor imports Lua's C API"),
        )
    })?;
    // Nothing panics while this is locked; what is in it is one number.
    let mut filled_from = FILLED_FROM.lock().unwrap_or_else(PoisonError::into_inner);
    if *filled_from == host as usize {
        return Ok(());
    }
    if *filled_from != 0 {
        let (bound, name) = (Name::of(*filled_from as HMODULE), Name::of(host));
        return Err(BindError::new(
            host,
            format_args!(
                "this library serves the Lua in {bound} and cannot serve the one in {name} too; \
                 a copy of it in another folder can"
            ),
        ));
    }
    let functions = find_all(host)?;
    keep(host);
    // SAFETY: the array is defined in this file, eight bytes for each name, aligned and writable.
    let slots = unsafe { &*ptr::addr_of!(websocket_slots) };
    for (slot, function) in slots.iter().zip(functions) {
        // Read by the jumps, on threads that have had the lock since.
        slot.store(function, Ordering::Relaxed);
    }
    *filled_from = host as usize;
    Ok(())
}

/// What Lua 5.5 has and 5.4 has not: our slots do not tell the two apart.
const NEW_IN_5_5: &CStr = c"lua_pushexternalstring";

fn find_all(host: HMODULE) -> Result<[usize; NAMES.len()], BindError> {
    let is_5_5 = find(host, NEW_IN_5_5).is_some();
    if (cfg!(feature = "lua54") && is_5_5) || (cfg!(feature = "lua55") && !is_5_5) {
        let (name, other) = (Name::of(host), if is_5_5 { "5.5" } else { "older" });
        return Err(BindError::new(
            host,
            format_args!("it is built for {VERSION}, and the Lua in {name} is {other}"),
        ));
    }
    let mut functions = [0; NAMES.len()];
    for (function, name) in functions.iter_mut().zip(NAMES) {
        *function = find(host, name).map_or(0, |found| found as usize);
        if *function == 0 {
            let (host_name, name) = (Name::of(host), name.to_string_lossy());
            return Err(BindError::new(
                host,
                format_args!("it is built for {VERSION}, and the Lua in {host_name} has no {name}"),
            ));
        }
    }
    Ok(functions)
}

/// The module of the first function outside of this library that is under way: Lua's.
fn caller() -> Option<HMODULE> {
    let mut addresses = [ptr::null_mut::<c_void>(); 16];
    // SAFETY: the array has room for as many addresses as it says.
    let count = unsafe {
        let (room, hash) = (addresses.len() as u32, ptr::null_mut());
        RtlCaptureStackBackTrace(0, room, addresses.as_mut_ptr(), hash)
    };
    let own = module_at(caller as *const c_void)?;
    let mut modules = addresses[..count.into()].iter().map(|it| module_at(*it));
    modules.find(|module| *module != Some(own))?
}

fn module_at(address: *const c_void) -> Option<HMODULE> {
    let mut module = ptr::null_mut();
    let flags =
        GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
    // SAFETY: with FROM_ADDRESS the name is any address; `module` is valid for a write.
    let found = unsafe { GetModuleHandleExW(flags, address.cast(), &mut module) };
    (found != 0).then_some(module)
}

/// The module whose Lua this one uses: itself, if it exports one, or what it imports it from.
fn lua_of(module: HMODULE) -> Option<HMODULE> {
    let has_lua = |module: &HMODULE| find(*module, c"lua_gettop").is_some();
    if has_lua(&module) {
        return Some(module);
    }
    // SAFETY: `module` is loaded, and so has the headers that say where its imports stand. They
    // are an array with zeros at its end; the loader has read them before us, and they stay as
    // they are while the module is loaded: its code is under way.
    unsafe {
        let base = module.cast::<u8>().cast_const();
        let header = base.cast::<IMAGE_DOS_HEADER>().read_unaligned().e_lfanew;
        let header = base.add(header as usize).cast::<IMAGE_NT_HEADERS64>();
        let directories = header.read_unaligned().OptionalHeader.DataDirectory;
        let imports = directories[IMAGE_DIRECTORY_ENTRY_IMPORT as usize].VirtualAddress;
        if imports == 0 {
            return None;
        }
        let mut import = base.add(imports as usize).cast::<IMAGE_IMPORT_DESCRIPTOR>();
        loop {
            let name = import.read_unaligned().Name;
            if name == 0 {
                return None;
            }
            let imported = GetModuleHandleA(base.add(name as usize));
            if !imported.is_null() && has_lua(&imported) {
                return Some(imported);
            }
            import = import.add(1);
        }
    }
}

fn find(module: HMODULE, name: &CStr) -> FARPROC {
    // SAFETY: `module` is loaded: its code, or that of a module which imports it, is under way.
    unsafe { GetProcAddress(module, name.as_ptr().cast()) }
}

/// Takes a reference to the module that the slots point into, never given back.
fn keep(module: HMODULE) {
    let mut kept = ptr::null_mut();
    let flags = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN;
    // SAFETY: a module's handle is its first address; `kept` is valid for a write.
    unsafe { GetModuleHandleExW(flags, module.cast_const().cast(), &mut kept) };
}

/// A module's file name without its folder, for an error.
struct Name(String);

impl Name {
    fn of(module: HMODULE) -> Self {
        let mut path = [0u16; 1024];
        // SAFETY: the array has room for as many characters as it says.
        let length = unsafe { GetModuleFileNameW(module, path.as_mut_ptr(), path.len() as u32) };
        let path = String::from_utf16_lossy(&path[..length as usize]);
        let name = path.rsplit(['\\', '/']).next().unwrap_or_default();
        Self(name.to_owned())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why the library does not open. Has no destructor: Lua's error leaves our frames by a jump.
#[derive(Clone, Copy)]
struct BindError {
    /// The Lua to tell, null if it is out of reach.
    host: HMODULE,
    text: [u8; 512],
    length: usize,
}

impl BindError {
    fn new(host: HMODULE, reason: impl fmt::Display) -> Self {
        let mut text = [0; 512];
        // What does not fit is cut; the last byte remains 0.
        let room = text.len() - 1;
        let mut rest = &mut text[..room];
        let _ = write!(rest, "websocket cannot be opened: {reason}");
        let length = room - rest.len();
        Self { host, text, length }
    }

    /// Raises an error in the Lua that has called us. Where its functions are not known, standard
    /// error and the debugger are told, and this returns.
    ///
    /// # Safety
    ///
    /// As for [`fill`].
    unsafe fn raise(&self, lua: *mut lua_State) {
        type Push = unsafe extern "C-unwind" fn(*mut lua_State, *const c_char, usize);
        type Raise = unsafe extern "C-unwind" fn(*mut lua_State) -> c_int;
        let message = self.text.as_ptr();
        if !self.host.is_null()
            && let Some(push) = find(self.host, c"lua_pushlstring")
            && let Some(raise) = find(self.host, c"lua_error")
        {
            // SAFETY: every Lua has these two with these arguments, though from 5.2 on the first
            // returns something, which is left. They are those of the Lua that `lua` belongs to:
            // its module has called us.
            unsafe {
                let push = mem::transmute::<unsafe extern "system" fn() -> isize, Push>(push);
                let raise = mem::transmute::<unsafe extern "system" fn() -> isize, Raise>(raise);
                push(lua, message.cast(), self.length);
                raise(lua);
            }
        }
        // A program without a console has no standard error: nobody is told there.
        let _ = writeln!(
            std::io::stderr(),
            "{}",
            String::from_utf8_lossy(&self.text[..self.length])
        );
        // SAFETY: `text` ends in 0.
        unsafe { OutputDebugStringA(message) };
    }
}
