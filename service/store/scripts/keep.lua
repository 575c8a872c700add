-- Keeps a document under its id, unless there is one, and enters it into its indices.
-- KEYS document, index, …; ARGV id, text, date
local kept = redis.call('GET', KEYS[1])
if kept then return kept end
redis.call('SET', KEYS[1], ARGV[2])
for i = 2, #KEYS do redis.call('ZADD', KEYS[i], ARGV[3], ARGV[1]) end
return ARGV[2]
