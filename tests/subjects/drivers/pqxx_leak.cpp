/*
 * Opens connections with libpqxx and keeps them all, each with a state of its own.
 *
 * usage: pqxx_leak NUMBER
 */
#include <iostream>
#include <pqxx/pqxx>
#include <string>
#include <vector>

namespace
{

struct notices : pqxx::errorhandler {
	explicit notices(pqxx::connection_base &connection) : pqxx::errorhandler(connection)
	{
	}
	bool operator()(const char text[]) noexcept override
	{
		seen += std::string(text).substr(0, std::string(text).find('\n'));
		return true;
	}
	std::string seen;
};

std::string work_mem(pqxx::connection &connection)
{
	pqxx::nontransaction work(connection);
	return work.exec1("SHOW work_mem")[0].as<std::string>();
}

pqxx::connection *opened(int i)
{
	auto *connection = new pqxx::connection("application_name='one of many'");

	connection->set_variable("own.name", "'name " + std::to_string(i) + "'");
	connection->prepare(
	    "kept", "SELECT " + std::to_string(i) + " + $1::int, current_setting('own.name')");
	pqxx::nontransaction work(*connection);
	work.exec0("SET work_mem = '" + std::to_string(i + 1) + "MB'");
	return connection;
}

void use_prepared(pqxx::connection &connection, int turn, size_t i)
{
	pqxx::work work(connection);
	pqxx::row row = work.exec_prepared1("kept", turn * 100);

	std::cout << turn << ' ' << i << ": " << row[0] << ' ' << row[1];
	work.commit();
	std::cout << ' ' << work_mem(connection) << ' ' << connection.is_open() << ' '
		  << connection.get_variable("own.name") << '\n';
}

void fail(pqxx::connection &connection, size_t i)
{
	try {
		pqxx::work work(connection);
		work.exec_params("SELECT 1 / ($1::int - $1::int)", i);
	} catch (const pqxx::sql_error &error) {
		std::cout << i << ": " << error.sqlstate() << ' ' << error.query() << '\n';
	}
	notices handler(connection);
	pqxx::work work(connection);
	work.exec0("DO $$ BEGIN RAISE NOTICE 'from %', current_setting('own.name'); END $$");
	work.commit();
	std::cout << i << ": " << handler.seen << '\n';
}

/* What needs several round trips: COPY, a cursor of the server, a large object, a subtransaction. */
void work_long(pqxx::connection &connection, size_t i)
{
	pqxx::work work(connection);

	work.exec0("CREATE TEMPORARY TABLE mine (n int, t text) ON COMMIT DROP");
	pqxx::stream_to to(work, "mine");
	for (size_t n = 0; n < i + 2; n++)
		to << std::make_tuple(static_cast<int>(n), "line " + std::to_string(n));
	to.complete();
	pqxx::stateless_cursor<pqxx::cursor_base::read_only, pqxx::cursor_base::owned> cursor(
	    work, "SELECT n FROM mine ORDER BY n DESC", "backwards", false);
	std::cout << i << ": " << cursor.size() << ' ' << cursor.retrieve(0, 1)[0][0];
	try {
		pqxx::subtransaction inner(work);
		inner.exec("SELEC");
	} catch (const pqxx::syntax_error &error) {
		std::cout << ' ' << error.sqlstate();
	}
	pqxx::largeobject large(work);
	pqxx::largeobjectaccess access(work, large);
	access.write(std::string(i + 1, 'x'));
	access.seek(0, std::ios::beg);
	char buffer[100];
	std::cout << ' ' << access.read(buffer, sizeof buffer) << '\n';
	large.remove(work);
	work.commit();
}

} // namespace

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	std::vector<pqxx::connection *> connections;
	for (int i = 0; i < std::stoi(argv[1]); i++)
		connections.push_back(opened(i));
	for (int turn = 0; turn < 3; turn++)
		for (size_t i = connections.size(); i-- > 0;)
			use_prepared(*connections[i], turn, i);
	for (size_t i = 0; i < connections.size(); i++)
		fail(*connections[i], i);
	for (size_t i = 0; i < 10 && i < connections.size(); i++)
		work_long(*connections[i], i);
	return 0;
}
