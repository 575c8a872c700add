-- Lets go of an upload for somebody, once; the last one drops it. What was counted is given back.
-- KEYS upload, its users, its owners, bytes kept by owner; ARGV user, owner
local size = redis.call('HGET', KEYS[3], 'bytes')  -- none of one that is older than the counts

local function back(owner)
  redis.call('HDEL', KEYS[3], owner)
  if redis.call('HINCRBY', KEYS[4], owner, -size) <= 0 then redis.call('HDEL', KEYS[4], owner) end
end

if redis.call('SREM', KEYS[2], ARGV[1]) == 1 and redis.call('HEXISTS', KEYS[3], ARGV[2]) == 1 then
  if redis.call('HINCRBY', KEYS[3], ARGV[2], -1) <= 0 then back(ARGV[2]) end
end
if redis.call('SCARD', KEYS[2]) > 0 then return 0 end
if size then
  redis.call('HDEL', KEYS[3], 'bytes')
  for _, owner in ipairs(redis.call('HKEYS', KEYS[3])) do back(owner) end
  back('all')
end
return redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
