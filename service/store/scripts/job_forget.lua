-- Forgets a job whose pictures have been let go, once; what its table was counted as is given back.
-- KEYS job, bytes kept by owner, indices of all jobs, of ended ones, of the owner's, of ready ones,
--      the job's parts …
-- ARGV job's id, owner
local size = redis.call('HGET', KEYS[1], 'stored')
if size then
  for _, name in ipairs({'all', ARGV[2]}) do
    if redis.call('HINCRBY', KEYS[2], name, -size) <= 0 then redis.call('HDEL', KEYS[2], name) end
  end
end
for i = 3, 6 do redis.call('ZREM', KEYS[i], ARGV[1]) end
redis.call('DEL', KEYS[1])
for i = 7, #KEYS do redis.call('DEL', KEYS[i]) end
return 1
