-- Begins to delete a job, if its state allows that; returns its state.
-- KEYS job, ready, index of ended jobs; ARGV job's id, states that it may be deleted from …
local was = redis.call('HGET', KEYS[1], 'state')
if not was then return 'gone' end
local allowed = was == 'deleting'
for i = 2, #ARGV do
  if ARGV[i] == was then allowed = true end
end
if allowed then
  redis.call('HSET', KEYS[1], 'state', 'deleting')
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('ZREM', KEYS[3], ARGV[1])
  return 'deleting'
end
return was
