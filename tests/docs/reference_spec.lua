-- Nothing public is missing in the reference, and the catalogue of errors quotes what there is.
package.path = "tests/docs/?.lua;docs/?.lua;" .. package.path

local annotations = require("annotations")
local book = require("book")
local lfs = require("lfs")
local reference = require("reference")
local websocket = require("websocket")

local LIBRARY = reference.library()

-- All files of a folder whose name ends so, as one text.
local function sources(folder, ending)
  local texts = {}
  for name in lfs.dir(folder) do
    local path = folder .. "/" .. name
    if name:sub(-#ending) == ending then
      texts[#texts + 1] = book.read(path)
    elseif name:find("^%w+$") and lfs.attributes(path, "mode") == "directory" then
      texts[#texts + 1] = sources(path, ending)
    end
  end
  return table.concat(texts, "\n")
end

describe("the reference", function()
  local pages = reference.render(LIBRARY)
  local all = {}
  for _, text in pairs(pages) do
    all[#all + 1] = text
  end
  local site = table.concat(all, "\n")

  local function has_entry(id)
    return site:find(('id="%s"'):format(id), 1, true) or site:find(("{#%s}"):format(id), 1, true)
  end

  -- Read anew, by simpler means than the reference's own.
  it("has every class, alias, field and function of the annotations", function()
    local class, variables, count = nil, {}, 0
    for line in LIBRARY:gmatch("[^\n]+") do
      local owner, name = line:match("^function ([%w_]+)[.:]([%w_]+)%(")
      local variable = line:match("^local ([%w_]+) = {}$")
      local declared = line:match("^%-%-%-@class ([%w_.]+)")
        or line:match("^%-%-%-@alias ([%w_.]+)")
      local field = line:match("^%-%-%-@field ([%w_]+)")
      local id
      if declared then
        class = declared:gsub("^websocket%.", ""):gsub("%.", "-")
        id = class
      elseif variable then
        variables[variable] = class
      elseif field then
        id = class .. "." .. field
      elseif owner then
        id = variables[owner] .. "." .. name
      end
      if id then
        count = count + 1
        assert.is_truthy(has_entry(id), id)
      end
    end
    assert.is_true(count > 300, "found only " .. count)
  end)

  it("has every param and every result of a function in its entry", function()
    for _, class in ipairs(annotations.read(LIBRARY).classes) do
      for _, entry in ipairs(class.functions) do
        local id = reference.anchor(class.name) .. "." .. entry.name
        local _, ends = site:find(("{#%s}\n"):format(id), 1, true)
        local section = site:sub(ends, (site:find("\n#", ends, true)))
        for _, param in ipairs(entry.params) do
          assert.is_truthy(section:find(("- `%s` "):format(param.name), 1, true), id .. param.name)
        end
        local _, results = section:gsub("\n%- [ra][en][td]", "")
        assert.equal(#entry.returns, results, id)
        -- Each argument is annotated.
        local arguments = {}
        for name in entry.arguments:gmatch("[%w_]+") do
          arguments[#arguments + 1] = name
        end
        assert.equal(#arguments, #entry.params, id)
      end
    end
  end)

  it("says something of everything", function()
    for _, class in ipairs(annotations.read(LIBRARY).classes) do
      for _, field in ipairs(class.fields) do
        local is_module_constant = class.name == "websocket" and reference.is_constant(field)
        assert.is_true(is_module_constant or field.text ~= "", class.name .. "." .. field.name)
      end
      for _, entry in ipairs(class.functions) do
        assert.is_true(entry.text ~= "", class.name .. "." .. entry.name)
      end
    end
  end)

  it("has every member of the module, with the numbers of its constants", function()
    -- Those of the embedded files come when they are asked for.
    local names = { "open", "createWebSocket", "EventTarget", "WebSocket", "WebSocketServer" }
    names[#names + 1] = "ReconnectingWebSocket"
    for name in pairs(websocket) do
      names[#names + 1] = name
    end
    for _, name in ipairs(names) do
      assert.is_not_nil(websocket[name])
      assert.is_truthy(has_entry("websocket." .. name), name)
      if type(websocket[name]) == "number" then
        local entry = ('id="websocket.%s"></a>`%s` <code>%d</code>'):format(
          name,
          name,
          websocket[name]
        )
        assert.is_truthy(site:find(entry, 1, true), entry)
      end
    end
  end)

  it("has every function of the kit for tests", function()
    local testing = require("websocket.testing")
    -- What the kit's own files ask of each other.
    local internal = { new = true, push = true, set = true, cancel = true }
    internal.set_trouble, internal.resets = true, true
    internal.inject, internal.problem_of = true, true
    local count = 0
    local function check(owner, members)
      for name in pairs(members) do
        if not name:find("^_") and not internal[name] then
          count = count + 1
          assert.is_truthy(has_entry(owner .. "." .. name), owner .. "." .. name)
        end
      end
    end
    check("testing", testing)
    testing.case(function()
      local server = testing.server()
      local relay, clock = testing.relay(server.url), testing.clock()
      local connection = websocket.connect(server.url, nil, function() end)
      local client = server:accept()
      local objects = { server = server, client = client, relay = relay, clock = clock }
      for name, object in pairs(objects) do
        check("testing-" .. name, getmetatable(object).__index)
      end
      clock:release()
      connection:disconnect()
    end)
    assert.is_true(count > 35, "found only " .. count)
  end)

  it("has every key that the module takes", function()
    local text = book.read("src/lua/params.rs")
    local lists = { CONNECT = "params", LISTEN = "listen_params", COMPRESSION = "compression" }
    lists.TLS, lists.LISTEN_TLS = "tls", "identity"
    for list, class in pairs(lists) do
      local keys = text:match("pub const " .. list .. ": %[&str; %d+%] = %[(.-)%];")
      local count = 0
      for key in keys:gmatch('"(.-)"') do
        count = count + 1
        assert.is_truthy(has_entry(class .. "." .. key), class .. "." .. key)
      end
      assert.is_true(count > 0, list)
    end
  end)

  it("has every name of an exception", function()
    for name in book.read("lua/websocket/exception.lua"):gmatch("\n  (%w+Error) = %d+,") do
      -- Only a browser gives a NetworkError by that name.
      assert.is_truthy(name == "NetworkError" or pages.exceptions:find(name, 1, true), name)
    end
  end)

  it("cannot leave out what is new", function()
    assert.has_error(function()
      reference.render(LIBRARY .. "\n---@class websocket.unheard_of\n---@field a string a word\n")
    end, "unheard_of has no page in docs/reference.lua")
    assert.error_matches(function()
      reference.render(LIBRARY .. "\n---@deprecated\n")
    end, "unknown annotation: ---@deprecated")
  end)

  it("is in the table of contents, as is every page", function()
    local summary = book.read("docs/src/SUMMARY.md")
    for _, page in ipairs(book.pages()) do
      assert.is_truthy(page == "SUMMARY.md" or summary:find("(" .. page .. ")", 1, true), page)
    end
    for name in pairs(pages) do
      assert.is_truthy(summary:find("(reference/" .. name .. ".md)", 1, true), name)
    end
  end)
end)

describe("README.md", function()
  local readme = book.read("README.md")

  -- As forges make an anchor of a heading.
  local function slug(heading)
    local text = heading:lower():gsub("Ö", "ö"):gsub("[^%w%s\128-\255_-]", "")
    return (text:gsub("%s", "-"))
  end

  it("leads to what there is", function()
    local anchors, count = {}, 0
    for heading in readme:gmatch("\n#+ ([^\n]+)") do
      anchors[slug(heading)] = true
    end
    for target in readme:gmatch("%]%(([^)]+)%)") do
      count = count + 1
      local path, anchor = target:match("^([^#]*)#?(.*)$")
      assert.is_truthy(path ~= "" or anchors[anchor], target)
      assert.is_truthy(path == "" or lfs.attributes(path, "mode"), target)
    end
    assert.is_true(count > 30, "found only " .. count)
  end)
end)

describe("the catalogue of errors", function()
  local catalogue = book.read("docs/src/errors.md")

  it("has every number", function()
    local count = 0
    for name, number in pairs(websocket) do
      if tostring(name):find("^ERROR_") then
        count = count + 1
        local heading = ("### %s, %d {#%s}\n"):format(name, number, name)
        assert.is_truthy(catalogue:find(heading, 1, true), heading)
      end
    end
    assert.equal(24, count)
  end)

  -- The words between what differs. Rust breaks a long text with a backslash.
  it("quotes texts that the sources have", function()
    local text = sources("src", ".rs") .. sources("src", ".lua") .. sources("lua", ".lua")
    text = text:gsub("\\\n%s*", ""):gsub("%s+", " ")
    local count, missing = 0, {}
    local function check(quoted)
      for words in (quoted .. "…"):gmatch("(.-)…") do
        words = words:gsub("^[^%w]+", ""):gsub("[^%w]+$", "")
        if words ~= "" then
          count = count + 1
          missing[#missing + 1] = not text:find(words, 1, true) and words or nil
        end
      end
    end
    local in_table
    for line in catalogue:gmatch("[^\n]+") do
      in_table = line:find("^| text |") and "text" or line:find("^|") and in_table or nil
      if in_table and line:find("^| `") then
        local cell = line:match("^| (.-) |")
        for quoted in cell:gmatch("`(.-)`") do
          check(quoted)
        end
      end
    end
    assert.same({}, missing)
    assert.is_true(count > 50, "found only " .. count)
  end)
end)
