-- Stands in for FreeSWITCH: runs a script with a `session` and a `freeswitch` that know the methods it may use, and no
-- others. Prints the verdict, the reason, and how often it was logged. Arguments: script, subject, object.
local variables = { scoped_verdict = arg[4], scoped_subject = arg[2] ~= "" and arg[2] or nil, scoped_object = arg[3] }
local logged = 0

local function strict(name, methods)
  return setmetatable(methods, { __index = function(_, key) error(name .. " has no " .. key) end })
end

session = strict("session", {
  getVariable = function(_, name) return variables[name] end,
  setVariable = function(_, name, value)
    assert(type(name) == "string" and type(value) == "string", "setVariable takes strings")
    variables[name] = value
  end,
})
freeswitch = strict("freeswitch", {
  consoleLog = function(level, text)
    assert(({ warning = true, notice = true })[level] and text:sub(-1) == "\n")
    logged = logged + 1
  end,
})

dofile(arg[1])
print(variables.scoped_verdict, variables.scoped_reason, logged)
