-- Routes calls by scoped's answers, with Kamailio's KEMI. Loaded by kemi.cfg.

-- ------------------------------------------------------------------------------------------ settings
local settings = {
  address = "unix:/run/scoped/scoped.sock",
  company = "nordlicht",
  timeout_ms = 50,

  -- Where your PBX is. Calls from these addresses are your agents' and phones', and their From is believed:
  -- name nothing that does not check who calls.
  pbx = "192.0.2.10:5060",
  inside = { ["192.0.2.10"] = true },

  -- Your hosts, Kamailio's and the PBX's, by each name and address that a Refer-To may have, in small letters and with
  -- the port. A transfer to any other is refused.
  hosts = { ["192.0.2.1:5060"] = true, ["192.0.2.10:5060"] = true },

  -- Who a call is from: the user part of From, as a pattern of Lua, and what it stands for.
  subjects = {
    { "^(%d%d%d%d)$", "user" },
    { "^(phone%-%d+)$", "ip_phone" },
  },

  -- Carriers, by their name in scoped. Calls from a carrier's address are that carrier's; where two have one address,
  -- the port they come from tells which.
  providers = {
    ["trunk-main"] = "198.51.100.20:5060",
    ["trunk-collections-cli"] = "198.51.100.30:5060",
  },

  -- What is dialled from inside, by its first digits; the longest that fits decides.
  outbound = {
    { "+49", "trunk-main" },
    { "0049", "trunk-main" },
    { "8800", "trunk-collections-cli" },
  },

  -- Extensions of the PBX that agents may call and transfer to, if scoped says so.
  extensions = {
    ["7100"] = "queue:clinic-appointments",
    ["7200"] = "queue:shop-orders",
    ["7301"] = "ip_phone:phone-301",
  },

  -- What is dialled from outside: the number's scenario, and the queue that it leads to.
  inbound = {
    ["494066969100"] = { scenario = "clinic-main-ivr", queue = "clinic-appointments" },
    ["494066969300"] = { scenario = "clinic-main-ivr", queue = "insurer-claims" },
  },

  -- Emergency numbers, such as ["112"] = "trunk-main": they go to this provider, whoever calls and whatever scoped
  -- would say. Empty: none. See ../EMERGENCY.md.
  emergency = {},
  -- The one of them that a call to urn:service:sos goes to; "": such a call is refused.
  sos = "",
}
-- ----------------------------------------------------------------------------------- end of settings

local SOURCE_DENIED, DENIED, UNAVAILABLE = "Forbidden", "Forbidden by access rules", "Access check unavailable"

-- A final answer through the transaction, or without one where there is none.
local function answer(code, reason)
  if KSR.tm.t_reply(code, reason) < 0 then KSR.sl.sl_send_reply(code, reason) end
end

local function deny() answer(403, SOURCE_DENIED) end

-- --------------------------------------------------------------------------------- who and what

-- What a caller is in scoped's words, such as "user:1001"; nil if the name fits no pattern.
local function find_subject(name)
  for _, row in ipairs(settings.subjects) do
    local id = name:match(row[1])
    if id then return row[2] .. ":" .. id end
  end
end

local function find_provider(number)
  local provider, length = nil, 0
  for _, row in ipairs(settings.outbound) do
    if #row[1] > length and number:sub(1, #row[1]) == row[1] then provider, length = row[2], #row[1] end
  end
  return provider
end

-- The object that a number stands for, and the address behind it; nil if it is not covered.
local function find_target(number)
  if settings.extensions[number] then return settings.extensions[number], settings.pbx end
  if not number:match("^%+?%d+$") then return nil end
  local provider = find_provider(number)
  if provider then return "sip_provider:" .. provider, settings.providers[provider] end
end

-- The row of a number that is dialled from outside, with a plus or without.
local function find_inbound(number) return settings.inbound[(number:gsub("^%+", ""))] end

-- By host and port, and by host alone where one carrier has it.
local carriers = {}
for name, address in pairs(settings.providers) do
  local host = address:match("^(.+):%d+$")
  if not host then error("providers: " .. name .. " needs an address with a port") end
  if carriers[address] then
    error("providers: " .. name .. " and " .. carriers[address] .. " have one address and port; calls from there could be either's")
  end
  carriers[address] = name
  carriers[host] = carriers[host] == nil and name
end

-- The carrier that a call comes from.
local function find_carrier(host, port) return carriers[host] or carriers[host .. ":" .. port] end

-- ---------------------------------------------------------------------------------------- routes

-- A route that measures or tests may put its own here.
function scoped_relay()
  if KSR.tm.t_relay() < 0 then answer(500, "Relaying failed") end
end

local function relay_call(user, address)
  if not address then return deny() end
  KSR.textops.remove_hf("Route")
  KSR.pv.sets("$ru", "sip:" .. user .. "@" .. address)
  KSR.rr.record_route()
  KSR.rr.add_rr_param(";scoped=" .. scoped.mark())
  scoped_relay()
end

-- Goes on if the verdict is allow; every other one has been answered when this returns false.
local function is_allowed(subject, object)
  local verdict = scoped.check(settings, subject, object)
  if verdict == "allow" then return true end
  if verdict == "deny" then
    answer(403, DENIED)
  else
    answer(503, UNAVAILABLE)
  end
  return false
end

-- Agent or phone → carrier or extension.
local function route_from_inside(number)
  local emergency = settings.emergency[number]
  if emergency then  -- before anything is read of who calls
    scoped.count_emergency()
    return relay_call(number, settings.providers[emergency])
  end
  local subject = find_subject(KSR.pv.gete("$fU"))
  local object, address = find_target(number)
  if not subject or not object then return deny() end
  if is_allowed(subject, object) then relay_call(number, address) end
end

-- Carrier → the number's scenario → queue.
local function route_from_carrier(carrier, number)
  local row = find_inbound(number)
  if not row then return deny() end
  local scenario = "call_scenario:" .. row.scenario
  if not is_allowed("sip_provider:" .. carrier, scenario) then return end
  if is_allowed(scenario, "queue:" .. row.queue) then relay_call(row.queue, settings.pbx) end
end

local function route_call()
  local source, number = KSR.pv.get("$si"), KSR.pv.gete("$rU")
  if KSR.pv.gete("$ru"):lower():match("^urn:service:sos") then number = settings.sos end
  if settings.inside[source] then return route_from_inside(number) end
  local carrier = find_carrier(source, KSR.pv.get("$sp"))
  if carrier then return route_from_carrier(carrier, number) end
  deny()
end

-- Who transfers. From says it, but in a call from outside, where the PBX's From is the number that was dialled: there
-- Referred-By says it, and without one it is the number's scenario.
local function find_transferrer(by)
  local from = KSR.pv.gete("$fU")
  local subject, row = find_subject(from), find_inbound(from)
  if subject or not row then return subject end
  if by == "" or find_inbound(by) == row then return "call_scenario:" .. row.scenario end
  return find_subject(by)
end

local function may_transfer()
  local number, host, by = scoped.transfer()
  if settings.inside[KSR.pv.get("$si")] and number and settings.hosts[host] then
    local subject, object = find_transferrer(by), find_target(number)
    if subject and object then return is_allowed(subject, object) end
  end
  deny()
  return false
end

-- Requests inside a call that was let through.
local function route_in_dialog(method)
  local follows = KSR.rr.loose_route() > 0 and scoped.is_marked()
  if method == "ACK" then
    if follows or KSR.tm.t_check_trans() > 0 then KSR.tm.t_relay() end
  elseif not follows then
    deny()
  elseif method ~= "REFER" or may_transfer() then
    KSR.tm.t_relay()
  end
end

-- Absorbs what is sent again before anything is asked; false if there is nothing to do.
local function begin_transaction()
  local result = KSR.tm.t_newtran()
  if result < 0 then KSR.sl.sl_send_reply(500, "No transaction") end
  return result > 0
end

local function route_request()
  local method = KSR.pv.get("$rm")
  if KSR.maxfwd.process_maxfwd(10) < 0 then
    if method ~= "ACK" then KSR.sl.sl_send_reply(483, "Too Many Hops") end
    return
  end
  if not scoped.is_sane() then return end
  if method == "CANCEL" then
    if KSR.tm.t_check_trans() > 0 then KSR.tm.t_relay() end
    return
  end
  if method ~= "ACK" and not begin_transaction() then return end
  if KSR.pv.get("$tt") ~= nil then return route_in_dialog(method) end
  if method == "INVITE" then
    KSR.tm.t_reply(100, "Trying")
    route_call()
  elseif method == "OPTIONS" then
    answer(200, "OK")
  elseif method ~= "ACK" then
    deny()
  end
end

-- An error here would leave the call without an answer for 32 seconds.
function ksr_request_route()
  local ran, message = pcall(route_request)
  if ran then return 1 end
  KSR.err("scoped: " .. tostring(message) .. "\n")
  if KSR.pv.get("$rm") ~= "ACK" then pcall(answer, 503, UNAVAILABLE) end
  return 1
end
