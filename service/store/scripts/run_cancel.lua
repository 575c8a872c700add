-- Asks whoever is at a run to end it; 0 if it has ended, or is not kept.
-- KEYS run
if redis.call('HEXISTS', KEYS[1], 'what') == 0 then return 0 end
if redis.call('HEXISTS', KEYS[1], 'outcome') == 1 then return 0 end
redis.call('HSET', KEYS[1], 'cancel', '1')
return 1
