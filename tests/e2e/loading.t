# The promise: however a program comes to libpq, and whatever else is preloaded, it is leashed and sees nothing of
# it; and a program that never comes to libpq pays for nothing.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;
use Test::More;

in_cluster('--max-connections', 60);

my $object = build_dir() . '/libpqleash.so';
my $subjects = build_dir() . '/tests/subjects';
my $loads = "$subjects/loads";
my ($one, $two) = map { "$subjects/plugins/$_.so" } qw(one two);

# Runs it with these preloads, and PQLEASH=1 if the object is among them.
sub preloaded
{
	my ($preloads, $env, @command) = @_;
	my @preloads = grep { length } $ENV{PQLEASH_TEST_PRELOAD} // '', @$preloads;
	my $on = grep { $_ eq $object } @preloads;
	return run({ LD_PRELOAD => join(':', @preloads), PQLEASH => $on ? 1 : undef, %$env }, @command);
}

sub no_connections
{
	wait_until(sub { server_connections() == 0 }, 30, 'no connection is left');
	return;
}

# The same output with and without the object, which is there: the limit is kept where it was not.
sub same_output
{
	my ($env, @command) = @_;
	no_connections();
	my $line = log_size();
	my $direct = run({ LD_PRELOAD => undef, PQLEASH => undef, %$env }, @command);
	is($direct->{status}, 0, 'directly, it succeeds') or diag($direct->{out}, $direct->{err});
	cmp_ok(peak_since($line), '>', 3, '... with many connections');
	no_connections();
	$line = log_size();
	my $leashed = leashed($env, @command);
	is($leashed->{status}, 0, 'with the object, it succeeds') or diag($leashed->{err});
	is($leashed->{out}, $direct->{out}, '... with the same output');
	is(peak_since($line), 3, '... with as many connections as it may');
	return $leashed;
}

# ---- Plugins ----

subtest 'a plugin, opened RTLD_LOCAL, brings libpq to a program without' => sub {
	my $result = same_output({}, $loads, 'open', $one, 'leak', $one, 20, 'check', $one,
		'find', 'default', 'PQexec', 'find', 'program', 'PQexec');
	like($result->{out}, qr/\A20 answered\n20 still there\nPQexec not found.*\nPQexec not found/, 'whose own view stays the same');
};

subtest 'two plugins share one pool' => sub {
	same_output({}, $loads, 'open', $one, 'leak', $one, 10, 'open', $two, 'leak', $two, 10, 'check', $one, 'check', $two);
};

subtest 'a plugin is closed while another goes on' => sub {
	same_output({}, $loads, 'open', $one, 'open', $two, 'leak', $one, 10, 'leak', $two, 10, 'close', $one,
		'check', $two, 'leak', $two, 10, 'check', $two);
};

subtest 'the plugin that came first is closed before the second is opened' => sub {
	same_output({}, $loads, 'open', $one, 'leak', $one, 10, 'close', $one, 'open', $two, 'leak', $two, 10, 'check', $two);
};

subtest 'a plugin is closed and opened again' => sub {
	same_output({}, $loads, map({ ('open', $one, 'leak', $one, 10, 'check', $one, 'close', $one) } 1 .. 3));
};

# ---- Functions that are looked up ----

my $libpq = 'libpq.so.5';

subtest 'functions looked up in a libpq, and through what brought it' => sub {
	same_output({}, $loads, 'open', $libpq, 'leak-by', $libpq, 20);
	same_output({}, $loads, 'open', $one, 'leak-by', $one, 20);
};

subtest 'LuaJIT looks libpq functions up (ffi)' => sub {
	plan skip_all => 'no luajit' if run({}, 'luajit', '-v')->{status};
	same_output({}, 'luajit', root() . '/tests/subjects/drivers/luajit_leak.lua', 30);
};

subtest 'dlerror is as without the object' => sub {
	my @names = (qw(PQexec PQconnectdb PQgetvalue PQcancelCreate PQnever lo_open lo_never malloc));
	my @finds = map { my $name = $_; map { ('find', $_, $name) } 'default', 'program', $libpq, $one } @names;
	my @versions = map { my $name = $_; map { ('version', $_, $name, 'GLIBC_2.2.5') } 'default', 'program', $libpq } @names;
	my @command = ($loads, 'open', $libpq, 'open', $one, @finds, @versions, 'leak', $one, 1, @finds, @versions);
	my $direct = run({ LD_PRELOAD => undef, PQLEASH => undef }, @command);
	my $leashed = leashed({}, @command);
	is($leashed->{out}, $direct->{out}, 'found or not, silent or not');
	is($leashed->{status}, 0, 'to the end');
};

subtest 'a program without libpq finds none' => sub {
	my @command = ($loads, map { ('find', $_, 'PQexec', 'find', $_, 'lo_open') } qw(default program));
	my $leashed = leashed({}, @command);
	is($leashed->{out}, "PQexec not found, dlerror speaks, then is silent\nlo_open not found, dlerror speaks, then is silent\n" x 2,
		'not even the wrappers');
	is($leashed->{out}, run({ LD_PRELOAD => undef }, @command)->{out}, 'as without the object');
};

# ---- Other preloads ----

# With the other preload alone, and with the object before and behind it.
sub beside
{
	my ($other, $env, @command) = @_;
	my $peaks = ref $command[0] ? shift @command : {};
	no_connections();
	my $alone = preloaded([$other], $env, @command);
	is($alone->{status}, 0, 'alone, it works') or diag($alone->{err});
	for my $order ([ 'behind', $other, $object ], [ 'in front of', $object, $other ]) {
		my ($where, @preloads) = @$order;
		no_connections();
		my $line = log_size();
		my $result = preloaded(\@preloads, $env, @command);
		is($result->{status}, 0, "$where it: it works") or diag($result->{err});
		is($result->{out}, $alone->{out}, '... with the same output');
		is(peak_since($line), $peaks->{$where} // 3, '... and the object, too');
	}
	return $alone;
}

subtest 'libeatmydata' => sub {
	my $eatmydata = 'libeatmydata.so';
	plan skip_all => 'no libeatmydata' if preloaded([$eatmydata], {}, $loads, 'fsync')->{out} ne "0\n";
	is(run({ LD_PRELOAD => undef }, $loads, 'fsync')->{out}, "-1\n", 'without it, fsync fails');
	my $result = beside($eatmydata, {}, $loads, 'fsync', 'open', $one, 'leak', $one, 20, 'fsync');
	is($result->{out}, "0\n20 answered\n0\n", 'with it, fsync does nothing');
};

subtest 'a preload that interposes dlsym, too' => sub {
	# It asks libc's dlsym by version, as such preloads do: only one behind us cannot lead past us.
	my $result = beside("$subjects/libdlsym.so", {}, { behind => 20 }, $loads, 'open', $libpq, 'leak-by', $libpq, 20);
	is($result->{out}, "dlsym: interposed\n20 answered\n", 'it is asked') or diag($result->{err});
};

# gcc's file of that name, or its bare name.
sub runtime
{
	my ($name) = @_;
	chomp(my $file = qx(gcc -print-file-name=$name));
	return $file;
}

for my $sanitizer ([ 'AddressSanitizer', 'libasan.so', 'address' ], [ 'ThreadSanitizer', 'libtsan.so', 'thread' ]) {
	my ($name, $runtime, $program) = @$sanitizer;

	subtest "the runtime of $name" => sub {
		my $command = "$subjects/sanitized/$program";
		my $file = runtime($runtime);
		my $env = { ASAN_OPTIONS => 'verify_asan_link_order=0:detect_leaks=0', TSAN_OPTIONS => 'report_bugs=0' };
		plan skip_all => "no $name here" if run({ LD_PRELOAD => undef, PQLEASH => undef }, $command, 0)->{status};
		same_output($env, $command, 5);
		beside($file, $env, $command, 5);
	};
}

subtest 'AddressSanitizer still finds what is wrong with the program' => sub {
	my @command = ("$subjects/sanitized/address", 5, 'overflow');
	plan skip_all => 'no AddressSanitizer here' if run({ LD_PRELOAD => undef, PQLEASH => undef }, $command[0], 0)->{status};
	my $result = preloaded([ runtime('libasan.so'), $object ], {}, @command);
	like($result->{out}, qr/\A20 answered\n/, 'the program runs');
	like($result->{err}, qr/ERROR: AddressSanitizer: heap-buffer-overflow.*leaks\.c/s, 'and is caught');
};

# ---- Ways out of a call ----

subtest 'an exception in a notice receiver, and a cancelled thread' => sub {
	my $command = "$subjects/drivers/throws";
	my $direct = run({ LD_PRELOAD => undef, PQLEASH => undef }, $command);
	like($direct->{out}, qr/^caught: refused$/m, 'directly, it is caught');
	for my $limit (2, 3) {
		no_connections();
		my $leashed = leashed({ PQLEASH_LIMIT => $limit }, $command);
		is($leashed->{out}, $direct->{out}, "limit $limit: the same") or diag($leashed->{err});
	}
};

# ---- The loader's lock ----

subtest 'a constructor connects while another thread does' => sub {
	my @program = ("$subjects/constructors", "$subjects/libconnects_early.so");
	for my $env ({ LD_PRELOAD => undef }, { LD_PRELOAD => join(':', grep { length } $ENV{PQLEASH_TEST_PRELOAD} // '', $object), PQLEASH => 1 }) {
		my $result = run({ %$env, TIMEOUT => 30 }, @program);
		is(join('', sort split /^/, $result->{out}), "constructor: connected\nthread: connected\n",
			$env->{PQLEASH} ? 'with us as without' : 'both connect') or diag($result->{err});
		is($result->{status}, 0, '... and the program ends');
	}
};

# ---- What it costs a program that never comes to libpq ----

sub system_calls
{
	my ($preload) = @_;
	my $result = run({ LD_PRELOAD => undef, PQLEASH => 1 }, 'strace', '-f', '-o', '|cat >&1', '-E', "LD_PRELOAD=$preload", '/bin/true');
	my %count;
	$count{$_}++ for $result->{out} =~ /^(?:\d+\s+)?(\w+)\(/mg;
	return \%count;
}

subtest 'start-up' => sub {
	plan skip_all => 'for the object alone' if $ENV{PQLEASH_TEST_PRELOAD};
	my $empty = system_calls("$subjects/libempty.so");
	plan skip_all => 'no strace here' if !$empty->{execve};
	cmp_ok($empty->{openat} // 0, '>=', 2, 'strace sees them');
	my $ours = system_calls($object);
	is_deeply([ grep { $ours->{$_} > ($empty->{$_} // 0) } sort keys %$ours ], [], 'no more system calls than with an empty preload');
	my $maps = leashed({}, 'cat', '/proc/self/maps')->{out};
	like($maps, qr{/libpqleash\.so$}m, 'the object is in a program without libpq');
	unlike($maps, qr{/lib(?:pq|ssl|crypto|gssapi_krb5)[.-]}, '... and nothing else has come with it');
};

done_testing();
