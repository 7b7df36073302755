//! What stands behind the functions that a script holds, and whether it still does.

use std::{
    cell::Cell,
    env,
    ffi::c_int,
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
};

use mlua::{
    ffi,
    ffi::{lua_CFunction, lua_State},
};

use super::push::{self, Text};
use crate::{
    engine::{Engine, Id},
    relay::Relays,
};

/// The upvalues of every native function.
const ANCHOR: c_int = 1;
/// What a connection, a server or a timer is to module.lua, by its number.
pub const OBJECTS: c_int = 2;
/// What `update` calls: at [`DRAIN`] and [`HANDLER`].
pub const LOOP: c_int = 3;
pub const DRAIN: ffi::lua_Integer = 1;
pub const HANDLER: ffi::lua_Integer = 2;

/// Where this is set and not empty, no state warns.
const NO_WARNINGS: &str = "WEBSOCKET_NO_WARNINGS";

/// What one Lua state has of the core.
pub struct State {
    pub engine: Engine,
    /// Of tests. They end after the connections, which say goodbye through them.
    pub relays: Relays,
    /// The event that was given to module.lua, still the engine's first: it is taken off when
    /// module.lua asks for the next, or has handed it over before an error.
    pub shown: Cell<bool>,
    /// How many events of this update were given to module.lua.
    pub seen: Cell<u64>,
    /// Which upvalue of `drain` counts those that it has handed over.
    pub handed: Cell<c_int>,
    /// What the engine's first event points to is being pushed: it must stay where it is.
    pub pushing: Cell<bool>,
    /// The Lua thread that delivers; null: none does. Compared, and never looked into.
    thread: Cell<*mut lua_State>,
    /// The main thread as far as it is known, for its hook.
    pub main: *mut lua_State,
}

impl State {
    /// Whether callbacks are being run.
    pub fn is_delivering(&self) -> bool {
        !self.thread.get().is_null()
    }

    /// Whether `thread` is the one that runs them, and no coroutine that one has started.
    pub fn delivers_on(&self, thread: *mut lua_State) -> bool {
        self.thread.get() == thread
    }

    /// Callbacks are being run on `thread` from now on, or no longer. What sets this unsets it:
    /// a protected call stands between, so no error gets past.
    pub fn set_delivering(&self, thread: Option<*mut lua_State>) {
        self.thread.set(thread.unwrap_or(ptr::null_mut()));
    }
}

/// Pushes the anchor of a new state: a userdata that owns it until it is finalized. The functions
/// may outlive that: while a Lua state closes, finalizers of scripts still run.
///
/// # Safety
///
/// `lua` must have room for four values. It may raise.
pub unsafe fn push_anchor(lua: *mut lua_State) {
    // SAFETY: the block is as large and as aligned as a pointer, and null until nothing can fail
    // any more. The metatable stays out of scripts' reach.
    unsafe {
        let block = push_block(lua);
        let main = main_thread(lua);
        match catch_unwind(|| new_state(main)).unwrap_or_else(|_| Err(panicked())) {
            Ok(state) => block.write(state),
            Err(problem) => push::raise(lua, &problem),
        }
    }
}

/// Pushes a userdata for a pointer, null, whose state goes with it.
#[cfg(not(feature = "luau"))]
unsafe fn push_block(lua: *mut lua_State) -> *mut *mut State {
    // SAFETY: `push_anchor` is running.
    unsafe {
        let block = ffi::lua_newuserdata(lua, size_of::<*mut State>()).cast::<*mut State>();
        block.write(ptr::null_mut());
        ffi::lua_createtable(lua, 0, 1);
        push::field(lua, c"__gc", |lua| ffi::lua_pushcclosure(lua, release, 0));
        ffi::lua_setmetatable(lua, -2);
        block
    }
}

/// The same. Luau knows no `__gc`, but a function for when the memory itself goes.
#[cfg(feature = "luau")]
unsafe fn push_block(lua: *mut lua_State) -> *mut *mut State {
    unsafe extern "C" fn destroy(_: *mut lua_State, block: *mut std::ffi::c_void) {
        // SAFETY: Luau calls this once, with the block below.
        unsafe { drop_state(block.cast()) };
    }
    // SAFETY: `push_anchor` is running.
    unsafe {
        let size = size_of::<*mut State>();
        let block = ffi::lua_newuserdatadtor(lua, size, destroy).cast::<*mut State>();
        block.write(ptr::null_mut());
        block
    }
}

/// Gives the state up. A callback that collects garbage while the Lua state closes gets here in the
/// middle of an update: then the workers are told to stop, and the rest is for [`drop_released`], at
/// the end of that update.
///
/// # Safety
///
/// The block must be one of `push_block`.
unsafe fn drop_state(block: *mut *mut State) {
    // SAFETY: the caller vouches for the block: its pointer is null or owns the state, given up here
    // once.
    unsafe {
        let pointer = block.replace(ptr::null_mut());
        match pointer.as_ref() {
            Some(state) if state.is_delivering() => {
                let _ = catch_unwind(AssertUnwindSafe(|| state.engine.stop()));
            }
            Some(_) => free(pointer),
            None => {}
        }
    }
}

fn new_state(main: *mut lua_State) -> Result<*mut State, Text> {
    let engine = Engine::new();
    let engine = engine.map_err(|error| Text::of(&format_args!("websocket: {error}")))?;
    if env::var_os(NO_WARNINGS).is_none_or(|value| value.is_empty()) {
        engine.warn_if_unattended(warn);
    }
    Ok(Box::into_raw(Box::new(State {
        engine,
        relays: Relays::default(),
        shown: Cell::default(),
        handed: Cell::default(),
        seen: Cell::default(),
        pushing: Cell::default(),
        thread: Cell::new(ptr::null_mut()),
        main,
    })))
}

/// The commonest mistake, of which the script sees nothing.
fn warn() {
    let line = "websocket: events have waited for a second, and nothing has called \
        websocket.update() yet, without which no callback runs: call it once a frame, or \
        websocket.run() at the end of a script. (Said once; websocket.disable_warnings() or \
        WEBSOCKET_NO_WARNINGS=1 turns it off.)\n";
    // A program may have closed its stderr.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// The main thread, or null: Lua 5.1 does not tell from within a coroutine.
unsafe fn main_thread(lua: *mut lua_State) -> *mut lua_State {
    // SAFETY: a thread that is pushed is taken off again; the registry of later Luas has the main
    // thread at that index.
    unsafe {
        #[cfg(feature = "luau")]
        {
            ffi::lua_mainthread(lua)
        }
        #[cfg(not(any(feature = "lua51", feature = "luajit", feature = "luau")))]
        {
            ffi::lua_rawgeti(lua, ffi::LUA_REGISTRYINDEX, ffi::LUA_RIDX_MAINTHREAD);
            let main = ffi::lua_tothread(lua, -1);
            ffi::lua_pop(lua, 1);
            main
        }
        #[cfg(any(feature = "lua51", feature = "luajit"))]
        {
            let is_main = ffi::lua_pushthread(lua) == 1;
            ffi::lua_pop(lua, 1);
            if is_main { lua } else { ptr::null_mut() }
        }
    }
}

/// The anchor's finalizer.
#[cfg(not(feature = "luau"))]
unsafe extern "C-unwind" fn release(lua: *mut lua_State) -> c_int {
    // SAFETY: the metatable is out of scripts' reach, so argument 1 is the userdata made in
    // `push_block`.
    unsafe {
        drop_state(ffi::lua_touserdata(lua, 1).cast());
        #[cfg(feature = "lua51")]
        keep_block(lua);
    }
    0
}

/// Keeps the block for those who still call our functions. A Lua 5.1 that closes in the middle of a
/// collection makes it white before it calls this, though functions that were marked already refer to
/// it (`GCTM` in lgc.c); a finalizer of a script that goes on with the collection would have it freed.
/// What is stored in the registry is looked at again.
///
/// # Safety
///
/// [`release`] is running.
#[cfg(feature = "lua51")]
unsafe fn keep_block(lua: *mut lua_State) {
    // SAFETY: a C function has room for two values. It may raise where there is no memory, with
    // nothing left undone but this.
    unsafe {
        ffi::lua_pushlightuserdata(lua, ffi::lua_touserdata(lua, 1));
        ffi::lua_pushvalue(lua, 1);
        ffi::lua_rawset(lua, ffi::LUA_REGISTRYINDEX);
    }
}

/// The end of an update: nobody but it has the state any more, if the anchor was finalized meanwhile.
///
/// # Safety
///
/// `lua` must be running a function made by [`push_bound`], `state` be what that was bound to and not
/// be used afterwards.
pub unsafe fn drop_released(lua: *mut lua_State, state: *const State) {
    // SAFETY: the caller vouches for it; the pointer came from a box.
    unsafe {
        if bound(lua).is_none() {
            free(state.cast_mut());
        }
    }
}

/// # Safety
///
/// `pointer` must own a state.
unsafe fn free(pointer: *mut State) {
    // SAFETY: the caller vouches for it.
    let state = unsafe { Box::from_raw(pointer) };
    // A panic must not reach Lua; the workers it would leave behind end by themselves.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(state)));
}

/// Makes a C function with the anchor, the objects and the loop as its upvalues.
///
/// # Safety
///
/// These three must stand at `first` and behind it, and `lua` have room for three more values.
pub unsafe fn push_bound(lua: *mut lua_State, first: c_int, function: lua_CFunction) {
    // SAFETY: the caller vouches for the stack.
    unsafe {
        for index in first..first + 3 {
            ffi::lua_pushvalue(lua, index);
        }
        ffi::lua_pushcclosure(lua, function, 3);
    }
}

/// The state that a function was bound to, unless the Lua state is closing.
///
/// # Safety
///
/// `lua` must be running a function made by [`push_bound`], and the state must not be kept longer.
#[inline]
pub unsafe fn bound<'a>(lua: *mut lua_State) -> Option<&'a State> {
    // SAFETY: the upvalue is the anchor: its block lives as long as the running function, and its
    // pointer is null or owns the state.
    unsafe {
        ffi::lua_touserdata(lua, ffi::lua_upvalueindex(ANCHOR))
            .cast::<*const State>()
            .read()
            .as_ref()
    }
}

/// The same; raises if the Lua state is closing.
///
/// # Safety
///
/// As [`bound`]; nothing with a destructor may be on the stack.
pub unsafe fn bound_or_raise<'a>(lua: *mut lua_State) -> &'a State {
    // SAFETY: the caller vouches for it.
    unsafe {
        match bound(lua) {
            Some(state) => state,
            None => push::raise(lua, &Text::of(&"websocket: the Lua state is closing")),
        }
    }
}

/// Forgets what module.lua calls `id`. Neither allocates nor raises.
///
/// # Safety
///
/// `lua` must be running a function made by [`push_bound`] and have room for three values.
pub unsafe fn retire(lua: *mut lua_State, id: Id) {
    let objects = ffi::lua_upvalueindex(OBJECTS);
    // SAFETY: the caller vouches for the stack. To clear a field that exists allocates nothing.
    unsafe {
        push::integer(lua, id);
        let is_there = ffi::lua_rawget(lua, objects) != ffi::LUA_TNIL;
        ffi::lua_pop(lua, 1);
        if is_there {
            push::integer(lua, id);
            ffi::lua_pushnil(lua);
            ffi::lua_rawset(lua, objects);
        }
    }
}

/// What a panic of ours becomes.
pub fn panicked() -> Text {
    Text::of(&"websocket: internal error: a function panicked")
}
