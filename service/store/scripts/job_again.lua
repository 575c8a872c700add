-- Has pictures of an ended job wait once more, each if its row is still the one that was read.
-- What it was is kept: it is that again should the job be cancelled while it waits.
-- KEYS job, rows, pending, states of before
-- ARGV number, its state, its row ('' for none), number, …
local state = redis.call('HGET', KEYS[1], 'state')
if state ~= 'finished' and state ~= 'cancelled' then return -1 end
local count = 0
for i = 1, #ARGV, 3 do
  local row = redis.call('HGET', KEYS[2], ARGV[i]) or ''
  if row == ARGV[i + 2] and redis.call('ZADD', KEYS[3], 'NX', ARGV[i], ARGV[i]) == 1 then
    redis.call('HINCRBY', KEYS[1], ARGV[i + 1], -1)
    redis.call('HINCRBY', KEYS[1], 'waiting', 1)
    redis.call('HSET', KEYS[4], ARGV[i], ARGV[i + 1])
    count = count + 1
  end
end
return count
