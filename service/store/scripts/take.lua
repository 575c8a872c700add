-- Takes up a run whose process is dead. One that is ours already was taken, and the answer got lost.
-- KEYS run; ARGV our process, prefix of the processes' keys
if redis.call('HEXISTS', KEYS[1], 'outcome') == 1 then return 0 end
local owner = redis.call('HGET', KEYS[1], 'process')
if not owner then return 0 end
if owner == ARGV[1] then return 1 end
if redis.call('EXISTS', ARGV[2] .. owner) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'process', ARGV[1])
return 1
