-- Gives a process's sign of life, unless a later one was given, and gives a claim back.
-- KEYS process, claim; ARGV sign ("number token token … "), its milliseconds, token
local function number(sign) return tonumber(string.match(sign, '^%d+')) or 0 end
if number(redis.call('GET', KEYS[1]) or '') < number(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
if KEYS[2] and redis.call('GET', KEYS[2]) == ARGV[3] then redis.call('DEL', KEYS[2]) end
return 1
