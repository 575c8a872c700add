-- Gives a process's sign of life and, if that names the claim, claims a subject for one run,
-- unless the run of a living process has it. What comes late, after a later sign, claims nothing.
-- KEYS claim, our process
-- ARGV token ("process:run"), prefix of the processes' keys, sign ("number token token … "), its
--      milliseconds
local function signed(process)
  return redis.call('GET', ARGV[2] .. process) or ''
end
local function number(sign) return tonumber(string.match(sign, '^%d+')) or 0 end
local ours = redis.call('GET', KEYS[2]) or ''
local mine = ' ' .. ARGV[1] .. ' '
if not string.find(ours, mine, 1, true) and number(ours) < number(ARGV[3]) then
  redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
  ours = ARGV[3]
end
if not string.find(ours, mine, 1, true) then return 0 end
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1]
    and string.find(signed(string.match(held, '^[^:]*')), ' ' .. held .. ' ', 1, true) then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1])
return 1
