-- Settles what was reserved: what was not billed is free again.
-- KEYS job; ARGV reserved, billed, calls, images, throttled
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HINCRBY', KEYS[1], 'reserved', -ARGV[1])
redis.call('HINCRBY', KEYS[1], 'spent', ARGV[2] - ARGV[1])
return 1
