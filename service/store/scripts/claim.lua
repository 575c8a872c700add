-- Claims a subject for one run, unless the run of a living process has it.
-- KEYS claim; ARGV token ("process:run"), prefix of the processes' keys
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then
  local process = string.match(held, '^[^:]*')
  if redis.call('EXISTS', ARGV[2] .. process) == 1 then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1])
return 1
