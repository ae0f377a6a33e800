/*
 * Targets: normalised connection parameters. Two sessions may share a backend when, and only when,
 * they have the same target. See target.c.
 */
#ifndef TARGET_H
#define TARGET_H

#include "libpq.h"

#include <stdbool.h>
#include "hash.h"

/* What PQdb, PQhost and the like answer for a session's whole life, attached or not. */
struct identity {
	struct identity *next;
	char *db, *user, *pass, *host, *hostaddr, *port, *tty, *options, *service;
	int server_version, protocol_version, full_protocol_version, client_encoding;
};

struct statuses;

struct target {
	char *key;      /* every option after defaults, and the environment; holds the password */
	char *shared;   /* the part of it that two who share a backend have in common */
	char *conninfo; /* the explicit options */
	char *resolved; /* all options, as libpq found them at the first connect; NULL before */
	char *label;    /* user@host:port/database, for messages */
	char *server;   /* host:port, as they were asked for */
	char *connect_timeout;       /* what the program asked for; NULL if nothing */
	struct identity *identities; /* more than one only where several hosts are named */
	struct statuses *statuses;   /* of a new connection */
	long references;
	bool pgbouncer;   /* behind transaction pooling: nothing is captured, reset or restored */
	bool replication; /* a walsender: cannot be reset or captured */
	bool known_good;  /* a connect has succeeded */
	bool told_pooler; /* ... and it turned out that sessions share server processes */
	UT_hash_handle hh;
};

/* Whether a backend of one may serve sessions of the other: only the connect timeout may differ. */
bool target_shares(const struct target *one, const struct target *other);

/*
 * How the program described the connection; one of the three ways libpq has (libpq manual,
 * "Database Connection Control Functions"). Fields not used by that way are NULL.
 */
struct request {
	const char *conninfo;        /* PQconnectdb, PQconnectStart */
	const char *const *keywords; /* PQconnectdbParams, PQconnectStartParams */
	const char *const *values;
	int expand_dbname;
	bool login; /* PQsetdbLogin, with the fields below */
	const char *host, *port, *options, *tty, *dbname, *user, *password;
};

/*
 * The target of a request, with a reference for the caller. Any thread. NULL when libpq would refuse
 * the request: the caller then lets libpq itself say so.
 *   starved  or when there was no memory to find out: libpq must not be asked then, which could
 *            connect, and not where PQLEASH_DATABASE_URL says
 */
struct target *target_find(const struct request *request, bool *starved);

/* The request without the URI parameters that only pqleash knows; text_wipe() what is returned. */
char *target_strip(const char *conninfo);

struct target *target_hold(struct target *target);
void target_release(struct target *target);

/* Logins have changed: a target that was known to be good may be refused now. */
void target_doubt_all(void);

/* For the real PQconnectdb; valid as long as the target. */
const char *target_conninfo(const struct target *target);

/* What libpq made of that, whether it could connect or not; only the first time counts. */
void target_resolve(struct target *target, const PGconn *conn);

/* This new connection of it was made. */
void target_succeeded(struct target *target, const PGconn *conn);

/* The identity of a connected backend; lives as long as the target. */
const struct identity *target_identify(struct target *target, const PGconn *conn);

#endif
