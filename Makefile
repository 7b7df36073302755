# `make help` lists the targets. LUA picks one Lua version: 5.1, jit, 5.2, 5.3, 5.4 or 5.5;
# without it `make build` and `make test` take all of them.

TARGET := $(or $(CARGO_TARGET_DIR),target)
CARGO_FLAGS ?= --locked
SECONDS ?= 60
SEED ?=
URL ?=

# A rock is built for the interpreter that runs LuaRocks.
ifdef INTERPRETER
  LUA := $(shell "$(INTERPRETER)" -e "print((_VERSION:gsub('^Lua ', '')))")
endif

ALL_LUAS := 5.1 5.2 5.3 5.4 5.5
# LuaJIT loads what is built for Lua 5.1.
LUAS := $(patsubst jit,5.1,$(or $(LUA),$(ALL_LUAS)))
UNKNOWN_LUAS := $(filter-out $(ALL_LUAS),$(LUAS))
ifneq ($(UNKNOWN_LUAS),)
$(error LUA=$(LUA): known are 5.1, jit, 5.2, 5.3, 5.4 and 5.5)
endif

# Before anything is built for minutes.
ifneq ($(filter install,$(MAKECMDGOALS)),)
  ifneq ($(words $(LUA)),1)
    $(error make install needs LUA, one of them: make install LUA=5.4 LIBDIR=/usr/local/lib/lua/5.4)
  else ifeq ($(LIBDIR),)
    $(error make install needs LIBDIR, a directory of package.cpath: make install LUA=5.4 LIBDIR=/usr/local/lib/lua/5.4)
  endif
endif

ifeq ($(OS),Windows_NT)
  BUILT := websocket.dll
  MODULE := websocket.dll
else ifeq ($(shell uname -s),Darwin)
  BUILT := libwebsocket.dylib
  MODULE := websocket.so
else
  BUILT := libwebsocket.so
  MODULE := websocket.so
endif

# On Linux and the BSDs TLS is the system's OpenSSL; without its headers one is built from source.
TLS_FEATURE := $(shell tests/openssl-feature)
comma := ,

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: rust
rust:
	@tests/need-rust

.PHONY: demo
demo: rust ## a Lua echo server and client in a Rust host; URL=wss://... talks to a server of yours
	@tests/openssl-feature --explain
	@echo "Building the host and its Lua; the first time takes a minute or two"
	cargo build $(CARGO_FLAGS) --example host --features lua54,vendored$(addprefix $(comma),$(TLS_FEATURE))
	@$(TARGET)/debug/examples/host examples/echo.lua $(URL)

.PHONY: build
build: $(addprefix build-lua,$(LUAS)) ## build/luaX.Y/websocket.so; LUA=5.1|jit|5.2|5.3|5.4|5.5 for one

# Only as a cdylib: a library that is built as rlib too is linked without LTO.
.PHONY: $(addprefix build-lua,$(ALL_LUAS))
$(addprefix build-lua,$(ALL_LUAS)): build-lua%: rust
	@tests/openssl-feature --explain
	cargo rustc $(CARGO_FLAGS) --release --lib --crate-type cdylib --target-dir $(TARGET)/lua$* \
	  --features lua$(subst .,,$*),module$(addprefix $(comma),$(TLS_FEATURE))
	@mkdir -p build/lua$*
	@cp $(TARGET)/lua$*/release/$(BUILT) build/lua$*/$(MODULE).new
	@mv build/lua$*/$(MODULE).new build/lua$*/$(MODULE)

.PHONY: install
install: build ## copy one Lua's library: make install LUA=5.4 LIBDIR=/usr/local/lib/lua/5.4
	@mkdir -p "$(LIBDIR)"
	cp build/lua$(LUAS)/$(MODULE) "$(LIBDIR)"

.PHONY: dist-defold
dist-defold: tools ## build/defold.zip, the extension for Defold, and a check that reads it
	defold/dist
	@$(MAKE) --no-print-directory build LUA=5.1
	build/venv/bin/python tests/hosts/defold/package

.PHONY: html5
html5: ## the Defold extension in node and Chromium; on Debian it first installs emscripten, too
	@tests/install emcc=emscripten
	@$(MAKE) --no-print-directory build LUA=5.1
	tests/hosts/defold/web

.PHONY: install-c
install-c: rust ## libwebsocket.a, .so and websocket.h for one Lua: make install-c LUA=5.4 PREFIX=/usr/local
	@test "$(words $(LUAS))" = 1 || { echo "make install-c needs LUA, one version" >&2; exit 1; }
	@tests/openssl-feature --explain
	@DESTDIR="$(DESTDIR)" dist/install-c $(LUAS) "$(PREFIX)"

.PHONY: dist
dist: rust ## build/dist: libraries for every Linux, archives for LÖVE, Neovim and mpv; installs what it needs
	@dist/build

.PHONY: test-dist
test-dist: tools ## test what make dist has made
	@tests/dist/run

.PHONY: cross-check
cross-check: rust ## check that the Rust compiles for Windows, macOS, iOS, Android, FreeBSD and musl
	@dist/cross-check

.PHONY: tools
tools: ## install what the tests need: apt, npm, and pip into build/venv
	@tests/install

.PHONY: test
test: tools ## every check and test; LUA=5.4 for one Lua's part
	@LUA="$(LUA)" tests/run

.PHONY: windows
windows: ## build for Windows and test under Wine; on Debian it first installs what it needs
	@tests/windows/run

.PHONY: annotations
annotations: ## check the LuaCATS annotations against the examples
	@tests/annotations

.PHONY: docs
docs: tools ## build/docs, the documentation site; builds mdBook once, and checks every link
	@docs/build

.PHONY: screenshots
screenshots: tools ## take the documentation's pictures anew, of the examples as they run
	@$(MAKE) --no-print-directory build LUA=5.1
	@node docs/screenshots.mjs

.PHONY: format
format: tools ## format Rust and Lua
	cargo fmt
	node_modules/.bin/stylua lua src/lua library examples tests benches defold dist docs

.PHONY: bench
bench: tools ## measure against other clients, side by side
	@benches/run

.PHONY: autobahn
autobahn: tools build ## the Autobahn test suite, as client and as server
	@tests/autobahn/run

.PHONY: simulate
simulate: ## lives of connections on a simulated network, for SECONDS=60; SEED=1 replays one, step by step
	@SECONDS="$(SECONDS)" SEED="$(SEED)" cargo test $(CARGO_FLAGS) --no-default-features \
	  --profile simulation --test simulation -- --nocapture

.PHONY: fuzz
fuzz: ## run every fuzz target for SECONDS=60
	@fuzz/run $(SECONDS)

FUZZ_LUA = --seconds $(SECONDS) $(addprefix --seed ,$(SEED)) $(addprefix --lua ,$(LUA))

.PHONY: fuzz-lua
fuzz-lua: tools build ## random calls in random states for SECONDS=60; SEED=1 begins there, LUA=5.4 for one
	cargo build $(CARGO_FLAGS) --quiet --example fuzz_lua \
	  --features lua54,vendored$(addprefix $(comma),$(TLS_FEATURE))
	@tests/fuzz-lua/run case $(FUZZ_LUA)

.PHONY: fuzz-order
fuzz-order: tools build ## many connections, every message in order, for SECONDS=60; SEED and LUA as above
	@tests/fuzz-lua/run order $(FUZZ_LUA)

.PHONY: clean
clean: ## remove what was built
	rm -rf build $(TARGET)
