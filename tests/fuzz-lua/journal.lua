-- What a run decided and saw, a line each, in a file that survives a crash.
local journal = {}

local file

function journal.begin(path)
  file = assert(io.open(path, "w"))
  file:setvbuf("line")
end

-- Also from finalizers, when the state closes and the file may be closed already.
function journal.note(...)
  pcall(file.write, file, table.concat({ ... }, " "), "\n")
end

-- A promise is broken: the process ends at once, whoever is on the stack.
function journal.fail(text)
  journal.note("FAIL", text)
  io.stderr:write("FAIL: ", text, "\n", debug.traceback("", 2), "\n")
  os.exit(3)
end

return journal
