/*
 * Uses its connections to the very end: in exit handlers that were registered before and after the
 * first connect, in the destructors of static objects that were made before and after it, and in a
 * destructor function. Says what each of them gets.
 *
 * usage: last_words CONNECTIONS return|exit|thread|wait [finish|openssl]
 *   thread  another thread calls exit
 *   wait    all are in a transaction, and other threads ask for connections
 *   finish  the last of them finishes all connections
 *   openssl the program itself has used OpenSSL before all that
 */
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <libpq-fe.h>
#include <string>
#include <thread>
#include <vector>

static std::vector<PGconn *> *conns;
static bool finishes;

static void use(const char *who, bool last = false)
{
	if (!conns)
		return;
	for (size_t i = 0; i < conns->size(); i++) {
		PGconn *conn = (*conns)[i];
		PGresult *result = PQexec(conn, "SELECT current_setting('application_name')");
		bool good = PQresultStatus(result) == PGRES_TUPLES_OK;

		std::printf("%s %zu: %s %s\n", who, i,
		    PQstatus(conn) == CONNECTION_OK ? "ok" : "bad",
		    good ? PQgetvalue(result, 0, 0) : PQerrorMessage(conn));
		PQclear(result);
		if (last && finishes)
			PQfinish(conn);
	}
	std::fflush(stdout);
}

struct user {
	const char *name;
	~user()
	{
		use(name);
	}
};

static user made_before{"static object, made before"};

static user &made_late()
{
	static user late{"static object, made after"};

	return late;
}

__attribute__((destructor)) static void at_last()
{
	use("destructor function", true);
}

static void ask_all_the_time()
{
	for (;;) {
		PGconn *conn = PQconnectdb("");

		PQclear(PQexec(conn, "BEGIN; SELECT pg_sleep(0.01)"));
		PQfinish(conn);
	}
}

static void end(const std::string &way)
{
	if (way == "exit")
		std::exit(42);
	if (way == "thread")
		std::thread([] { std::exit(42); }).join();
	if (way == "wait") {
		for (PGconn *conn : *conns)
			PQclear(PQexec(conn, "BEGIN"));
		for (int i = 0; i < 4; i++)
			std::thread(ask_all_the_time).detach();
		std::this_thread::sleep_for(std::chrono::milliseconds(200));
	}
}

/* It has come with libpq. The options: all ciphers and digests; with none it does nothing. */
static void use_openssl()
{
	void *init = dlsym(RTLD_DEFAULT, "OPENSSL_init_crypto");

	if (init)
		reinterpret_cast<int (*)(uint64_t, const void *)>(init)(0xc, nullptr);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	if (argc > 3 && std::strcmp(argv[3], "openssl") == 0)
		use_openssl();
	finishes = argc > 3 && std::strcmp(argv[3], "finish") == 0;
	std::atexit([] { use("exit handler, registered before"); });
	conns = new std::vector<PGconn *>;
	for (int i = 0; i < std::atoi(argv[1]); i++) {
		conns->push_back(PQconnectdb(""));
		PQclear(PQexec(conns->back(),
		    ("SET application_name = 'number " + std::to_string(i) + "'").c_str()));
	}
	made_late();
	std::atexit([] { use("exit handler, registered after"); });
	end(argv[2]);
	return 42;
}
