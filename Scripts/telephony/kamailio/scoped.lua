-- Asks scoped from Kamailio, for kemi.lua and native.cfg. Nothing to edit here: settings stand in those.
--
-- Nothing in here raises: whatever goes wrong is the verdict "unavailable". Each worker has a connection of
-- its own, made at its first question.

local scope = require "scope"

scoped = {}

local handle, opened, secret
local said_at, unsaid = 0, 0

-- One line a second and worker at most: a daemon that is away must not fill the disk.
local function complain(text)
  local now = os.time()
  if now == said_at then
    unsaid = unsaid + 1
    return
  end
  KSR.warn("scoped: " .. text .. (unsaid > 0 and " (" .. unsaid .. " such calls before it not logged)" or "") .. "\n")
  said_at, unsaid = now, 0
end

local function open(settings)
  if opened == settings.address .. " " .. settings.company then return end
  if handle then handle:close() end
  local message
  handle, message = scope.open(settings.address, { company = settings.company, timeout_ms = settings.timeout_ms })
  if not handle then error(message, 0) end
  opened = settings.address .. " " .. settings.company
end

local function ask(settings, subject, object)
  open(settings)
  return handle:check(subject, object)
end

-- May `subject` use `object`? "allow", "deny" or "unavailable". Counted, and logged unless allowed.
-- settings: address, company, timeout_ms
function scoped.check(settings, subject, object)
  local ran, verdict, detail = pcall(ask, settings, subject, object)
  if not ran then verdict, detail = "unavailable", { reason = "error", message = tostring(verdict) } end
  if verdict == "allow" or verdict == "deny" then
    KSR.statistics.update_stat("scoped_" .. verdict, 1)
  else
    verdict = "unavailable"
    KSR.statistics.update_stat("scoped_unavailable", 1)
    complain("unavailable: " .. tostring(detail.reason) .. ": " .. tostring(detail.message))
  end
  if verdict == "deny" then
    KSR.notice("scoped: deny " .. detail.reason .. " " .. subject .. " " .. object .. " r" .. detail.revision .. "\n")
  end
  return verdict
end

-- Notes a call that went out without an answer, because the operator said so of its number.
function scoped.count_emergency()
  KSR.statistics.update_stat("scoped_emergency", 1)
  KSR.warn("scoped: emergency call let through without a check\n")
end

local function read_secret()
  local file = assert(io.open("/proc/sys/kernel/random/boot_id"))
  local id = assert(file:read("*l"))
  file:close()
  assert(#id >= 32, "no boot id")
  return id
end

-- Marks the dialogs that were let through: a caller who writes a To tag and a Route by hand has no mark.
-- The same in all workers and after a restart of Kamailio. Raises if there is no secret to be had.
function scoped.mark()
  secret = secret or read_secret()
  KSR.pv.sets("$var(scoped_signed)", secret .. ":" .. KSR.pv.get("$ci") .. ":" .. secret)
  return KSR.pv.get("$(var(scoped_signed){s.sha256})")
end

-- Whether this request follows one that was let through. After loose_route.
function scoped.is_marked()
  return KSR.rr.check_route_param("scoped=" .. scoped.mark()) > 0
end

-- For native.cfg. lua_run() throws away what a function returns: verdicts are handed over in $var(verdict),
-- which the script sets to "unavailable" before each call.
function scoped_check(subject, object)
  local settings = {
    address = KSR.pv.get("$def(SCOPED_ADDRESS)"),
    company = KSR.pv.get("$def(SCOPED_COMPANY)"),
    timeout_ms = tonumber(KSR.pv.get("$def(SCOPED_TIMEOUT_MS)")),
  }
  KSR.pv.sets("$var(verdict)", scoped.check(settings, subject, object))
end

function scoped_count_emergency() scoped.count_emergency() end

function scoped_mark()
  KSR.pv.sets("$var(mark)", scoped.mark())
end

function scoped_check_mark()
  if scoped.is_marked() then KSR.pv.sets("$var(marked)", "yes") end
end
