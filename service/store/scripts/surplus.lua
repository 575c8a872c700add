-- Says how many of the oldest members of an index are too old or too many, and which these are, at
-- one moment: of a count that another process has made smaller meanwhile, too many would go.
-- KEYS index; ARGV date before which they are too old ('' for none), most ('' for any number),
--      members to leave out at the beginning, members to return at most
local count = 0
if ARGV[1] ~= '' then count = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. ARGV[1]) end
if ARGV[2] ~= '' then
  count = math.max(count, redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[2]))
end
local first, last = tonumber(ARGV[3]), math.min(count, ARGV[3] + ARGV[4]) - 1
local found = {}
if last >= first then found = redis.call('ZRANGE', KEYS[1], first, last, 'WITHSCORES') end
return {count, found}
