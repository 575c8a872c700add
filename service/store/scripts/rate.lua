-- Gives places in the sliding window of a rate limit that all processes keep to: the window of
-- adapters/policy/window.py, by this server's clock, in microseconds.
-- KEYS state; ARGV what is wanted, and for it:
--   take   token, units, rate, largest call, share of the rate that is used
--   back   token
--   pause  microseconds that the account is to be left alone
-- and last the time, '' for the server's.
-- A take says how long to wait before it is asked again, and how much of that is a pause. At 0 the
-- call starts now, and is counted from now on. So a call that is late counts from when it starts,
-- and a place that nobody comes for passes.
local MEMORY = 60 * 1000000  -- how long the figures of another process hold after its last call
local GRAINS = 256  -- calls are told apart within a window; more of them are counted together
local TOKEN, AT, UNITS, STARTED, LAST = 1, 2, 3, 4, 5

local now = tonumber(ARGV[#ARGV])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

local packed = redis.call('GET', KEYS[1])
local state = packed and cmsgpack.unpack(packed)
  or {seen = now, ends = now, pause = 0, rate = 0, rate_until = 0, largest = 0, largest_until = 0, slots = {}}
if now < state.seen then  -- the clock was set back
  local back = state.seen - now
  for _, name in ipairs({'ends', 'pause', 'rate_until', 'largest_until'}) do
    state[name] = state[name] - back
  end
  for _, slot in ipairs(state.slots) do slot[AT] = slot[AT] - back end
end
state.seen = now

local function save(ends)
  state.ends = math.max(state.ends, ends)
  local left = math.max(1, math.ceil((state.ends - now) / 1000))
  redis.call('SET', KEYS[1], cmsgpack.pack(state), 'PX', left)
end

local function find(token)
  for i, slot in ipairs(state.slots) do
    if slot[TOKEN] == token then return i end
  end
end

local function insert(slot)
  local i = #state.slots
  while i > 0 and state.slots[i][AT] > slot[AT] do i = i - 1 end
  table.insert(state.slots, i + 1, slot)
  return i
end

if ARGV[1] == 'pause' then
  state.pause = math.max(state.pause, now + tonumber(ARGV[2]))
  save(state.pause)
  return {0, state.pause - now}
end

local token = ARGV[2]
local mine = find(token)

if ARGV[1] == 'back' then
  if mine then
    table.remove(state.slots, mine)
    save(now)
  end
  return {0, 0}
end

if state.pause > now then return {state.pause - now, state.pause - now} end
if mine and state.slots[mine][STARTED] == 1 then return {0, 0} end  -- the answer was lost
if mine and state.slots[mine][AT] > now then return {state.slots[mine][AT] - now, 0} end

-- The lowest rate and the largest call of all processes that have asked of late.
local rate, largest = tonumber(ARGV[4]), tonumber(ARGV[5])
local sets_rate = now >= state.rate_until or rate <= state.rate
local sets_largest = now >= state.largest_until or largest >= state.largest
if sets_rate then state.rate = rate end
if sets_largest then state.largest = largest end
local limit = math.max(1, math.floor(state.rate + 1e-9), state.largest)
local length = math.ceil(1000000 * math.max(1, limit / state.rate) / tonumber(ARGV[6]))
local units = math.min(tonumber(ARGV[3]), limit)

local kept = {}
for i, slot in ipairs(state.slots) do
  if i ~= mine and slot[AT] > now - length then kept[#kept + 1] = slot end
end
state.slots = kept

-- Until the whole of it fits into the window that ends with it. One that has waited for its place
-- stands before those that still wait for theirs; a new one behind all others.
local at, inside = now, 0
for _, slot in ipairs(kept) do
  if not mine then at = math.max(at, slot[AT] + math.ceil(slot[LAST] * length / limit)) end
  if not mine or slot[STARTED] == 1 then inside = inside + slot[UNITS] end
end
for _, slot in ipairs(kept) do
  if not mine or slot[STARTED] == 1 then
    if slot[AT] <= at - length then
      inside = inside - slot[UNITS]
    elseif inside + units > limit then
      inside = inside - slot[UNITS]
      at = slot[AT] + length
    end
  end
end

local starts = at <= now
local before = insert({token, at, units, starts and 1 or 0, units})
local one, other = state.slots[before], state.slots[before + 1]
if starts and limit > GRAINS and before > 0 and one[STARTED] == 1
  and math.floor(one[AT] * GRAINS / length) == math.floor(at * GRAINS / length) then
  other[TOKEN], other[UNITS] = '', other[UNITS] + one[UNITS]
  table.remove(state.slots, before)
end

local memory = at + math.max(MEMORY, length)
if sets_rate then state.rate_until = memory end
if sets_largest then state.largest_until = memory end
save(memory)
return {at - now, 0}
