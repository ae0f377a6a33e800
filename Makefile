# pqleash: builds the preloaded object and its launcher, and runs everything that checks them.
#   make | make check | make demo | make bench | make soak SECONDS= SEED= | make lint
#   make fuzz SECONDS=60    every target of tests/fuzz for its share of the time; what it crashes on is in build/
#   make install PREFIX= DESTDIR= | make clean
#   make SANITIZE=address,undefined    the same with sanitizers (say BUILD=... to keep both)

BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
SANITIZE ?=
CC ?= cc
CFLAGS ?= -O2 -g
SECONDS ?=
SEED ?=

WARNINGS = -Wall -Wextra -Wshadow -Wmissing-prototypes
LIBPQ_INCLUDE = $(shell pg_config --includedir 2>/dev/null)
LIBPQ_LIBDIR = $(shell pg_config --libdir 2>/dev/null)
COMMON = -std=gnu11 -D_GNU_SOURCE $(WARNINGS) $(CFLAGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer)
OBJECT_FLAGS = $(COMMON) -fPIC -fvisibility=hidden -fexceptions -pthread -Iinclude -isystem $(LIBPQ_INCLUDE)

OBJECTS = $(patsubst shim/preload/%.c,$(BUILD)/preload/%.o,$(wildcard shim/preload/*.c))
COMMAND_OBJECTS = $(patsubst shim/command/%.c,$(BUILD)/command/%.o,$(wildcard shim/command/*.c))
COMMAND_LIBRARIES = -ldw -lelf -ljson-c
UNIT_TESTS = $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/*_test.c))
SUBJECTS = $(patsubst tests/subjects/%.c,$(BUILD)/tests/subjects/%,$(wildcard tests/subjects/*.c)) \
	$(patsubst tests/subjects/%.cpp,$(BUILD)/tests/subjects/%,$(wildcard tests/subjects/*.cpp)) \
	$(patsubst tests/subjects/preloads/%.c,$(BUILD)/tests/subjects/lib%.so,$(wildcard tests/subjects/preloads/*.c)) \
	$(BUILD)/tests/subjects/legacy $(BUILD)/tests/subjects/steps $(BUILD)/tests/subjects/bench \
	$(patsubst tests/subjects/corpus/%.c,$(BUILD)/tests/subjects/corpus/%,$(wildcard tests/subjects/corpus/*.c)) \
	$(patsubst tests/subjects/drivers/%.cpp,$(BUILD)/tests/subjects/drivers/%,$(wildcard tests/subjects/drivers/*.cpp)) \
	$(patsubst tests/subjects/frameworks/%.c,$(BUILD)/tests/subjects/frameworks/%,$(wildcard tests/subjects/frameworks/*_suite.c)) \
	$(addprefix $(BUILD)/tests/subjects/planted/planted_,check cmocka cunit) \
	$(BUILD)/tests/subjects/plugins/one.so $(BUILD)/tests/subjects/plugins/two.so \
	$(BUILD)/tests/subjects/sanitized/address $(BUILD)/tests/subjects/sanitized/thread
PROVE = BUILD=$(BUILD) prove --timer

.PHONY: all subjects unit-tests check check-unit check-e2e check-sanitize check-thread check-valgrind soak fuzz fuzz-targets demo bench \
	lint install clean setup FORCE
all: $(BUILD)/libpqleash.so $(BUILD)/pqleash

# What was built with other flags is built again.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(COMMON)' | cmp -s - $@ || echo '$(CC) $(COMMON)' > $@

# A tail call keeps the caller that RTLD_NEXT looks at: dlsym.c does not work without it. A sanitizer's
# runtime calls dlsym before it is ready for code that it instrumented.
$(BUILD)/preload/dlsym.o $(BUILD)/preload/elf_symbol.o: EXTRA = -O2 -foptimize-sibling-calls -fno-sanitize=all

$(BUILD)/preload/%.o: shim/preload/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(OBJECT_FLAGS) $(EXTRA) -MMD -MP -c -o $@ $<

# It is loaded into every sh, make and grep of a job, most of which never call it: nothing is looked up before it is
# needed, our own functions not at all, and there are few pages to map ("start" in make bench).
SHARED = -shared -Wl,-z,defs -Wl,-z,lazy -Wl,-z,noseparate-code -Wl,-Bsymbolic-functions
$(BUILD)/libpqleash.so: $(OBJECTS)
	$(CC) $(OBJECT_FLAGS) $(SHARED) -o $@ $(OBJECTS)

$(BUILD)/command/html_report.o: shim/command/html_page.html
$(BUILD)/command/%.o: shim/command/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(COMMON) -Iinclude $(if $(TABLES),-Ishim/command $(TABLES)) -MMD -MP -c -o $@ $<

$(BUILD)/pqleash: $(COMMAND_OBJECTS)
	$(CC) $(COMMON) -o $@ $(COMMAND_OBJECTS) $(COMMAND_LIBRARIES)

$(BUILD)/tests/subjects/legacy: $(wildcard tests/subjects/legacy/*.[ch]) $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(COMMON) -isystem $(LIBPQ_INCLUDE) -o $@ $(filter %.c,$^) -L$(LIBPQ_LIBDIR) -lpq

$(BUILD)/tests/subjects/bench: $(wildcard tests/subjects/bench/*.[ch]) $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(COMMON) -isystem $(LIBPQ_INCLUDE) -pthread -o $@ $(filter %.c,$^) -L$(LIBPQ_LIBDIR) -lpq

$(BUILD)/tests/subjects/steps: $(wildcard tests/subjects/steps/*.[ch]) include/pqleash.h $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(COMMON) -Iinclude -isystem $(LIBPQ_INCLUDE) -o $@ $(filter %.c,$^) -L$(LIBPQ_LIBDIR) -lpq

$(BUILD)/tests/subjects/%: tests/subjects/%.cpp $(BUILD)/flags
	@mkdir -p $(@D)
	$(CXX) -std=c++17 -Wall -Wextra -Wshadow $(CFLAGS) -isystem $(LIBPQ_INCLUDE) -pthread -o $@ $< -L$(LIBPQ_LIBDIR) -lpq

$(BUILD)/tests/subjects/drivers/%: tests/subjects/drivers/%.cpp $(BUILD)/flags
	@mkdir -p $(@D)
	$(CXX) -std=c++17 -Wall -Wextra -Wshadow $(CFLAGS) -isystem $(LIBPQ_INCLUDE) -pthread -o $@ $< -lpqxx -lpq

$(addprefix $(BUILD)/tests/subjects/,frameworks/check_suite planted/planted_check): FRAMEWORK = $(shell pkgconf --libs check 2>/dev/null || echo -lcheck)
$(addprefix $(BUILD)/tests/subjects/,frameworks/cunit_suite planted/planted_cunit): FRAMEWORK = -lcunit
$(addprefix $(BUILD)/tests/subjects/,frameworks/cmocka_suite planted/planted_cmocka): FRAMEWORK = -lcmocka
$(BUILD)/tests/subjects/frameworks/%: tests/subjects/frameworks/%.c $(wildcard tests/subjects/frameworks/leaky.[ch]) $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(COMMON) -isystem $(LIBPQ_INCLUDE) -o $@ $(filter %.c,$^) -L$(LIBPQ_LIBDIR) -lpq $(FRAMEWORK)

$(BUILD)/tests/subjects/planted/%: tests/subjects/planted/%.c tests/subjects/planted/planted.h $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(COMMON) -isystem $(LIBPQ_INCLUDE) -o $@ $< -L$(LIBPQ_LIBDIR) -lpq $(FRAMEWORK)

$(BUILD)/tests/subjects/plugins/%.so: tests/subjects/plugins/plugin.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(OBJECT_FLAGS) -shared -o $@ $< -L$(LIBPQ_LIBDIR) -lpq

$(BUILD)/tests/subjects/sanitized/%: tests/subjects/sanitized/leaks.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(filter-out -fsanitize=%,$(COMMON)) -fsanitize=$* -isystem $(LIBPQ_INCLUDE) -pthread -o $@ $< -L$(LIBPQ_LIBDIR) -lpq

$(BUILD)/tests/subjects/lib%.so: tests/subjects/preloads/%.c tests/subjects/preloads/code_of.h $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(OBJECT_FLAGS) -shared -o $@ $<

# A subject that names no libpq function is not linked with libpq: it opens one by itself.
$(BUILD)/tests/subjects/%: tests/subjects/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(COMMON) -Iinclude -isystem $(LIBPQ_INCLUDE) -MMD -MP -pthread -rdynamic -o $@ $< -L$(LIBPQ_LIBDIR) -Wl,--as-needed -lpq

# The command's, with all of it but main.
$(BUILD)/tests/unit/command_%: tests/unit/command_%.c $(COMMAND_OBJECTS) $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(COMMON) -Iinclude -Ishim/command -MMD -MP -o $@ $< $(filter-out %/pqleash.o,$(COMMAND_OBJECTS)) $(COMMAND_LIBRARIES) -lcmocka

# A unit test is linked with the whole object, so that it may call what is hidden in it.
$(BUILD)/tests/unit/%: tests/unit/%.c $(OBJECTS) $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(COMMON) -Iinclude -Ishim/preload -isystem $(LIBPQ_INCLUDE) -MMD -MP -pthread -o $@ $< $(OBJECTS) -L$(LIBPQ_LIBDIR) -lpq -lcmocka

# Fuzz targets: of the preloaded object, and of the command, whose memory is forgotten after each input.
FUZZ_COMMAND = trace baseline
FUZZ_TARGETS = $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/%,$(filter-out %/forgetful.c,$(wildcard tests/fuzz/*.c)))
FUZZER = $(COMMON) -fsanitize=fuzzer -Iinclude

$(addprefix $(BUILD)/tests/fuzz/,$(FUZZ_COMMAND)): $(BUILD)/tests/fuzz/%: tests/fuzz/%.c tests/fuzz/forgetful.c tests/fuzz/forgetful.h $(COMMAND_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(FUZZER) -Ishim/command -o $@ $(filter %.c,$^) $(filter-out %/pqleash.o %/intern.o %/symbols.o,$(COMMAND_OBJECTS)) $(COMMAND_LIBRARIES)

$(BUILD)/tests/fuzz/%: tests/fuzz/%.c $(OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(FUZZER) -Ishim/preload -isystem $(LIBPQ_INCLUDE) -pthread -o $@ $< $(OBJECTS) -L$(LIBPQ_LIBDIR) -lpq

-include $(wildcard $(BUILD)/preload/*.d $(BUILD)/command/*.d $(BUILD)/tests/*/*.d $(BUILD)/tests/*/*/*.d)

setup:
	scripts/setup

check: setup
	+$(MAKE) check-unit check-e2e

subjects: $(SUBJECTS)
unit-tests: $(UNIT_TESTS)

check-unit: all unit-tests
	CMOCKA_MESSAGE_OUTPUT=TAP $(PROVE) -e '' $(UNIT_TESTS)
	$(PROVE) $(wildcard tests/unit/*.t)

check-e2e: all subjects
	$(PROVE) $(wildcard tests/e2e/*.t)

# The tests that drive the object hardest, with every memory error fatal. Leaks are valgrind's business: here
# they would be those of psql and perl; the command keeps what it reads to its end, and in a set-user-id program
# nobody may look for leaks.
KEEPING_TESTS = $(filter %/command_symbols_test %/settings_test,$(UNIT_TESTS))
SANITIZED = $(addprefix tests/e2e/,legacy.t state.t hostile_state.t hostile_server.t reclaim.t finish.t targets.t exits.t \
	transparent.t event_loop.t cancel.t report.t gate.t trace.t fork.t server_faults.t faults.t)
check-sanitize:
	+$(MAKE) BUILD=$(BUILD)/sanitize SANITIZE=address,undefined CFLAGS='-O1 -g' all subjects unit-tests
	CMOCKA_MESSAGE_OUTPUT=TAP prove --timer -e '' $(patsubst $(BUILD)/%,$(BUILD)/sanitize/%,$(filter-out $(KEEPING_TESTS),$(UNIT_TESTS)))
	CMOCKA_MESSAGE_OUTPUT=TAP ASAN_OPTIONS=detect_leaks=0 prove --timer -e '' $(patsubst $(BUILD)/%,$(BUILD)/sanitize/%,$(KEEPING_TESTS))
	BUILD=$(BUILD)/sanitize PQLEASH_TEST_PRELOAD=$$($(CC) -print-file-name=libasan.so) \
		ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=halt_on_error=1 prove --timer $(SANITIZED)

# Every data race in the object is fatal.
THREADED = $(addprefix $(BUILD)/thread/tests/subjects/,threads queue cancels)
check-thread:
	+$(MAKE) BUILD=$(BUILD)/thread SANITIZE=thread CFLAGS='-O1 -g' all $(THREADED)
	BUILD=$(BUILD)/thread PQLEASH_TEST_PRELOAD=$$($(CC) -print-file-name=libtsan.so) \
		TSAN_OPTIONS=halt_on_error=1 prove --timer tests/e2e/threads.t tests/e2e/cancel.t

VALGRIND = valgrind --quiet --leak-check=full --errors-for-leak-kinds=definite --error-exitcode=9
GRIND = legacy starved 'event_loop epoll 10 5' 'threads 6 12 100' $(addprefix corpus/,async_many events notify cancel \
	connect_start reset_start pipelines_at_once error_messages copy_in large_objects)
check-valgrind: all subjects
	scripts/cluster --max-connections 50 -- env PQLEASH=1 PQLEASH_LIMIT=2 LD_PRELOAD=$$PWD/$(BUILD)/libpqleash.so sh -ec \
		"for subject in $(GRIND); do echo \$$subject; $(VALGRIND) $(BUILD)/tests/subjects/\$$subject >/dev/null; done"

# Programs at random, with trouble; SEED= repeats the plan of another run.
soak: setup
	+$(MAKE) all subjects
	BUILD=$(BUILD) scripts/soak $(or $(SECONDS),1800) $(SEED)

# Tables of uthash are memory like any other that a report keeps until it ends.
fuzz-targets: $(FUZZ_TARGETS)
FUZZ_FLAGS = -O1 -g -fno-sanitize-recover=all
fuzz: setup
	+$(MAKE) BUILD=$(BUILD)/fuzz CC=clang SANITIZE=fuzzer-no-link,address,undefined CFLAGS='$(FUZZ_FLAGS)' \
		TABLES="-include intern.h '-Duthash_malloc(size)=keep(size)' '-Duthash_free(table,size)=((void)0)'" fuzz-targets
	scripts/cluster --max-connections 20 -- scripts/fuzz --seconds $(or $(SECONDS),60) $(BUILD)/fuzz

demo: setup
	+$(MAKE) all $(BUILD)/tests/subjects/legacy
	scripts/demo $(BUILD)

# What BENCH says is given to scripts/bench: BENCH='--only churn,trace'.
bench: setup
	+$(MAKE) all $(BUILD)/tests/subjects/bench $(BUILD)/tests/subjects/legacy $(BUILD)/tests/subjects/libempty.so
	scripts/bench $(BENCH) $(BUILD)

lint: setup
	scripts/lint

install: all
	install -D -m 755 $(BUILD)/libpqleash.so $(DESTDIR)$(PREFIX)/lib/libpqleash.so
	install -D -m 755 $(BUILD)/pqleash $(DESTDIR)$(PREFIX)/bin/pqleash
	install -D -m 644 include/pqleash.h $(DESTDIR)$(PREFIX)/include/pqleash.h
	install -D -m 644 shim/command/pqleash.1 $(DESTDIR)$(PREFIX)/share/man/man1/pqleash.1

clean:
	rm -rf $(BUILD)
