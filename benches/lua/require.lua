--- How long `require` takes, in CPU time: `require.lua`.

local begin = os.clock()
require("websocket")
local took = os.clock() - begin
require("report")(took * 1000, 1)
