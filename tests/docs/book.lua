-- The code blocks of the site's pages, each with what the comment above it says of it:
--
--   <!-- output -->          the block of text behind it is what it prints
--   <!-- file: NAME -->      a file of a program that is made of several
--   <!-- in: HOST -->        runs in love, nvim or mpv
--   <!-- with: NAME -->      a part of a program, whose rest is in surroundings.lua
--   <!-- needs: MODULE -->   runs where this Lua has that module
--   <!-- scenario: NAME -->  what a spec tries by this name
--   <!-- not run: WHY -->
local lfs = require("lfs")

local book = {}

local FOLDER = "docs/src/"

function book.read(path)
  local file = assert(io.open(path, "r"))
  local text = file:read("*a")
  file:close()
  return text
end

function book.write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local function add_pages(pages, folder)
  for name in lfs.dir(FOLDER .. folder) do
    local path = folder .. name
    if name:find("%.md$") then
      pages[#pages + 1] = path
    elseif name:find("^%w+$") and lfs.attributes(FOLDER .. path, "mode") == "directory" then
      add_pages(pages, path .. "/")
    end
  end
end

-- The pages that are written by hand.
function book.pages()
  local pages = {}
  add_pages(pages, "")
  table.sort(pages)
  return pages
end

-- The blocks of a page, in their order.
function book.blocks(page)
  local found, block, about, number = {}, nil, nil, 0
  for line in (book.read(FOLDER .. page) .. "\n"):gmatch("([^\n]*)\n") do
    number = number + 1
    local indent, language = line:match("^(%s*)```(%w+)[%w,_]*$") -- as in "rust,ignore"
    if block and line == block.indent .. "```" then
      block.text = table.concat(block.lines, "\n") .. "\n"
      block, about = nil, nil
    elseif block then
      block.lines[#block.lines + 1] = line:sub(#block.indent + 1)
    elseif language then
      local key, value = (about or ""):match("^([%a ]+):? ?(.*)$")
      block = {
        page = page,
        line = number,
        indent = indent,
        language = language,
        lines = {},
        key = key,
        value = value,
      }
      found[#found + 1] = block
    else
      about = line:match("^%s*<!%-%- (.-) %-%->$")
    end
  end
  assert(not block, page .. " has a block without an end")
  return found
end

-- The files of a page's program, by name.
function book.files(page)
  local files = {}
  for _, block in ipairs(book.blocks(page)) do
    if block.key == "file" then
      files[block.value] = block.text
    end
  end
  return files
end

-- The block of a page that a spec tries.
function book.scenario(page, name)
  for _, block in ipairs(book.blocks(page)) do
    if block.key == "scenario" and block.value == name then
      return block.text
    end
  end
  error(page .. " has no scenario " .. name)
end

-- A new folder with these files.
function book.folder(files)
  local folder = os.tmpname()
  os.remove(folder)
  assert(lfs.mkdir(folder))
  for name, text in pairs(files) do
    book.write(folder .. "/" .. name, text)
  end
  return folder
end

function book.remove(folder)
  os.execute("rm -r " .. folder)
end

-- The interpreter that runs this.
function book.interpreter()
  local first = 0
  while arg[first - 1] do
    first = first - 1
  end
  return arg[first]
end

return book
