-- Asks scoped for FreeSWITCH's mod_lua. The dialplan sets scoped_subject and scoped_object before, and goes on by
-- scoped_verdict after: "allow", "deny" or "unavailable". See scoped.xml.

-- ------------------------------------------------------------------------------------------ settings
local address = "unix:/run/scoped/scoped.sock"
local company = "nordlicht"
local timeout_ms = 50
-- ----------------------------------------------------------------------------------- end of settings

-- mod_lua makes a Lua state for each call. A shared handle outlives it, and with it the connection and the memory
-- that the daemon is away.
local function ask()
  local scope = require "scope"
  local handle, message = scope.open(address, { company = company, timeout_ms = timeout_ms, shared = true })
  if not handle then error(message, 0) end
  return handle:check(session:getVariable("scoped_subject"), session:getVariable("scoped_object"))
end

-- First: whatever happens below, no verdict of an earlier question is left.
session:setVariable("scoped_verdict", "unavailable")
session:setVariable("scoped_reason", "error")

local ran, verdict, detail = pcall(ask)
if not ran then verdict, detail = "unavailable", { reason = "error", message = tostring(verdict) } end
if verdict ~= "allow" and verdict ~= "deny" then verdict = "unavailable" end
session:setVariable("scoped_reason", detail.reason)
session:setVariable("scoped_verdict", verdict)
if verdict == "unavailable" then
  freeswitch.consoleLog("warning", "scoped: unavailable: " .. detail.reason .. ": " .. detail.message .. "\n")
elseif verdict == "deny" then
  freeswitch.consoleLog("notice", "scoped: deny " .. detail.reason .. "\n")
end
