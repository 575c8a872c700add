-- Reserves money of a job, if its cap allows that; in billionths of a dollar.
-- KEYS job; ARGV amount, cap ('' for none)
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local spent = tonumber(redis.call('HGET', KEYS[1], 'spent') or '0')
if ARGV[2] ~= '' and spent + tonumber(ARGV[1]) > tonumber(ARGV[2]) then return 0 end
redis.call('HINCRBY', KEYS[1], 'spent', ARGV[1])
redis.call('HINCRBY', KEYS[1], 'reserved', ARGV[1])
return 1
