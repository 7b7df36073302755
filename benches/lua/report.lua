--- What every client prints: one line of JSON with microseconds per message.

local function quantile(laps, part)
  return laps[math.max(1, math.floor(#laps * part))]
end

--- `laps` are the times of single messages in milliseconds, where they were taken.
return function(elapsed_ms, count, laps)
  local each = elapsed_ms * 1000 / count
  local p50, p99 = each, each
  if laps then
    table.sort(laps)
    p50, p99 = quantile(laps, 0.5) * 1000, quantile(laps, 0.99) * 1000
  end
  print(('{"us": %.4f, "p50": %.4f, "p99": %.4f}'):format(each, p50, p99))
end
