-- Holds a job back until a date and says why, if it runs: what has ended or is paused meanwhile
-- would say so for ever.
-- KEYS job; ARGV date in milliseconds, problem
if redis.call('HGET', KEYS[1], 'state') ~= 'running' then return 0 end
redis.call('HSET', KEYS[1], 'held', ARGV[1], 'problem', ARGV[2])
return 1
