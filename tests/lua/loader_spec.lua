-- dist/websocket.lua, which is shipped as websocket.lua, in an interpreter of its own.
local lfs = require("lfs")

local INTERPRETER = arg[-1]
local VERSION = _VERSION:match("%d%.%d")
local OTHER = VERSION == "5.1" and "5.3" or "5.1"
local MACHINE = "linux-" .. assert(io.popen("uname -m")):read("*l")
local ROOT = lfs.currentdir()
local BUILT = ("%s/build/lua%s/websocket.so"):format(ROOT, VERSION)

local function file_name(version)
  return ("%s-lua%s.so"):format(MACHINE, (version:gsub("%.", "")))
end

local OURS = file_name(VERSION)

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

describe("the loader", function()
  local folder

  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute(("mkdir -p '%s/websocket' '%s/elsewhere/websocket'"):format(folder, folder)))
    assert(lfs.link(ROOT .. "/dist/websocket.lua", folder .. "/websocket.lua", true))
  end)

  after_each(function()
    os.execute(("rm -r '%s'"):format(folder))
  end)

  -- Libraries under other names, by their path in the folder.
  local function link(name)
    assert(lfs.link(BUILT, folder .. "/" .. name, true))
  end

  -- A library that asks for functions which ours asks another Lua for: tests/dist/loader has the
  -- real ones, of all Luas.
  local function foreign(name)
    local symbols = OTHER == "5.1" and { "lua_pcall" } or { "lua_pcallk", "lua_rotate" }
    local calls = {}
    for index, symbol in ipairs(symbols) do
      calls[index] = symbol .. "()"
    end
    local source = folder .. "/foreign.c"
    local code = "int %s; int luaopen_websocket(void) { return %s; }"
    write(source, code:format(table.concat(calls, ", "), table.concat(calls, " + ")))
    local command = "cc -shared -fPIC -Wl,-z,now -o '%s/%s' '%s'"
    assert.is_truthy(os.execute(command:format(folder, name, source)))
  end

  -- What a script prints, whose modules are in the folder; the loader's error if it raises.
  local function run(script, cpath)
    local prelude = "package.path, package.cpath = %q, %q\n"
    write(
      folder .. "/main.lua",
      prelude:format(folder .. "/?.lua", cpath or "") .. (script or 'require("websocket")')
    )
    local pipe = assert(io.popen(("%s '%s/main.lua' 2>&1"):format(INTERPRETER, folder), "r"))
    local output = pipe:read("*a"):gsub(folder:gsub("%p", "%%%0"), "FOLDER")
    pipe:close()
    return output
  end

  local function assert_says(words, output)
    assert.is_truthy(output:find(words, 1, true), ("%q has no %q"):format(output, words))
  end

  it("takes the library beside it", function()
    link("websocket/" .. OURS)
    local script = [[
      local websocket = require("websocket")
      assert(websocket == require("websocket"))
      local server = assert(websocket.listen({}, function() end))
      print(server.port > 0, websocket.WebSocket ~= nil)
      server:close()
      websocket.run()
    ]]
    assert.equal("true\ttrue\n", run(script))
  end)

  it("takes it in a folder of modules, too", function()
    link("elsewhere/websocket/" .. OURS)
    assert(os.rename(folder .. "/websocket.lua", folder .. "/elsewhere/websocket.lua"))
    assert.equal("number\n", run('print(type(require("elsewhere.websocket").now()))'))
  end)

  it("takes one that package.cpath finds", function()
    link("elsewhere/websocket/" .. OURS)
    local cpath = ("./?.none;%s/elsewhere/?.so"):format(folder)
    assert.equal("number\n", run('print(type(require("websocket").now()))', cpath))
  end)

  it("takes one for this Lua alone that package.cpath finds", function()
    link("elsewhere/websocket.so")
    local cpath = folder .. "/elsewhere/?.so"
    assert.equal("number\n", run('print(type(require("websocket").now()))', cpath))
  end)

  it("takes a good library though a bad one comes first", function()
    write(folder .. "/websocket/" .. OURS, "no library")
    link("elsewhere/websocket/" .. OURS)
    local cpath = folder .. "/elsewhere/?.so"
    assert.equal("number\n", run('print(type(require("websocket").now()))', cpath))
  end)

  it("says at the caller's line what it looked for and what is there", function()
    link("websocket/" .. file_name(OTHER))
    link("websocket/windows-x86_64-lua51.dll")
    local output = run(nil, folder .. "/elsewhere/?.so")
    assert_says(
      ("main.lua:2: websocket: no library for %s on linux, %s:"):format(
        _VERSION,
        MACHINE:match("linux%-(.*)")
      ),
      output
    )
    assert_says(("FOLDER/websocket/%s: not there; there is "):format(OURS), output)
    assert_says(("%s (for Lua %s)"):format(file_name(OTHER), OTHER), output)
    assert_says("windows-x86_64-lua51.dll (for Lua 5.1)", output)
    assert_says("package.cpath: FOLDER/elsewhere/?.so", output)
  end)

  it("says that a library is for another Lua", function()
    foreign("elsewhere/websocket.so")
    local output = run(nil, folder .. "/elsewhere/?.so")
    assert_says(
      ("FOLDER/elsewhere/websocket.so: it is for Lua %s, this program runs %s\n"):format(
        OTHER,
        _VERSION
      ),
      output
    )
    assert.is_nil(output:find("undefined symbol", 1, true))
  end)

  it("hands on what the system says of a file that is no library", function()
    write(folder .. "/websocket/" .. OURS, "no library")
    assert_says(("FOLDER/websocket/%s: "):format(OURS), run())
    assert_says("file too short", run())
  end)

  it("tries what is there in a host whose system nobody knows", function()
    write(folder .. "/websocket/" .. file_name(VERSION):gsub("linux%-%w+", "linux-aarch64"), "none")
    link("websocket/" .. OURS)
    assert.equal("number\n", run('io, jit = nil\nprint(type(require("websocket").now()))'))
  end)

  it("says that the host loads no libraries", function()
    assert_says(
      "main.lua:3: websocket: this program does not let scripts load libraries",
      run('package.loadlib = nil\nrequire("websocket")')
    )
  end)
end)
