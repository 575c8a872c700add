-- Lets go of an upload for somebody; the last one drops it.
-- KEYS upload, its users; ARGV user
redis.call('SREM', KEYS[2], ARGV[1])
if redis.call('SCARD', KEYS[2]) == 0 then return redis.call('DEL', KEYS[1], KEYS[2]) end
return 0
