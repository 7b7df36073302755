-- Random numbers that are the same on every Lua. Each connection, finalizer and callback draws
-- from a stream of its own, named by what it belongs to: the network's timing changes when a
-- decision is made, not which one.
local Random = {}
Random.__index = Random

-- Lehmer's generator with Park and Miller's modulus; products stay below 2^53.
local MODULUS, FACTOR = 2147483647, 48271

-- Neighbouring seeds must not give neighbouring numbers.
local function scramble(state)
  for _ = 1, 3 do
    state = state * FACTOR % MODULUS
    local low = state % 65536
    local high = math.floor((state - low) / 65536)
    state = (low * 30011 + high * 17389) % (MODULUS - 1) + 1
  end
  return state
end

local function new(seed, name)
  local state = scramble(seed % (MODULUS - 1) + 1)
  for index = 1, #name do
    state = scramble((state + name:byte(index)) % (MODULUS - 1) + 1)
  end
  return setmetatable({ state = state }, Random)
end

-- A whole number from 1 to `most`.
function Random:upto(most)
  self.state = self.state * FACTOR % MODULUS
  return self.state % most + 1
end

function Random:between(least, most)
  return least + self:upto(most - least + 1) - 1
end

-- True once in `times`.
function Random:once_in(times)
  return self:upto(times) == 1
end

function Random:pick(list)
  return list[self:upto(#list)]
end

-- A key of `weights`, an array of {key, weight}.
function Random:weighted(weights)
  local sum = 0
  for _, pair in ipairs(weights) do
    sum = sum + pair[2]
  end
  local left = self:upto(sum)
  for _, pair in ipairs(weights) do
    left = left - pair[2]
    if left <= 0 then
      return pair[1]
    end
  end
end

return { new = new }
