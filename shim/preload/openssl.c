/*
 * The end of OpenSSL. By itself it cleans up in an exit handler, which runs before the program's own
 * that were registered earlier, and before the destructors of most static objects. With libpq alone
 * those can still use an encrypted connection, at least as long as no new one is needed; so here it
 * is put off to our own end. Looked up in what libpq was linked with: we link no OpenSSL and load
 * none, and all of it is left alone where one of the three functions is missing.
 */
#include "openssl.h"
#include "dlsym.h"
#include "libpq.h"

#include <dlfcn.h>
#include <stdint.h>

/* openssl/crypto.h; earlier releases than 1.1.1b do not know it, and ignore it. */
#define OPENSSL_INIT_NO_ATEXIT UINT64_C(0x00080000)

/*
 * Looked up without a lock or pthread_once: the loader has one, which a constructor that connects
 * holds already. Who comes at the same time finds the same, and asks OpenSSL for the same.
 */
typedef int init_function(uint64_t options, const void *settings);
typedef int at_exit_function(void (*handler)(void));
typedef void cleanup_function(void);
static init_function *init_crypto;
static at_exit_function *at_exit;
static cleanup_function *cleanup;
static bool looked, asked, tells;

static void look_up(void *libpq)
{
	void *init = real_dlsym(libpq, "OPENSSL_init_crypto");
	void *exits = real_dlsym(libpq, "OPENSSL_atexit");
	void *cleans = real_dlsym(libpq, "OPENSSL_cleanup");

	if (!init || !exits || !cleans)
		return;
	__atomic_store_n((void **)&at_exit, exits, __ATOMIC_RELAXED);
	__atomic_store_n((void **)&cleanup, cleans, __ATOMIC_RELAXED);
	__atomic_store_n((void **)&init_crypto, init, __ATOMIC_RELEASE);
}

static void prepare(void)
{
	Dl_info info;

	if (!dladdr((void *)REAL(PQconnectdb), &info))
		return;
	void *libpq = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
	if (libpq) {
		look_up(libpq);
		dlclose(libpq);
	}
	/* What was not found is no error of the program, which may ask dlerror next. */
	dlerror();
	init_function *init = __atomic_load_n(&init_crypto, __ATOMIC_ACQUIRE);
	if (init)
		init(OPENSSL_INIT_NO_ATEXIT, NULL);
}

void openssl_prepare(void)
{
	if (__atomic_load_n(&looked, __ATOMIC_ACQUIRE))
		return;
	prepare();
	__atomic_store_n(&looked, true, __ATOMIC_RELEASE);
}

void openssl_before_cleanup(void (*close_encrypted)(void))
{
	at_exit_function *tell = __atomic_load_n(&at_exit, __ATOMIC_ACQUIRE);

	if (tell && !__atomic_exchange_n(&asked, true, __ATOMIC_RELAXED))
		__atomic_store_n(&tells, tell(close_encrypted) == 1, __ATOMIC_RELAXED);
}

bool openssl_tells(void)
{
	return __atomic_load_n(&tells, __ATOMIC_RELAXED);
}

void openssl_end(void)
{
	cleanup_function *end = __atomic_load_n(&cleanup, __ATOMIC_ACQUIRE);

	if (end)
		end();
}
