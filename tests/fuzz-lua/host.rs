//! A Lua interpreter with the module inside, whose memory can be made to fail: runs
//! `SCRIPT ARGUMENTS...` as `lua` does. Scripts find `fuzz_host`:
//!
//! `starve(n)`   the n-th allocation from now on fails; where Lua collects and tries again, so
//!               does its second try
//! `feed()`      no more do; whether one has failed
//! `count(path)` the entries of a directory

use std::{
    cell::Cell,
    env,
    ffi::{CString, c_char, c_int, c_void},
    path::Path,
    process::ExitCode,
    ptr,
};

use mlua::{Lua, ffi, ffi::lua_State};

/// Lua 5.1 does not try again.
const TRIES: u32 = if cfg!(feature = "lua51") { 1 } else { 2 };

thread_local! {
    /// How many allocations go well until one fails; 0: all do.
    static LEFT: Cell<u32> = const { Cell::new(0) };
    /// How many more fail then.
    static FAILING: Cell<u32> = const { Cell::new(0) };
    static HAS_FAILED: Cell<bool> = const { Cell::new(false) };
}

fn fails() -> bool {
    if FAILING.get() > 0 {
        FAILING.set(FAILING.get() - 1);
        return true;
    }
    let left = LEFT.get();
    LEFT.set(left.saturating_sub(1));
    if left == 1 {
        FAILING.set(TRIES - 1);
        HAS_FAILED.set(true);
    }
    left == 1
}

/// Lua's allocator. To make a block smaller never fails, as Lua asks for.
unsafe extern "C" fn allocate(
    _: *mut c_void,
    block: *mut c_void,
    old_size: usize,
    size: usize,
) -> *mut c_void {
    // SAFETY: Lua passes null or a block that this function gave it, and its size.
    unsafe {
        if size == 0 {
            libc_free(block);
            return ptr::null_mut();
        }
        let grows = block.is_null() || size > old_size;
        if grows && fails() {
            return ptr::null_mut();
        }
        libc_realloc(block, size)
    }
}

unsafe extern "C" {
    #[link_name = "free"]
    fn libc_free(block: *mut c_void);
    #[link_name = "realloc"]
    fn libc_realloc(block: *mut c_void, size: usize) -> *mut c_void;
}

unsafe extern "C-unwind" fn starve(lua: *mut lua_State) -> c_int {
    HAS_FAILED.set(false);
    // SAFETY: Lua calls this with its arguments on the stack.
    LEFT.set(unsafe { ffi::luaL_checkinteger(lua, 1) } as u32);
    0
}

unsafe extern "C-unwind" fn feed(lua: *mut lua_State) -> c_int {
    LEFT.set(0);
    FAILING.set(0);
    // SAFETY: Lua gives a C function room for 20 values.
    unsafe { ffi::lua_pushboolean(lua, HAS_FAILED.replace(false).into()) };
    1
}

unsafe extern "C-unwind" fn count(lua: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with its arguments on the stack, and the string stays there.
    unsafe {
        let path = std::ffi::CStr::from_ptr(ffi::luaL_checkstring(lua, 1));
        let entries = Path::new(&*path.to_string_lossy())
            .read_dir()
            .map_or(0, |it| it.count());
        ffi::lua_pushinteger(lua, entries as ffi::lua_Integer);
    }
    1
}

/// The state, with Lua's libraries, `arg` and `fuzz_host`.
fn new_state(arguments: &[String]) -> *mut lua_State {
    // SAFETY: a fresh state, used by this thread alone; nothing is starved yet, and memory that
    // really is at its end may abort this program.
    unsafe {
        #[cfg(feature = "lua55")]
        let lua = ffi::lua_newstate(allocate, ptr::null_mut(), 1);
        #[cfg(not(feature = "lua55"))]
        let lua = ffi::lua_newstate(allocate, ptr::null_mut());
        assert!(!lua.is_null(), "a state");
        ffi::luaL_openlibs(lua);
        ffi::lua_createtable(lua, 0, 3);
        for (name, function) in [
            (
                c"starve",
                starve as unsafe extern "C-unwind" fn(*mut lua_State) -> c_int,
            ),
            (c"feed", feed),
            (c"count", count),
        ] {
            ffi::lua_pushcclosure(lua, function, 0);
            ffi::lua_setfield(lua, -2, name.as_ptr());
        }
        ffi::lua_setglobal(lua, c"fuzz_host".as_ptr());
        ffi::lua_createtable(lua, 0, 0);
        for (index, argument) in arguments.iter().enumerate() {
            ffi::lua_pushlstring(lua, argument.as_ptr().cast::<c_char>(), argument.len());
            ffi::lua_rawseti(lua, -2, index as _);
        }
        ffi::lua_setglobal(lua, c"arg".as_ptr());
        // What mlua itself keeps in a state: without memory for that it aborts the program. The
        // module as scripts load it asks for none of it.
        Lua::get_or_init_from_ptr(lua);
        lua
    }
}

/// `package.preload.websocket`, as a program in C would set it.
unsafe extern "C-unwind" fn open_module(lua: *mut lua_State) -> c_int {
    // SAFETY: `lua` runs this function and outlives it; mlua pushes the table, or raises.
    unsafe { Lua::entrypoint1(lua, websocket::open) }
}

fn main() -> ExitCode {
    let arguments = env::args().skip(1).collect::<Vec<_>>();
    let [script, ..] = &arguments[..] else {
        eprintln!("fuzz_lua SCRIPT ARGUMENTS...");
        return ExitCode::FAILURE;
    };
    let path = CString::new(script.as_str()).expect("arguments have no NUL");
    let lua = new_state(&arguments);
    // SAFETY: the state is this thread's, each call has its values on the stack, and the script
    // runs protected.
    unsafe {
        ffi::lua_getglobal(lua, c"package".as_ptr());
        ffi::lua_getfield(lua, -1, c"preload".as_ptr());
        ffi::lua_pushcclosure(lua, open_module, 0);
        ffi::lua_setfield(lua, -2, c"websocket".as_ptr());
        ffi::lua_settop(lua, 0);
        let failed =
            ffi::luaL_loadfile(lua, path.as_ptr()) != 0 || ffi::lua_pcall(lua, 0, 0, 0) != 0;
        if failed {
            let text = ffi::lua_tolstring(lua, -1, ptr::null_mut());
            let text = if text.is_null() {
                c"(an error that is no string)".as_ptr()
            } else {
                text
            };
            eprintln!("{}", std::ffi::CStr::from_ptr(text).to_string_lossy());
        }
        ffi::lua_close(lua);
        ExitCode::from(u8::from(failed))
    }
}
