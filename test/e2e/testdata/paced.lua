-- wrk that neither hurries nor repeats itself.
local n, thread = 0, 0

function setup(t)
  t:set("thread", thread)
  thread = thread + 1
end

function delay()
  return tonumber(os.getenv("DELAY") or 4) -- milliseconds
end

function request()
  n = n + 1
  return wrk.format("GET", string.format("/file/%d/%d", thread, n))
end
