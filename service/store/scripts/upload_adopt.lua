-- Has an upload that is there kept for a job too. It is counted for the job's owner, and not refused:
-- who may name it has it already.
-- KEYS upload, its users, its owners, bytes kept by owner, the job
-- ARGV job's id, owner, what is counted beside the bytes, who must be among the users (or nothing)
if redis.call('HGET', KEYS[5], 'state') ~= 'reading' then return -1 end
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if ARGV[4] and redis.call('SISMEMBER', KEYS[2], ARGV[4]) == 0 then return 0 end
if redis.call('SADD', KEYS[2], ARGV[1]) == 1 then
  local size = redis.call('STRLEN', KEYS[1]) + tonumber(ARGV[3])
  if redis.call('HSETNX', KEYS[3], 'bytes', size) == 1 then redis.call('HINCRBY', KEYS[4], 'all', size) end
  if redis.call('HINCRBY', KEYS[3], ARGV[2], 1) == 1 then redis.call('HINCRBY', KEYS[4], ARGV[2], size) end
end
return 1
