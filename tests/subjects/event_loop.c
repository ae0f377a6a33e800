/*
 * One thread, many asynchronous connections: each connects without blocking and then runs its
 * queries one after the other, all driven by one loop. Prints how many answers were right, how
 * often the loop was woken for each, and how long the longest call of libpq took.
 *
 * usage: event_loop poll|select|epoll|epoll-anew CONNECTIONS QUERIES-EACH
 *                   [SECONDS-TO-SLEEP-IN-THE-SERVER [SECONDS-OF-ANOTHER]]
 * epoll registers a descriptor once and changes that only when it wants something else; epoll-anew
 * makes an epoll instance for every wait. The other connection was finished in the middle of a
 * statement that goes on for so long.
 */
#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

enum step { CONNECTING, ASKING, DONE };

struct client {
	PGconn *conn;
	enum step step;
	PostgresPollingStatusType wanted;
	int number, answers, right;
	int watched; /* the descriptor epoll knows; -1 for none */
	uint32_t watched_events;
};

static int queries;
static long wakes, longest_ms;
static const char *seconds = "0";

static void fail(struct client *client, const char *what)
{
	printf("client %d: %s: %s\n", client->number, what, PQerrorMessage(client->conn));
	client->step = DONE;
}

static void ask(struct client *client)
{
	char number[16];
	const char *values[] = {number, seconds};

	snprintf(number, sizeof number, "%d", client->number * 1000 + client->answers);
	if (!PQsendQueryParams(client->conn, "SELECT $1::int, pg_sleep($2::float8)", 2, NULL,
		values, NULL, NULL, 0))
		fail(client, "PQsendQueryParams");
	client->wanted = PQflush(client->conn) == 1 ? PGRES_POLLING_WRITING : PGRES_POLLING_READING;
}

static void take_answer(struct client *client)
{
	PGresult *result;

	while (!PQisBusy(client->conn) && (result = PQgetResult(client->conn))) {
		if (PQresultStatus(result) != PGRES_TUPLES_OK)
			printf("client %d: %s", client->number, PQresultErrorMessage(result));
		else if (atoi(PQgetvalue(result, 0, 0)) == client->number * 1000 + client->answers)
			client->right++;
		PQclear(result);
	}
	if (PQisBusy(client->conn))
		return;
	client->answers++;
	if (client->answers < queries)
		ask(client);
	else
		client->step = DONE;
}

static void go_on_now(struct client *client)
{
	if (client->step == CONNECTING) {
		client->wanted = PQconnectPoll(client->conn);
		if (client->wanted == PGRES_POLLING_FAILED)
			fail(client, "PQconnectPoll");
		else if (client->wanted == PGRES_POLLING_OK) {
			PQsetnonblocking(client->conn, 1);
			client->step = ASKING;
			ask(client);
		}
	} else if (client->step == ASKING) {
		if (!PQconsumeInput(client->conn))
			fail(client, "PQconsumeInput");
		else if (PQflush(client->conn) == 0) {
			client->wanted = PGRES_POLLING_READING;
			take_answer(client);
		}
	}
}

static long clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void go_on(struct client *client)
{
	long began = clock_ms();

	go_on_now(client);
	if (clock_ms() - began > longest_ms)
		longest_ms = clock_ms() - began;
}

static bool wants_to_write(const struct client *client)
{
	return client->wanted == PGRES_POLLING_WRITING;
}

/* How many are ready; nobody is, for half a minute, is a failure. */
static int woken(int ready)
{
	wakes++;
	if (ready == 0) {
		puts("nothing has happened for 30 s");
		exit(1);
	}
	return ready;
}

static void poll_once(struct client *clients, int count)
{
	struct pollfd *wanted = calloc((size_t)count, sizeof *wanted);

	for (int i = 0; i < count; i++) {
		wanted[i].fd = clients[i].step == DONE ? -1 : PQsocket(clients[i].conn);
		wanted[i].events = wants_to_write(&clients[i]) ? POLLOUT : POLLIN;
	}
	woken(poll(wanted, (nfds_t)count, 30000));
	for (int i = 0; i < count; i++)
		if (wanted[i].revents)
			go_on(&clients[i]);
	free(wanted);
}

static void select_once(struct client *clients, int count)
{
	struct timeval timeout = {.tv_sec = 30};
	fd_set reads, writes;
	int most = -1;

	FD_ZERO(&reads);
	FD_ZERO(&writes);
	for (int i = 0; i < count; i++) {
		int descriptor = PQsocket(clients[i].conn);

		if (clients[i].step == DONE)
			continue;
		FD_SET(descriptor, wants_to_write(&clients[i]) ? &writes : &reads);
		most = descriptor > most ? descriptor : most;
	}
	woken(select(most + 1, &reads, &writes, NULL, &timeout));
	for (int i = 0; i < count; i++) {
		int descriptor = PQsocket(clients[i].conn);

		if (clients[i].step != DONE &&
		    (FD_ISSET(descriptor, &reads) || FD_ISSET(descriptor, &writes)))
			go_on(&clients[i]);
	}
}

static void watch(int epoll, struct client *client)
{
	struct epoll_event event = {
	    .data.ptr = client, .events = wants_to_write(client) ? EPOLLOUT : EPOLLIN};
	int descriptor = client->step == DONE ? -1 : PQsocket(client->conn);

	if (client->watched >= 0 && client->watched != descriptor)
		epoll_ctl(epoll, EPOLL_CTL_DEL, client->watched, NULL);
	if (descriptor >= 0 &&
	    (descriptor != client->watched || event.events != client->watched_events) &&
	    epoll_ctl(epoll, client->watched == descriptor ? EPOLL_CTL_MOD : EPOLL_CTL_ADD,
		descriptor, &event) != 0) {
		printf("client %d: epoll_ctl: %s\n", client->number, strerror(errno));
		client->step = DONE;
	}
	client->watched = descriptor;
	client->watched_events = event.events;
}

static void epoll_once(int epoll, int count)
{
	struct epoll_event events[64];
	int ready = woken(epoll_wait(epoll, events, count < 64 ? count : 64, 30000));

	for (int i = 0; i < ready; i++) {
		struct client *client = events[i].data.ptr;

		if (client->step == DONE)
			continue;
		go_on(client);
		watch(epoll, client);
	}
}

static void epoll_anew(struct client *clients, int count)
{
	int epoll = epoll_create1(0);

	for (int i = 0; i < count; i++) {
		clients[i].watched = -1;
		watch(epoll, &clients[i]);
	}
	epoll_once(epoll, count);
	close(epoll);
}

static bool all_done(const struct client *clients, int count)
{
	for (int i = 0; i < count; i++)
		if (clients[i].step != DONE)
			return false;
	return true;
}

static void start_all(struct client *clients, int count)
{
	for (int i = 0; i < count; i++) {
		clients[i] = (struct client){.conn = PQconnectStart(""),
		    .wanted = PGRES_POLLING_WRITING,
		    .number = i,
		    .watched = -1};
		if (PQstatus(clients[i].conn) == CONNECTION_BAD)
			fail(&clients[i], "PQconnectStart");
	}
}

static void finish_at_work(const char *seconds_more)
{
	PGconn *conn = PQconnectdb("");
	char query[64];

	snprintf(query, sizeof query, "SELECT pg_sleep(%s)", seconds_more);
	PQsendQuery(conn, query);
	PQfinish(conn);
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fputs("usage: event_loop poll|select|epoll|epoll-anew CONNECTIONS QUERIES-EACH "
		      "[SECONDS [SECONDS-OF-ANOTHER]]\n",
		    stderr);
		return 2;
	}
	bool use_epoll = strcmp(argv[1], "epoll") == 0;
	int count = atoi(argv[2]), right = 0, epoll = epoll_create1(0);
	struct client *clients = calloc((size_t)count, sizeof *clients);

	queries = atoi(argv[3]);
	if (argc > 4)
		seconds = argv[4];
	if (argc > 5)
		finish_at_work(argv[5]);
	start_all(clients, count);
	for (int i = 0; use_epoll && i < count; i++)
		watch(epoll, &clients[i]);
	while (!all_done(clients, count)) {
		if (use_epoll)
			epoll_once(epoll, count);
		else if (strcmp(argv[1], "epoll-anew") == 0)
			epoll_anew(clients, count);
		else if (strcmp(argv[1], "select") == 0)
			select_once(clients, count);
		else
			poll_once(clients, count);
	}
	for (int i = 0; i < count; i++) {
		right += clients[i].right;
		PQfinish(clients[i].conn);
	}
	printf("%d of %d answers right\n", right, count * queries);
	printf("woken %.1f times for each, the longest call took %ld ms\n",
	    (double)wakes / (count * queries), longest_ms);
	free(clients);
	return right == count * queries ? 0 : 1;
}
