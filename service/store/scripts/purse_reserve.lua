-- Reserves money of a job for a call, if its cap allows that, once; in billionths of a dollar.
-- KEYS job, its open calls; ARGV token of the call, amount, cap ('' for none)
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then return 1 end  -- the answer was lost
local spent = tonumber(redis.call('HGET', KEYS[1], 'spent') or '0')
if ARGV[3] ~= '' and spent + tonumber(ARGV[2]) > tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('HINCRBY', KEYS[1], 'spent', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'reserved', ARGV[2])
return 1
