-- Returns members of an index that come after a place, the latest first, with their dates; those
-- of one date stand in the order of their names, so nothing moves when others come or go.
-- KEYS index
-- ARGV earliest, latest, how many, and of the member to go on after: date ('' for the first page),
--      name
local found, most, latest = {}, tonumber(ARGV[3]), ARGV[2]
if ARGV[4] ~= '' then
  for _, name in ipairs(redis.call('ZRANGE', KEYS[1], ARGV[4], ARGV[4], 'BYSCORE', 'REV')) do
    if name < ARGV[5] and #found < 2 * most then
      found[#found + 1] = name
      found[#found + 1] = ARGV[4]
    end
  end
  latest = '(' .. ARGV[4]
end
if #found < 2 * most then
  local rest = redis.call('ZRANGE', KEYS[1], latest, ARGV[1], 'BYSCORE', 'REV',
    'LIMIT', 0, most - #found / 2, 'WITHSCORES')
  for _, one in ipairs(rest) do found[#found + 1] = one end
end
return found
