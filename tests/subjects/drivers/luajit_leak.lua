-- Looks libpq's functions up by LuaJIT's ffi, and leaks connections. usage: luajit_leak.lua NUMBER
local ffi = require 'ffi'

ffi.cdef [[
typedef struct PGconn PGconn;
typedef struct PGresult PGresult;
PGconn *PQconnectdb(const char *conninfo);
PGresult *PQexec(PGconn *conn, const char *query);
char *PQgetvalue(const PGresult *result, int row, int column);
void PQclear(PGresult *result);
]]

local libpq = ffi.load('libpq.so.5')
local connections = {}

local function value(connection, sql)
	local result = libpq.PQexec(connection, sql)
	local text = ffi.string(libpq.PQgetvalue(result, 0, 0))
	libpq.PQclear(result)
	return text
end

for i = 1, tonumber(arg[1]) do
	connections[i] = libpq.PQconnectdb('')
	value(connections[i], "SELECT set_config('own.name', 'name " .. i .. "', false)")
end
for i, connection in ipairs(connections) do
	print(i, value(connection, "SELECT current_setting('own.name')"))
end
