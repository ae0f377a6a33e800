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
#include <pthread.h>
#include <stdint.h>

/* openssl/crypto.h; earlier releases than 1.1.1b do not know it, and ignore it. */
#define OPENSSL_INIT_NO_ATEXIT UINT64_C(0x00080000)

static struct {
	int (*OPENSSL_init_crypto)(uint64_t options, const void *settings);
	int (*OPENSSL_atexit)(void (*handler)(void));
	void (*OPENSSL_cleanup)(void);
} openssl;
static bool found, tells;
static void (*close_all)(void);

static void look_up(void *libpq)
{
	*(void **)&openssl.OPENSSL_init_crypto = real_dlsym(libpq, "OPENSSL_init_crypto");
	*(void **)&openssl.OPENSSL_atexit = real_dlsym(libpq, "OPENSSL_atexit");
	*(void **)&openssl.OPENSSL_cleanup = real_dlsym(libpq, "OPENSSL_cleanup");
	found = openssl.OPENSSL_init_crypto && openssl.OPENSSL_atexit && openssl.OPENSSL_cleanup;
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
	if (found)
		openssl.OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
}

void openssl_prepare(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, prepare);
}

static void ask_to_be_told(void)
{
	tells = found && openssl.OPENSSL_atexit(close_all) == 1;
}

void openssl_before_cleanup(void (*close_encrypted)(void))
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	if (__atomic_load_n(&tells, __ATOMIC_RELAXED))
		return;
	close_all = close_encrypted;
	pthread_once(&once, ask_to_be_told);
}

bool openssl_tells(void)
{
	return tells;
}

void openssl_end(void)
{
	if (found)
		openssl.OPENSSL_cleanup();
}
