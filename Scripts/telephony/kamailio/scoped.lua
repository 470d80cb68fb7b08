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

-- Whether scoped can't know an id like that. Callers send what they like, and must not raise the alarm that
-- "unavailable" is.
local function is_strange(ref)
  local id = ref:match(":(.*)$") or ""
  return #id > 128 or id:find("[^ -~]") ~= nil
end

-- For the log: no line that a caller wrote.
local function plain(ref) return (ref:sub(1, 160):gsub("[^!-~]", "?")) end

-- May `subject` use `object`? "allow", "deny" or "unavailable". Counted, and logged unless allowed.
-- settings: address, company, timeout_ms
function scoped.check(settings, subject, object)
  local ran, verdict, detail = pcall(ask, settings, subject, object)
  if not ran then verdict, detail = "unavailable", { reason = "error", message = tostring(verdict) } end
  if verdict == "unavailable" and detail.status == "invalid_argument" then
    local reason = is_strange(subject) and "unknown_subject" or is_strange(object) and "unknown_object"
    if reason then verdict, detail = "deny", { reason = reason, revision = detail.revision } end
  end
  if verdict == "allow" or verdict == "deny" then
    KSR.statistics.update_stat("scoped_" .. verdict, 1)
  else
    verdict = "unavailable"
    KSR.statistics.update_stat("scoped_unavailable", 1)
    complain("unavailable: " .. tostring(detail.reason) .. ": " .. tostring(detail.message))
  end
  if verdict == "deny" then
    KSR.notice(
      "scoped: deny " .. detail.reason .. " " .. plain(subject) .. " " .. plain(object) .. " r" .. detail.revision .. "\n")
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

-- A host as it is compared: in small letters, with its port.
local function normal(text)
  text = text:lower()
  return text:match(":%d+$") and text or text .. ":5060"
end

-- User, host, and what follows it, of a header with one SIP address, in the one way of writing that nobody can read
-- otherwise: a name with marks in it, a comma, a user part with more than a number or name are nil.
local function read_address(text)
  local name, uri, rest = text:match("^([^<>]*)<([^<>]*)>([^<>,]*)$")
  if not uri then
    uri = text:match("^%s*([^<>,;?%s]+)%s*$")
  elseif not (name:match('^%s*"[^"\\]*"%s*$') or name:match("^[%w%s._-]*$")) or not rest:match("^%s*$") and not rest:match("^%s*;") then
    return nil
  end
  local user, host, more = (uri or ""):match("^[Ss][Ii][Pp]:([%w+._-]+)@([%w.-]+:?%d*)(.*)$")
  if user and not host:match(":$") and more:match("^[;?]?") and (more == "" or more:match("^[;?]")) then
    return user, normal(host), more
  end
end

-- What may follow the host in Refer-To: nothing that leads elsewhere (maddr), or adds to the request that is made of it.
local function is_harmless(more)
  local parameters, headers = more:match("^([^?]*)(.*)$")
  for name in parameters:lower():gmatch("[^;]+") do
    if name ~= "user=phone" and name ~= "transport=udp" then return false end
  end
  return headers == "" or headers:match("^%?[Rr][Ee][Pp][Ll][Aa][Cc][Ee][Ss]=[^&]*$") ~= nil
end

-- Where a REFER leads: number and host, and the user of Referred-By, "" without one. nil: it is not said once, or not
-- plainly, and would be a guess.
function scoped.transfer()
  local to, by = KSR.pv.gete("$hdr(Refer-To)"), KSR.pv.gete("$hdr(Referred-By)")
  for _, second in ipairs { "$(hdr(Refer-To)[1])", "$(hdr(Referred-By)[1])" } do
    if KSR.pv.get(second) ~= nil then return nil end
  end
  local number, host, more = read_address(to)
  if not number or not is_harmless(more) then return nil end
  if by ~= "" then by = read_address(by) end
  if by then return number, host, by end
end

-- Whether a request has what it takes to be answered, and a From and a To that can be read. If not, it was: with 400.
function scoped.is_sane()
  return KSR.sanity.sanity_check(4 + 32 + 64 + 128 + 1024, 2 + 4) > 0
end

-- For native.cfg. lua_run() takes no text over 1,023 bytes, and throws away what a function returns: subject, object
-- and verdict are handed over in variables, and the script sets $var(verdict) to "unavailable" before each call.
function scoped_check()
  local settings = {
    address = KSR.pv.get("$def(SCOPED_ADDRESS)"),
    company = KSR.pv.get("$def(SCOPED_COMPANY)"),
    timeout_ms = tonumber(KSR.pv.get("$def(SCOPED_TIMEOUT_MS)")),
  }
  KSR.pv.sets("$var(verdict)", scoped.check(settings, KSR.pv.gete("$var(subject)"), KSR.pv.gete("$var(object)")))
end

function scoped_read_transfer()
  local number, host, by = scoped.transfer()
  KSR.pv.sets("$var(number)", number or "")
  KSR.pv.sets("$var(host)", host or "")
  KSR.pv.sets("$var(by)", by or "")
end

function scoped_count_emergency() scoped.count_emergency() end

function scoped_mark()
  KSR.pv.sets("$var(mark)", scoped.mark())
end

function scoped_check_mark()
  if scoped.is_marked() then KSR.pv.sets("$var(marked)", "yes") end
end
