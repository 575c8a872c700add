-- Has an upload that is there kept for somebody too.
-- KEYS upload, its users; ARGV user, who must be among the users (or nothing)
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if ARGV[2] and redis.call('SISMEMBER', KEYS[2], ARGV[2]) == 0 then return 0 end
redis.call('SADD', KEYS[2], ARGV[1])
return 1
