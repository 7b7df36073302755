-- A second Lua is loaded, by the name that the module would import, before the module is.
require("windows").load(os.getenv("STRAY"))
dofile(os.getenv("SCRIPT"))
