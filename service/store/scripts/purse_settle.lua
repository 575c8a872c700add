-- Settles a call of a job, once: what was reserved for it and not billed is free again.
-- KEYS job, its open calls; ARGV token of the call, billed
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local reserved = redis.call('HGET', KEYS[2], ARGV[1])
if not reserved then return 0 end
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HINCRBY', KEYS[1], 'reserved', -reserved)
redis.call('HINCRBY', KEYS[1], 'spent', ARGV[2] - reserved)
return 1
