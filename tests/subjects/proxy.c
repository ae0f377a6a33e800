/*
 * Stands between a program and a server, knows the messages of protocol 3, and damages the
 * connection at one of them. Not a subject to preload into: it makes no connection of libpq's.
 *
 * usage: proxy SERVER-SOCKET
 * Prints the port of 127.0.0.1 on which it listens, then reads commands from stdin:
 *   arm KIND NUMBER  from now on count messages; damage the one of this number (0: none)
 *   end              end all connections; prints what happened since "arm" on one line: the class
 *                    of the message that was hit or "-", the most server processes at once, and the
 *                    classes of all messages of the servers and of the clients
 * Kinds, for a message of a server's: "close" behind it, "reset" behind it (RST), "middle" (half of
 * it, then close), "stall" (nothing more for a while, then close), "swallow" (nothing more, for
 * ever), "away" (close all connections, and for a while every new one); "unsent" is for a message of
 * a client's, which never arrives. The server's side ends before the client's, so that a program
 * that connects again never has more server processes than it thinks.
 *
 * A class is a letter for what is going on: connect, examine, park (capture), settle (reset), back
 * (restore); of statements with the comment "MOMENT" the first letter of that; upper case: it is the
 * last message of the answer.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MOST_LINKS 64
#define MOST_MESSAGES 100000
#define AWAY_MS 150
#define STALL_MS 150

struct stream {
	unsigned char *bytes;
	size_t length, room;
	bool typed; /* messages have a type: not yet at the start of the client's */
};

struct link {
	int client, server;
	struct stream from_client, from_server;
	char class;  /* of what is going on */
	bool parsed; /* the last message was a Parse: the Bind is its own */
	bool swallowing;
	long stalled_until_ms; /* 0: it is not */
};

static struct link links[MOST_LINKS];
static size_t count, peak;
static const char *server_path, *kind = "";
static char kind_armed[16];
static long number, away_until_ms;
static char hit;
static char servers[MOST_MESSAGES + 1], clients[MOST_MESSAGES + 1];
static long servers_count, clients_count;

static long clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void die(const char *what)
{
	perror(what);
	exit(2);
}

/* ---- Connections ---- */

static int listen_anywhere(void)
{
	struct sockaddr_in address = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) != 0 ||
	    listen(listener, 64) != 0 ||
	    getsockname(listener, (struct sockaddr *)&address, &size) != 0)
		die("listen");
	printf("%d\n", ntohs(address.sin_port));
	return listener;
}

static int connect_server(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s", server_path);
	if (server < 0 || connect(server, (struct sockaddr *)&address, sizeof address) != 0)
		die(server_path);
	return server;
}

static void accept_one(int listener)
{
	int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC), on = 1;

	if (client < 0)
		return;
	if (clock_ms() < away_until_ms || count == MOST_LINKS) {
		close(client);
		return;
	}
	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	links[count++] = (struct link){
	    .client = client, .server = connect_server(), .from_server.typed = true, .class = 'c'};
	if (count > peak)
		peak = count;
}

static void send_all(int descriptor, const unsigned char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t sent = send(descriptor, bytes, length, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return; /* the other side is gone: reading will say so */
		bytes += sent;
		length -= (size_t)sent;
	}
}

/* Until the server process has closed: it does when it ends. */
static void end_server(struct link *link)
{
	char rest[4096];
	struct pollfd wanted = {.fd = link->server, .events = POLLIN};

	shutdown(link->server, SHUT_WR);
	while (poll(&wanted, 1, 10000) > 0 && recv(link->server, rest, sizeof rest, 0) > 0)
		;
	close(link->server);
	link->server = -1;
}

static void end_link(struct link *link, bool with_reset)
{
	if (link->server >= 0)
		end_server(link);
	if (with_reset) {
		struct linger now = {.l_onoff = 1};

		setsockopt(link->client, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	}
	close(link->client);
	free(link->from_client.bytes);
	free(link->from_server.bytes);
	link->from_client.bytes = link->from_server.bytes = NULL;
	link->client = -1;
}

static void end_all(void)
{
	for (size_t i = 0; i < count; i++)
		if (links[i].client >= 0)
			end_link(&links[i], false);
}

static void sweep(void)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (links[i].client >= 0)
			links[kept++] = links[i];
	count = kept;
}

/* ---- Messages ---- */

static bool contains(const unsigned char *bytes, size_t length, const char *text)
{
	return memmem(bytes, length, text, strlen(text)) != NULL;
}

/* Behind its own comment the program says in a word what a statement is for. */
static char class_of_text(const unsigned char *bytes, size_t length)
{
	static const char mark[] = "/* MOMENT ";
	const unsigned char *own = memmem(bytes, length, mark, sizeof mark - 1);

	if (own && own + sizeof mark - 1 < bytes + length)
		return (char)own[sizeof mark - 1];
	if (contains(bytes, length, "FROM pg_catalog.pg_prepared_statement"))
		return 'p';
	if (contains(bytes, length, "pg_db_role_setting s"))
		return 'e';
	if (contains(bytes, length, "DISCARD ALL") || contains(bytes, length, "ROLLBACK") ||
	    contains(bytes, length, "SELECT pg_catalog.current_setting("))
		return 's';
	return 'b';
}

static void classify(struct link *link, const unsigned char *message, size_t length)
{
	switch (link->from_client.typed ? message[0] : 0) {
	case 'Q':
	case 'P':
		link->class = class_of_text(message, length);
		break;
	case 'B':
		if (!link->parsed)
			link->class = 'q';
		break;
	default:
		break;
	}
	link->parsed = link->from_client.typed && message[0] == 'P';
}

static void strike(struct link *link, char class)
{
	hit = class;
	if (strcmp(kind, "stall") == 0)
		link->stalled_until_ms = clock_ms() + STALL_MS;
	else if (strcmp(kind, "swallow") == 0)
		link->swallowing = true;
	else if (strcmp(kind, "away") == 0) {
		away_until_ms = clock_ms() + AWAY_MS;
		end_all();
	} else
		end_link(link, strcmp(kind, "reset") == 0);
}

static void relay_from_client(struct link *link, const unsigned char *message, size_t length)
{
	classify(link, message, length);
	if (clients_count < MOST_MESSAGES)
		clients[clients_count++] = link->class;
	if (clients_count == number && strcmp(kind, "unsent") == 0)
		strike(link, link->class);
	else
		send_all(link->server, message, length);
	link->from_client.typed = true;
}

static void relay_from_server(struct link *link, const unsigned char *message, size_t length)
{
	bool is_last = message[0] == 'Z';
	char class = (char)(is_last ? toupper(link->class) : link->class);

	if (servers_count < MOST_MESSAGES)
		servers[servers_count++] = class;
	bool strikes = servers_count == number && strcmp(kind, "unsent") != 0;
	/* The type and half of the length is never all of it. */
	send_all(
	    link->client, message, strikes && strcmp(kind, "middle") == 0 ? length / 2 : length);
	if (strikes)
		strike(link, class);
}

/* The length of the first message, 0 while it is not all there. */
static size_t first_message(const struct stream *stream, size_t from)
{
	size_t type = stream->typed ? 1 : 0;
	uint32_t length;

	if (stream->length - from < type + sizeof length)
		return 0;
	memcpy(&length, stream->bytes + from + type, sizeof length);
	size_t whole = type + ntohl(length);
	return whole <= stream->length - from ? whole : 0;
}

/* More bytes; false when the other side has closed. */
static bool receive(struct stream *stream, int descriptor)
{
	if (stream->room - stream->length < 65536) {
		stream->room = stream->room * 2 + 65536;
		stream->bytes = realloc(stream->bytes, stream->room);
		if (!stream->bytes)
			die("realloc");
	}
	ssize_t got =
	    recv(descriptor, stream->bytes + stream->length, stream->room - stream->length, 0);
	if (got > 0)
		stream->length += (size_t)got;
	return got > 0;
}

static void relay(struct link *link, struct stream *stream, int descriptor,
    void (*relay_one)(struct link *, const unsigned char *, size_t))
{
	size_t done = 0, length;

	if (!receive(stream, descriptor)) {
		end_link(link, false);
		return;
	}
	if (link->swallowing)
		stream->length = 0;
	while (link->client >= 0 && !link->swallowing && !link->stalled_until_ms &&
	       (length = first_message(stream, done)) > 0) {
		relay_one(link, stream->bytes + done, length);
		done += length;
	}
	if (link->client < 0)
		return;
	memmove(stream->bytes, stream->bytes + done, stream->length - done);
	stream->length -= done;
}

/* ---- Commands ---- */

/* False at the end of the commands. */
static bool obey(void)
{
	char line[100];

	if (!fgets(line, sizeof line, stdin))
		return false;
	if (strncmp(line, "arm ", 4) == 0) {
		if (sscanf(line, "arm %15s %ld", kind_armed, &number) != 2)
			die(line);
		kind = kind_armed;
		servers_count = clients_count = 0;
		hit = '-';
		peak = 0;
		away_until_ms = 0;
		puts("armed");
	} else {
		end_all();
		sweep();
		servers[servers_count] = clients[clients_count] = '\0';
		printf("%c %zu %s. %s.\n", hit, peak, servers, clients);
	}
	return true;
}

static void relay_ready(const struct pollfd *ready, size_t polled)
{
	for (size_t i = 0; i < polled; i++) {
		struct link *link = &links[i];

		if (link->stalled_until_ms && clock_ms() >= link->stalled_until_ms)
			end_link(link, false);
		if (link->client >= 0 && ready[2 * i].revents)
			relay(link, &link->from_client, link->client, relay_from_client);
		if (link->client >= 0 && ready[2 * i + 1].revents)
			relay(link, &link->from_server, link->server, relay_from_server);
	}
}

int main(int argc, char **argv)
{
	struct pollfd ready[2 + 2 * MOST_LINKS];

	if (argc != 2)
		return fputs("usage: proxy SERVER-SOCKET\n", stderr), 2;
	server_path = argv[1];
	setvbuf(stdout, NULL, _IOLBF, 0);
	setvbuf(stdin, NULL, _IONBF, 0);
	int listener = listen_anywhere();
	for (;;) {
		bool stalled = false;
		size_t polled = count;

		ready[0] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
		ready[1] = (struct pollfd){.fd = listener, .events = POLLIN};
		for (size_t i = 0; i < count; i++) {
			bool still = links[i].stalled_until_ms != 0;

			stalled |= still;
			ready[2 + 2 * i] =
			    (struct pollfd){.fd = still ? -1 : links[i].client, .events = POLLIN};
			ready[3 + 2 * i] =
			    (struct pollfd){.fd = still ? -1 : links[i].server, .events = POLLIN};
		}
		if (poll(ready, 2 + 2 * polled, stalled ? 20 : -1) < 0 && errno != EINTR)
			die("poll");
		/* What a client ended makes room before somebody new comes. */
		relay_ready(ready + 2, polled);
		sweep();
		if (ready[1].revents)
			accept_one(listener);
		if (ready[0].revents && !obey())
			break;
	}
	end_all();
	return 0;
}
