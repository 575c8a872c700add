-- Has an upload that is there kept for somebody too.
-- KEYS upload, its users; ARGV user
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('SADD', KEYS[2], ARGV[1])
return 1
