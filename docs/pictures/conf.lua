dofile("examples/love/conf.lua")
