// A notice receiver that leaves by an exception, and a thread that is cancelled while it waits: both unwind the
// stack through libpq and what stands before it. Prints what comes afterwards.
#include <libpq-fe.h>

#include <cstdio>
#include <pthread.h>
#include <stdexcept>
#include <string>

static void refuse(void *, const PGresult *)
{
	throw std::runtime_error("refused");
}

static void ignore(void *, const PGresult *)
{
}

static void ask(const char *who, PGconn *conn)
{
	PGresult *result = PQexec(conn, "SELECT 'answer'");

	std::printf("%s: %s\n", who,
	    PQntuples(result) == 1 ? PQgetvalue(result, 0, 0) : PQerrorMessage(conn));
	PQclear(result);
}

static void *sleep_long(void *conn)
{
	PQclear(PQexec(static_cast<PGconn *>(conn), "SELECT pg_sleep(2)"));
	return nullptr;
}

int main()
{
	PGconn *first = PQconnectdb(""), *second = PQconnectdb("");
	pthread_t thread;
	void *outcome;

	PQsetNoticeReceiver(first, refuse, nullptr);
	try {
		PQclear(PQexec(first, "DO $$ BEGIN RAISE NOTICE 'thrown'; END $$"));
		std::puts("nothing was thrown");
	} catch (const std::runtime_error &error) {
		std::printf("caught: %s\n", error.what());
	}
	PQsetNoticeReceiver(first, ignore, nullptr);
	ask("second", second);
	PQreset(first);
	ask("first", first);

	pthread_create(&thread, nullptr, sleep_long, second);
	pthread_cancel(thread);
	pthread_join(thread, &outcome);
	std::printf("cancelled: %d\n", outcome == PTHREAD_CANCELED);
	PQreset(second);
	ask("second", second);
	PQfinish(first);
	PQfinish(second);
	return 0;
}
