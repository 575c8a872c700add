-- Takes up a run whose process is dead.
-- KEYS run; ARGV our process, prefix of the processes' keys
if redis.call('HEXISTS', KEYS[1], 'outcome') == 1 then return 0 end
local owner = redis.call('HGET', KEYS[1], 'process')
if not owner or owner == ARGV[1] then return 0 end
if redis.call('EXISTS', ARGV[2] .. owner) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'process', ARGV[1])
return 1
