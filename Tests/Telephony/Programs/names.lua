-- Prints, for each id, the project by which the user of that id is allowed the queue of that id, and what that user sees
-- of the lists with all the ids. Arguments: address, ids.
local scope = require "scope"
local handle = assert(scope.open(arg[1], { company = "c", timeout_ms = 20000 }))
local ids = {}
for index = 2, #arg do ids[#ids + 1] = arg[index] end
for _, id in ipairs(ids) do
  local _, detail = handle:check("user:" .. id, "queue:" .. id, { right = id })
  print(detail.project)
  print(table.concat(assert(handle:filter("user:" .. id, "list", ids, { project = id })), ","))
end
