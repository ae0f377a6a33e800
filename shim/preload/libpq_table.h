/*
 * The libpq table: every function of libpq 9.6 to 18 that takes or returns a connection or a
 * cancel object, once; nothing else in pqleash spells a libpq prototype. It makes the exported
 * wrappers, the table of real functions and the names that dlsym answers for;
 * tests/unit/libpq_table.t compares it with the installed libpq.
 *
 * No include guard: define LIBPQ and include this, as often as needed. At the end LIBPQ is
 * undefined, and so are LIBPQ_OWN to LIBPQ_CALL, for those who define LIBPQ(kind, ...) as
 * LIBPQ_##kind(...).
 *
 *     LIBPQ(kind, result, name, (parameters), (arguments), extra)
 *
 * The connection is always called conn, an SQL text query, the name of a prepared statement
 * statement. All types are in the 9.6 header, so that one build serves every libpq: a younger enum
 * is an int, a younger struct goes by its tag. "since 14" marks what an older libpq lacks.
 *
 * What the wrapper does with a session, by kind; extra is empty where none is named:
 *     OWN    written by hand (also what takes no connection, but must know of ours)
 *     KEPT   answers from what the session keeps for life; extra is the field
 *     STATE  asks the backend, or while there is none answers extra, as if healthy and idle
 *     USE    attaches, and may change the session's state in the server
 *     ADD    the same; libpq adds its message, if any, to the last one
 *     LOCAL  asks libpq alone, and so never waits; forgets the last error, as libpq does since 14
 *     ASK    attaches, and changes nothing there
 *     CALL   no wrapper: handles results and options, and we call it ourselves
 * Only OWN and CALL have functions that return void.
 */

/* clang-format off */

/* Making, resetting and ending a connection */
LIBPQ(OWN, PGconn *, PQconnectdb, (const char *conninfo), (conninfo), )
LIBPQ(OWN, PGconn *, PQconnectdbParams, (const char *const *keywords, const char *const *values, int expand_dbname),
	(keywords, values, expand_dbname), )
LIBPQ(OWN, PGconn *, PQsetdbLogin, (const char *pghost, const char *pgport, const char *pgoptions, const char *pgtty,
	const char *dbName, const char *login, const char *pwd), (pghost, pgport, pgoptions, pgtty, dbName, login, pwd), )
LIBPQ(OWN, PGconn *, PQconnectStart, (const char *conninfo), (conninfo), )
LIBPQ(OWN, PGconn *, PQconnectStartParams, (const char *const *keywords, const char *const *values, int expand_dbname),
	(keywords, values, expand_dbname), )
LIBPQ(OWN, PostgresPollingStatusType, PQconnectPoll, (PGconn *conn), (conn), )
LIBPQ(OWN, void, PQreset, (PGconn *conn), (conn), )
LIBPQ(OWN, int, PQresetStart, (PGconn *conn), (conn), )
LIBPQ(OWN, PostgresPollingStatusType, PQresetPoll, (PGconn *conn), (conn), )
LIBPQ(OWN, void, PQfinish, (PGconn *conn), (conn), )
LIBPQ(OWN, PGPing, PQping, (const char *conninfo), (conninfo), )
LIBPQ(OWN, PGPing, PQpingParams, (const char *const *keywords, const char *const *values, int expand_dbname),
	(keywords, values, expand_dbname), )

/* Connection parameters */
LIBPQ(CALL, PQconninfoOption *, PQconndefaults, (void), (), )
LIBPQ(OWN, PQconninfoOption *, PQconninfo, (PGconn *conn), (conn), )
LIBPQ(OWN, PQconninfoOption *, PQconninfoParse, (const char *conninfo, char **errmsg), (conninfo, errmsg), )
LIBPQ(CALL, void, PQconninfoFree, (PQconninfoOption *connOptions), (connOptions), )

/* Connection status: fixed when the connection is made */
LIBPQ(KEPT, char *, PQdb, (const PGconn *conn), (conn), db)
LIBPQ(KEPT, char *, PQuser, (const PGconn *conn), (conn), user)
LIBPQ(KEPT, char *, PQpass, (const PGconn *conn), (conn), pass)
LIBPQ(KEPT, char *, PQhost, (const PGconn *conn), (conn), host)
LIBPQ(KEPT, char *, PQhostaddr, (const PGconn *conn), (conn), hostaddr) /* since 12 */
LIBPQ(KEPT, char *, PQport, (const PGconn *conn), (conn), port)
LIBPQ(KEPT, char *, PQtty, (const PGconn *conn), (conn), tty)
LIBPQ(KEPT, char *, PQoptions, (const PGconn *conn), (conn), options)
LIBPQ(KEPT, char *, PQservice, (const PGconn *conn), (conn), service) /* only in betas of 18 */
LIBPQ(OWN, int, PQserverVersion, (const PGconn *conn), (conn), )
LIBPQ(KEPT, int, PQprotocolVersion, (const PGconn *conn), (conn), protocol_version)
LIBPQ(KEPT, int, PQfullProtocolVersion, (const PGconn *conn), (conn), full_protocol_version) /* since 18 */

/* Connection status: changes during its life */
LIBPQ(OWN, ConnStatusType, PQstatus, (const PGconn *conn), (conn), )
LIBPQ(STATE, PGTransactionStatusType, PQtransactionStatus, (const PGconn *conn), (conn), session_transaction_status(session))
LIBPQ(STATE, int, PQpipelineStatus, (const PGconn *conn), (conn), 0 /* PQ_PIPELINE_OFF */) /* since 14 */
LIBPQ(OWN, const char *, PQparameterStatus, (const PGconn *conn, const char *paramName), (conn, paramName), )
LIBPQ(OWN, char *, PQerrorMessage, (const PGconn *conn), (conn), )
LIBPQ(OWN, int, PQsocket, (const PGconn *conn), (conn), )
LIBPQ(OWN, int, PQbackendPID, (const PGconn *conn), (conn), )
LIBPQ(STATE, int, PQclientEncoding, (const PGconn *conn), (conn), session->client_encoding)
LIBPQ(USE, int, PQsetClientEncoding, (PGconn *conn, const char *encoding), (conn, encoding), )

/* Authentication and encryption */
LIBPQ(STATE, int, PQconnectionNeedsPassword, (const PGconn *conn), (conn), 0)
LIBPQ(ASK, int, PQconnectionUsedPassword, (const PGconn *conn), (conn), )
LIBPQ(ASK, int, PQconnectionUsedGSSAPI, (const PGconn *conn), (conn), ) /* since 16 */
LIBPQ(ASK, int, PQsslInUse, (PGconn *conn), (conn), )
LIBPQ(ASK, const char *, PQsslAttribute, (PGconn *conn, const char *attribute_name), (conn, attribute_name), )
LIBPQ(ASK, const char *const *, PQsslAttributeNames, (PGconn *conn), (conn), )
LIBPQ(OWN, void *, PQsslStruct, (PGconn *conn, const char *struct_name), (conn, struct_name), )
LIBPQ(OWN, void *, PQgetssl, (PGconn *conn), (conn), )
LIBPQ(ASK, int, PQgssEncInUse, (PGconn *conn), (conn), ) /* since 12 */
LIBPQ(OWN, void *, PQgetgssctx, (PGconn *conn), (conn), ) /* since 12 */
LIBPQ(ASK, int, PQdefaultSSLKeyPassHook_OpenSSL, (char *buf, int size, PGconn *conn), (buf, size, conn), ) /* since 13 */
LIBPQ(ASK, int, PQdefaultAuthDataHook, (int type, PGconn *conn, void *data), (type, conn, data), ) /* since 18 */
LIBPQ(USE, char *, PQencryptPasswordConn, (PGconn *conn, const char *passwd, const char *user, const char *algorithm),
	(conn, passwd, user, algorithm), ) /* since 10 */
LIBPQ(USE, PGresult *, PQchangePassword, (PGconn *conn, const char *user, const char *passwd),
	(conn, user, passwd), ) /* since 17 */

/* Commands that return their result */
LIBPQ(OWN, PGresult *, PQexec, (PGconn *conn, const char *query), (conn, query), )
LIBPQ(OWN, PGresult *, PQexecParams, (PGconn *conn, const char *query, int nParams, const Oid *paramTypes,
	const char *const *paramValues, const int *paramLengths, const int *paramFormats, int resultFormat),
	(conn, query, nParams, paramTypes, paramValues, paramLengths, paramFormats, resultFormat), )
LIBPQ(OWN, PGresult *, PQprepare, (PGconn *conn, const char *statement, const char *query, int nParams,
	const Oid *paramTypes), (conn, statement, query, nParams, paramTypes), )
LIBPQ(OWN, PGresult *, PQexecPrepared, (PGconn *conn, const char *statement, int nParams, const char *const *paramValues,
	const int *paramLengths, const int *paramFormats, int resultFormat),
	(conn, statement, nParams, paramValues, paramLengths, paramFormats, resultFormat), )
LIBPQ(USE, PGresult *, PQdescribePrepared, (PGconn *conn, const char *statement), (conn, statement), )
LIBPQ(USE, PGresult *, PQdescribePortal, (PGconn *conn, const char *portal), (conn, portal), )
LIBPQ(USE, PGresult *, PQclosePrepared, (PGconn *conn, const char *statement), (conn, statement), ) /* since 17 */
LIBPQ(USE, PGresult *, PQclosePortal, (PGconn *conn, const char *portal), (conn, portal), ) /* since 17 */
LIBPQ(USE, PGresult *, PQfn, (PGconn *conn, int fnid, int *result_buf, int *result_len, int result_is_int,
	const PQArgBlock *args, int nargs), (conn, fnid, result_buf, result_len, result_is_int, args, nargs), )

/* Commands whose result is fetched later */
LIBPQ(OWN, int, PQsendQuery, (PGconn *conn, const char *query), (conn, query), )
LIBPQ(OWN, int, PQsendQueryParams, (PGconn *conn, const char *query, int nParams, const Oid *paramTypes,
	const char *const *paramValues, const int *paramLengths, const int *paramFormats, int resultFormat),
	(conn, query, nParams, paramTypes, paramValues, paramLengths, paramFormats, resultFormat), )
LIBPQ(OWN, int, PQsendPrepare, (PGconn *conn, const char *statement, const char *query, int nParams,
	const Oid *paramTypes), (conn, statement, query, nParams, paramTypes), )
LIBPQ(OWN, int, PQsendQueryPrepared, (PGconn *conn, const char *statement, int nParams, const char *const *paramValues,
	const int *paramLengths, const int *paramFormats, int resultFormat),
	(conn, statement, nParams, paramValues, paramLengths, paramFormats, resultFormat), )
LIBPQ(OWN, int, PQsendDescribePrepared, (PGconn *conn, const char *statement), (conn, statement), )
LIBPQ(OWN, int, PQsendDescribePortal, (PGconn *conn, const char *portal), (conn, portal), )
LIBPQ(OWN, int, PQsendClosePrepared, (PGconn *conn, const char *statement), (conn, statement), ) /* since 17 */
LIBPQ(OWN, int, PQsendClosePortal, (PGconn *conn, const char *portal), (conn, portal), ) /* since 17 */
LIBPQ(OWN, int, PQsetSingleRowMode, (PGconn *conn), (conn), )
LIBPQ(OWN, int, PQsetChunkedRowsMode, (PGconn *conn, int chunkSize), (conn, chunkSize), ) /* since 17 */
LIBPQ(OWN, PGresult *, PQgetResult, (PGconn *conn), (conn), )
LIBPQ(OWN, int, PQisBusy, (PGconn *conn), (conn), )
LIBPQ(OWN, int, PQconsumeInput, (PGconn *conn), (conn), )
LIBPQ(OWN, int, PQflush, (PGconn *conn), (conn), )
LIBPQ(OWN, int, PQsetnonblocking, (PGconn *conn, int arg), (conn, arg), )
LIBPQ(OWN, int, PQisnonblocking, (const PGconn *conn), (conn), )

/* Pipeline mode */
LIBPQ(ADD, int, PQenterPipelineMode, (PGconn *conn), (conn), ) /* since 14 */
LIBPQ(STATE, int, PQexitPipelineMode, (PGconn *conn), (conn), 1) /* since 14 */
LIBPQ(ADD, int, PQpipelineSync, (PGconn *conn), (conn), ) /* since 14 */
LIBPQ(ADD, int, PQsendPipelineSync, (PGconn *conn), (conn), ) /* since 17 */
LIBPQ(ADD, int, PQsendFlushRequest, (PGconn *conn), (conn), ) /* since 14 */

/* Cancelling; what PQcancelCreate returns is libpq's own and needs no wrapper */
LIBPQ(OWN, PGcancel *, PQgetCancel, (PGconn *conn), (conn), )
LIBPQ(OWN, void, PQfreeCancel, (PGcancel *cancel), (cancel), )
LIBPQ(OWN, int, PQcancel, (PGcancel *cancel, char *errbuf, int errbufsize), (cancel, errbuf, errbufsize), )
LIBPQ(OWN, int, PQrequestCancel, (PGconn *conn), (conn), )
LIBPQ(OWN, struct pg_cancel_conn *, PQcancelCreate, (PGconn *conn), (conn), ) /* since 17 */

/* Notifications and notices */
LIBPQ(OWN, PGnotify *, PQnotifies, (PGconn *conn), (conn), )
LIBPQ(OWN, PQnoticeReceiver, PQsetNoticeReceiver, (PGconn *conn, PQnoticeReceiver proc, void *arg), (conn, proc, arg), )
LIBPQ(OWN, PQnoticeProcessor, PQsetNoticeProcessor, (PGconn *conn, PQnoticeProcessor proc, void *arg), (conn, proc, arg), )

/* COPY, and its older form */
LIBPQ(ADD, int, PQputCopyData, (PGconn *conn, const char *buffer, int nbytes), (conn, buffer, nbytes), )
LIBPQ(ADD, int, PQputCopyEnd, (PGconn *conn, const char *errormsg), (conn, errormsg), )
LIBPQ(ADD, int, PQgetCopyData, (PGconn *conn, char **buffer, int async), (conn, buffer, async), )
LIBPQ(ADD, int, PQgetline, (PGconn *conn, char *string, int length), (conn, string, length), )
LIBPQ(ADD, int, PQgetlineAsync, (PGconn *conn, char *buffer, int bufsize), (conn, buffer, bufsize), )
LIBPQ(ADD, int, PQputline, (PGconn *conn, const char *string), (conn, string), )
LIBPQ(ADD, int, PQputnbytes, (PGconn *conn, const char *buffer, int nbytes), (conn, buffer, nbytes), )
LIBPQ(ADD, int, PQendcopy, (PGconn *conn), (conn), )

/* Control */
LIBPQ(OWN, PGVerbosity, PQsetErrorVerbosity, (PGconn *conn, PGVerbosity verbosity), (conn, verbosity), )
LIBPQ(OWN, PGContextVisibility, PQsetErrorContextVisibility, (PGconn *conn, PGContextVisibility show_context),
	(conn, show_context), )
LIBPQ(OWN, void, PQtrace, (PGconn *conn, FILE *debug_port), (conn, debug_port), )
LIBPQ(OWN, void, PQsetTraceFlags, (PGconn *conn, int flags), (conn, flags), ) /* since 14 */
LIBPQ(OWN, void, PQuntrace, (PGconn *conn), (conn), )

/* Events */
LIBPQ(OWN, int, PQregisterEventProc, (PGconn *conn, PGEventProc proc, const char *name, void *passThrough),
	(conn, proc, name, passThrough), )
LIBPQ(OWN, int, PQsetInstanceData, (PGconn *conn, PGEventProc proc, void *data), (conn, proc, data), )
LIBPQ(OWN, void *, PQinstanceData, (const PGconn *conn, PGEventProc proc), (conn, proc), )
LIBPQ(OWN, int, PQresultSetInstanceData, (PGresult *res, PGEventProc proc, void *data), (res, proc, data), )
LIBPQ(OWN, void *, PQresultInstanceData, (const PGresult *res, PGEventProc proc), (res, proc), )
LIBPQ(ASK, int, PQfireResultCreateEvents, (PGconn *conn, PGresult *res), (conn, res), )

/* Quoting */
LIBPQ(LOCAL, size_t, PQescapeStringConn, (PGconn *conn, char *to, const char *from, size_t length, int *error),
	(conn, to, from, length, error), )
LIBPQ(LOCAL, char *, PQescapeLiteral, (PGconn *conn, const char *str, size_t len), (conn, str, len), )
LIBPQ(LOCAL, char *, PQescapeIdentifier, (PGconn *conn, const char *str, size_t len), (conn, str, len), )
LIBPQ(LOCAL, unsigned char *, PQescapeByteaConn, (PGconn *conn, const unsigned char *from, size_t from_length,
	size_t *to_length), (conn, from, from_length, to_length), )

/* Large objects */
LIBPQ(USE, int, lo_open, (PGconn *conn, Oid lobjId, int mode), (conn, lobjId, mode), )
LIBPQ(USE, int, lo_close, (PGconn *conn, int fd), (conn, fd), )
LIBPQ(USE, int, lo_read, (PGconn *conn, int fd, char *buf, size_t len), (conn, fd, buf, len), )
LIBPQ(USE, int, lo_write, (PGconn *conn, int fd, const char *buf, size_t len), (conn, fd, buf, len), )
LIBPQ(USE, int, lo_lseek, (PGconn *conn, int fd, int offset, int whence), (conn, fd, offset, whence), )
LIBPQ(USE, pg_int64, lo_lseek64, (PGconn *conn, int fd, pg_int64 offset, int whence), (conn, fd, offset, whence), )
LIBPQ(USE, int, lo_tell, (PGconn *conn, int fd), (conn, fd), )
LIBPQ(USE, pg_int64, lo_tell64, (PGconn *conn, int fd), (conn, fd), )
LIBPQ(USE, int, lo_truncate, (PGconn *conn, int fd, size_t len), (conn, fd, len), )
LIBPQ(USE, int, lo_truncate64, (PGconn *conn, int fd, pg_int64 len), (conn, fd, len), )
LIBPQ(USE, Oid, lo_creat, (PGconn *conn, int mode), (conn, mode), )
LIBPQ(USE, Oid, lo_create, (PGconn *conn, Oid lobjId), (conn, lobjId), )
LIBPQ(USE, int, lo_unlink, (PGconn *conn, Oid lobjId), (conn, lobjId), )
LIBPQ(USE, Oid, lo_import, (PGconn *conn, const char *filename), (conn, filename), )
LIBPQ(USE, Oid, lo_import_with_oid, (PGconn *conn, const char *filename, Oid lobjId), (conn, filename, lobjId), )
LIBPQ(USE, int, lo_export, (PGconn *conn, Oid lobjId, const char *filename), (conn, lobjId, filename), )

/* Results */
LIBPQ(ASK, PGresult *, PQmakeEmptyPGresult, (PGconn *conn, ExecStatusType status), (conn, status), )
LIBPQ(CALL, void, PQclear, (PGresult *res), (res), )
LIBPQ(CALL, ExecStatusType, PQresultStatus, (const PGresult *res), (res), )
LIBPQ(CALL, int, PQntuples, (const PGresult *res), (res), )
LIBPQ(CALL, int, PQnfields, (const PGresult *res), (res), )
LIBPQ(CALL, char *, PQgetvalue, (const PGresult *res, int tup_num, int field_num), (res, tup_num, field_num), )
LIBPQ(CALL, int, PQgetlength, (const PGresult *res, int tup_num, int field_num), (res, tup_num, field_num), )
LIBPQ(CALL, int, PQgetisnull, (const PGresult *res, int tup_num, int field_num), (res, tup_num, field_num), )
LIBPQ(CALL, char *, PQresultErrorField, (const PGresult *res, int fieldcode), (res, fieldcode), )
LIBPQ(CALL, char *, PQresultErrorMessage, (const PGresult *res), (res), )
LIBPQ(CALL, void, PQfreemem, (void *ptr), (ptr), )

/* clang-format on */

#undef LIBPQ
#undef LIBPQ_OWN
#undef LIBPQ_KEPT
#undef LIBPQ_STATE
#undef LIBPQ_USE
#undef LIBPQ_ADD
#undef LIBPQ_LOCAL
#undef LIBPQ_ASK
#undef LIBPQ_CALL
