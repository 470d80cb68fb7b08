-- Prints what the module answers, a line each: arguments are the address and a word that says which questions.
local scope = require "scope"
local address, which = arg[1], arg[2]

local function show(verdict, detail)
  local parts = { tostring(verdict) }
  for _, key in ipairs { "reason", "project", "group", "status", "from_daemon", "revision" } do
    if detail[key] ~= nil then parts[#parts + 1] = key .. "=" .. tostring(detail[key]) end
  end
  print(table.concat(parts, " "))
end

-- Several rows of the same answer as one.
local function show_ids(ids, detail)
  print(ids and table.concat(ids, ",") or tostring(ids), detail.status, detail.reason)
end

local questions = {}

function questions.verdicts()
  local handle = assert(scope.open(address, { company = "nordlicht", timeout_ms = 20000 }))
  show(handle:check("user:1001", "sip_provider:trunk-main"))
  show(handle:check("user:1001", "sip_provider:trunk-collections-cli"))
  show(handle:check("user:1016", "contact_field:phone"))
  show(handle:check("user:1077", "sip_provider:trunk-clinic-tls"))
  show(handle:check("user:1073", "queue:insurer-claims", { right = "report.agents" }))
  show(handle:check("user:1001", "queue:clinic-appointments", { right = "report.agents" }))
  show(handle:check("user:1001", "sip_provider:trunk-main", { company = "nobody" }))
  show(handle:check("user:1001", "sip_provider:trunk-main", { min_revision = 1 }))
  show(handle:check("user:1001", "sip_provider:trunk-main", { min_revision = 999, timeout_ms = 100 }))
  show_ids(handle:filter("user:1001", "queue", { "shop-orders", "clinic-appointments", "x", "clinic-appointments" }))
  show_ids(handle:filter("user:1073", "queue", { "insurer-claims", "clinic-appointments" }, { project = "clinic" }))
  show_ids(handle:filter("user:1001", "queue", {}))
  local counters = handle:counters()
  print(counters.calls, counters.allow, counters.deny, counters.unavailable, counters.reconnects)
end

-- None of these is sent, none raises, none is "allow" or "deny".
function questions.mistakes()
  local handle = assert(scope.open(address, { company = "nordlicht" }))
  local closed = assert(scope.open(address))
  closed:close()
  closed:close()
  local good, queue = "user:1080", "queue:shop-orders"
  local cases = {
    { handle }, { handle, good }, { handle, good, 5 }, { handle, nil, queue }, { handle, good .. "\0", queue },
    { handle, good, queue .. "\0x" }, { handle, "1080", queue }, { handle, "nobody:1080", queue }, { handle, "user:", queue },
    { handle, good, "queue:" .. ("x"):rep(129) }, { handle, good, queue, "right" }, { handle, good, queue, { rigth = "a" } },
    { handle, good, queue, { right = "" } }, { handle, good, queue, { right = 5 } }, { handle, good, queue, { "right" } },
    { handle, good, queue, { company = "" } }, { handle, good, queue, { company = "nordlicht\0" } },
    { handle, good, queue, { timeout_ms = -1 } }, { handle, good, queue, { timeout_ms = 0 / 0 } },
    { handle, good, queue, { timeout_ms = "5" } }, { handle, good, queue, { min_revision = 2 ^ 60 } },
    { handle, good, queue, { min_revision = 0.5 } }, { handle, good, queue, { shared = true } },
    { closed, good, queue }, { nil, good, queue }, { io.stdout, good, queue }, { "handle", good, queue }, { {}, good, queue },
  }
  for number, case in ipairs(cases) do
    local ran, verdict, detail = pcall(handle.check, case[1], case[2], case[3], case[4])
    local is_right = ran and verdict == "unavailable" and detail.reason == "bad_argument"
    if not is_right then print(number, ran, verdict, type(detail) == "table" and detail.reason) end
  end
  for number, case in ipairs { {}, { good }, { good, "queue" }, { good, "queue", { 1 } }, { good, "quue", { "a" } },
    { good, "queue", { "a", "b\0" } }, { good, "queue", { "a" }, { right = "x" } }, { good, "queue", { "" } } } do
    local ran, ids, detail = pcall(handle.filter, handle, case[1], case[2], case[3], case[4])
    if not ran or ids ~= nil or detail.reason ~= "bad_argument" then print("filter", number, ran, ids) end
  end
  for number, case in ipairs { {}, { 5 }, { "" }, { "host:1" }, { "unix:relative" }, { address .. "\0" }, { address, 5 },
    { address, { timeout = 5 } }, { address, { timeout_ms = 1.5 } }, { address, { company = "" } },
    { address, { company = ("x"):rep(129) } }, { address, { shared = "yes" } } } do
    local ran, opened, message = pcall(scope.open, case[1], case[2])
    if not ran or opened ~= nil or type(message) ~= "string" then print("open", number, ran, opened) end
  end
  print("calls sent", handle:counters().allow + handle:counters().deny)
end

-- Three questions that get no answer, and one that is not tried. The breaker is open after three.
function questions.trouble()
  local handle = assert(scope.open(address, { company = "nordlicht", timeout_ms = 50, backoff_min_ms = 0, breaker_open_ms = 60000 }))
  for _ = 1, 4 do show(handle:check("user:1001", "sip_provider:trunk-main")) end
  show_ids(handle:filter("user:1001", "queue", { "clinic-appointments" }))
  local counters = handle:counters()
  print(counters.calls, counters.unavailable, counters.timeouts, counters.breaker_skips)
end

-- A shared handle keeps its connection, its counters and its breaker when the others that share it go.
function questions.shared()
  local options = { company = "nordlicht", timeout_ms = 20000, shared = true }
  for _ = 1, 3 do
    local handle = assert(scope.open(address, options))
    show(handle:check("user:1001", "sip_provider:trunk-main"))
    handle:close()
    show(handle:check("user:1001", "sip_provider:trunk-main"))
    handle = nil
    collectgarbage()
  end
  local counters = scope.open(address, options):counters()
  print(counters.calls, counters.allow, counters.reconnects)
  options.timeout_ms = 10000
  print(scope.open(address, options):counters().calls)
  local opened, message = 0
  for number = 1, 100 do
    local handle
    handle, message = scope.open(address, { company = "c" .. number, shared = true })
    if handle then opened = opened + 1 end
  end
  print(opened, message)
end

-- Many handles and questions: what is not given back shows.
function questions.many()
  for _ = 1, 200 do
    local handle = assert(scope.open(address, { company = "nordlicht", timeout_ms = 20000 }))
    for _ = 1, 5 do assert(handle:check("user:1001", "sip_provider:trunk-main") == "allow") end
    assert(#handle:filter("user:1001", "queue", { "clinic-appointments", "shop-orders" }) == 1)
  end
  collectgarbage()
  print("done")
end

questions[which]()
