# Nonsense is said in one line and does no harm: in every PQLEASH_* variable, in what the program passes to libpq,
# and in the surroundings it runs in (no memory, no descriptors, nobody who listens).
use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Handle;
use PqleashTest;
use Socket;
use Steps;
use Test::More;
use Time::HiRes qw(time);

in_cluster('--max-connections', 50);

my $subjects = build_dir() . '/tests/subjects';
# Opens six connections, all at once; says "done" and returns 42 if that went well.
my @six = ("$subjects/exits", 'finish', 'return');
my $object = build_dir() . '/libpqleash.so';

# Where a relative folder does no harm.
chdir tempdir(CLEANUP => 1) or die "chdir: $!";

# The settings, as the header has them.
sub settings
{
	open my $header, '<', root() . '/include/pqleash_settings.h' or die $!;
	local $/ = undef;
	my @settings;
	my $text = <$header>;
	push @settings, { name => "PQLEASH_$1", kind => $2, default => $3, min => $4, max => $5 }
	  while $text =~ /\bSETTING\(\w+, (\w+), ([A-Z]+), "(.*?)", (\d+), (\d+), /g;
	return @settings;
}

# Seconds that a function takes, and what it returns.
sub timed
{
	my ($function) = @_;
	my $begin = time;
	my $result = $function->();
	return (time - $begin, $result);
}

sub direct { my ($env, @command) = @_; return run({ LD_PRELOAD => undef, %$env }, @command) }

# ---- The variables ----

my %allowed = (
	NUMBER => sub { "a whole number from $_[0] to $_[1]" },
	SECONDS => sub { "seconds from $_[0] to $_[1], e.g. 5 or " . ($_[0] ? '7.5' : '0.5') },
	FLAG => sub { '0 or 1' },
	CHOICE => sub { 'lru, ended or never' },
	NAMES => sub { 'names separated by commas, no blanks around them' },
	URL => sub { 'a URL such as postgresql://host/database' },
);
my %nonsense = (
	NUMBER => [ 'three', '-1', '0', '3.5', '9' x 30, ' 3', "3\n4" ],
	SECONDS => [ 'soon', '-1', '5s', '1e3', '9' x 30, '0,5' ],
	FLAG => [ 'yes', '2', 'true', ' ' ],
	CHOICE => [ 'LRU', 'none', 'lru,ended' ],
	NAMES => [ ',', 'a, b', ' ' ],
	URL => [ 'host=secret', 'secret', 'mysql://u:secret@h/d', ' postgresql://secret' ],
);

for my $setting (settings()) {
	my ($name, $kind, $default, $min, $max) = @$setting{qw(name kind default min max)};
	next if !$nonsense{$kind};    # any text is one

	subtest "nonsense in $name" => sub {
		for my $value (@{ $nonsense{$kind} }) {
			my $line = log_size();
			my $result = leashed({ $name => $value }, @six);
			my $shown = $kind eq 'URL' ? '' : '=' . substr($value, 0, 100) =~ s/[\n]/?/gr;
			my $used = length $default ? "$default is used" : 'it is ignored';
			(my $printable = $value) =~ s/\n/\\n/g;

			is($result->{err}, "pqleash: $name$shown is not valid; allowed is " . $allowed{$kind}->($min, $max) . "; $used\n",
				"'$printable': one line names it and what is allowed");
			is("$result->{status} $result->{out}", "42 done\n", '... the program works');
			is(peak_since($line), 3, '... in three connections');
		}
	};
}

for my $setting (settings()) {
	my $name = $setting->{name};

	subtest "empty, and huge: $name" => sub {
		my $line = log_size();
		my $result = leashed({ $name => '' }, @six);
		is($result->{err}, '', 'empty counts as unset: nothing is said');
		is("$result->{status} " . peak_since($line), '42 3', '... and the program works in three connections');

		$line = log_size();
		my $huge = ($setting->{kind} eq 'URL' ? 'postgresql://' : '') . '9' x 100_000;
		$result = leashed({ $name => $huge }, @six);
		like($result->{err}, qr/\A(pqleash: [^\n]{1,400}\n)?\z/, 'huge: one line at most, not all of it');
		return if $setting->{kind} eq 'URL';    # to a host of that name nobody can connect
		is("$result->{status} " . peak_since($line), '42 3', '... and the program works in three connections');
	};
}

subtest 'a URL that only libpq can see is nonsense' => sub {
	my $line = log_size();
	my $result = leashed({ PQLEASH_DATABASE_URL => 'postgresql://u:secret@h/d?nonsense=1' }, @six);
	is($result->{err}, "pqleash: PQLEASH_DATABASE_URL is not a connection URL that libpq accepts; it is ignored\n",
		'it is said once, without the URL');
	is("$result->{status} " . peak_since($line), '42 3', 'and the program gets what it asked for');
};

subtest 'nonsense in PQLEASH' => sub {
	for my $value ('yes', '2', ' 1', '9' x 1000) {
		my $line = log_size();
		my $result = leashed({ PQLEASH => $value, PQLEASH_LIMIT => 'x' }, @six);
		is($result->{err}, 'pqleash: PQLEASH=' . substr($value, 0, 100) . " is not valid; allowed is 0 or 1; it stays off\n",
			'one line says that it stays off');
		is("$result->{status} " . peak_since($line), '42 6', '... and the program has its six connections');
	}
};

subtest 'nonsense everywhere' => sub {
	my %all = map { ($_->{name} => $nonsense{ $_->{kind} } ? $nonsense{ $_->{kind} }[0] : '?') } settings();
	my $line = log_size();
	my $result = leashed(\%all, @six);
	my @lines = split /\n/, $result->{err};
	is(scalar(grep { /^pqleash: PQLEASH_\w+\S* is not valid; allowed is / } @lines),
		scalar(grep { $nonsense{ $_->{kind} } } settings()), 'each variable has its line') or diag($result->{err});
	unlike($result->{err}, qr/secret/, 'none shows the URL');
	is("$result->{status} " . peak_since($line), '42 3', 'and the program works in three connections');
};

# ---- What the program passes to libpq ----

for my $how (qw(connectdb connectStart keywords values startParams)) {
	my $result = leashed({}, "$subjects/nulls", $how);
	is("$result->{status}\n$result->{out}$result->{err}", <<'END', "NULL where libpq would crash ($how): a failed connection");
0
a connection, status 1
message: pqleash: the connection string is NULL

result: PGRES_FATAL_ERROR
socket none, pid 0
database (null)
reset, status 1, poll 0
END
}

for my $how (qw(login conn)) {
	my $direct = direct({}, "$subjects/nulls", $how);
	my $leashed = leashed({}, "$subjects/nulls", $how);
	is("$leashed->{status}\n$leashed->{out}", "$direct->{status}\n$direct->{out}", "NULL that libpq allows ($how)");
}

# ---- A server that does not answer ----

# A port to which no connection is ever made: its listener's queue is full. And one that accepts but is silent.
my @kept_open;

sub listener
{
	my ($queue) = @_;
	socket(my $listener, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
	bind($listener, sockaddr_in(0, INADDR_LOOPBACK)) && listen($listener, $queue) or die "listen: $!";
	push @kept_open, $listener;
	return $listener;
}

sub port_of { return (sockaddr_in(getsockname $_[0]))[0] }

sub fill
{
	my ($listener) = @_;
	for (1 .. 20) {
		socket(my $client, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
		$client->blocking(0);
		connect($client, getsockname $listener);
		push @kept_open, $client;
		vec(my $ready = '', fileno $client, 1) = 1;
		return 1 if !select(undef, $ready, undef, 0.3);
	}
	return;
}

my $blackhole = listener(0);
my $filled = fill($blackhole);
my $silent = port_of(listener(100));
$blackhole = port_of($blackhole);

sub timeout_message
{
	my ($port) = @_;
	return qq{BAD UNKNOWN connection to server at "127.0.0.1", port $port failed: timeout expired\\n};
}

SKIP: {
	skip 'connects to a full queue do not wait here', 1 if !$filled;
	subtest 'a host that cannot be reached' => sub {
		my ($seconds, $result) = timed(sub { play_leashed({}, "open a host=127.0.0.1 port=$blackhole") });
		is($result->{answers}[0], timeout_message($blackhole), "libpq's own message");
		cmp_ok($seconds, '>', 4, 'after five seconds');
		cmp_ok($seconds, '<', 9, '... not much later');
		is($result->{err}, '', 'and nothing else');
		like($result->{counts}, qr/^opened 0, open 0, backends 0/, 'it counts for nothing');
	};
}

# [ what is set, what the program asks for, at least, at most ]
for my $case ([ 2, '', 1, 5 ], [ 2, 'connect_timeout=60', 1, 5 ], [ 2, 'connect_timeout=0', 1, 5 ],
	[ 60, 'connect_timeout=2', 1, 5 ], [ 1.5, '', 1, 5 ])
{
	my ($ours, $theirs, $least, $most) = @$case;
	subtest "PQLEASH_CONNECT_TIMEOUT=$ours, and the program asks for '$theirs'" => sub {
		my $open = "open a host=127.0.0.1 port=$silent $theirs";
		my ($seconds, $result) = timed(sub { play_leashed({ PQLEASH_CONNECT_TIMEOUT => $ours }, $open) });
		is($result->{answers}[0], timeout_message($silent), "libpq's own message");
		cmp_ok($seconds, '>', $least, 'not before the smaller time');
		cmp_ok($seconds, '<', $most, 'nor much later');
	};
}

subtest 'PQping of a server that does not answer' => sub {
	my $ping = "ping host=127.0.0.1 port=$silent connect_timeout=2";
	my ($direct, $leashed) = (play_direct($ping), play_leashed({}, $ping));
	is($direct->{answers}[0], 'NO_RESPONSE', 'libpq says that there is none');
	is(first_difference($direct, $leashed), '', 'and so it does with the object');
	like($leashed->{counts}, qr/^opened 0, open 0, backends 0, peak 0$/, 'which counts no connection');
};

# ---- Surroundings ----

# Runs a command of the shell with libpqleash.so in the programs it starts, not in itself.
sub in_shell
{
	my ($env, $shell) = @_;
	my $preload = join ':', grep { length } $ENV{PQLEASH_TEST_PRELOAD} // '', $object;
	return run({ LD_PRELOAD => undef, %$env }, 'sh', '-c', "leash='env LD_PRELOAD=$preload PQLEASH=1'; $shell");
}

my @closed = ('<&-', '>&-', '2>&-', '<&- >&-', '<&- 2>&-', '>&- 2>&-', '<&- >&- 2>&-');
for my $closed (@closed) {
	subtest "a program started with $closed" => sub {
		my $line = log_size();
		my $before = log_text();
		# All that can be said is said: the lines must not go to a server that has the descriptor's number.
		my $result = in_shell({ PQLEASH_DEBUG => 1, PQLEASH_LIMIT => 2 }, "\$leash $subjects/exits leak return $closed");
		is($result->{status}, 42, 'it works');
		is(peak_since($line), 2, '... on the leash');
		unlike(substr(log_text(), length $before), qr/ (?:FATAL|ERROR):  /, 'the server hears nothing strange');
	};
}

sub log_text
{
	open my $log, '<', $ENV{CLUSTER_LOG} or die $!;
	local $/ = undef;
	return <$log>;
}

subtest 'a program that closes its stderr before it connects' => sub {
	my $line = log_size();
	my $result = leashed({ PQLEASH_DEBUG => 1 }, "$subjects/closes_stderr");
	is("$result->{status} $result->{out}", "0 4 answers\n", 'its sockets get the number, and hear nothing strange');
	is(peak_since($line), 3, 'and it is on the leash');
};

subtest 'few descriptors' => sub {
	for my $descriptors (3 .. 16) {
		my $limit = "ulimit -n $descriptors";
		my $script = { STDIN => join '', map { "open $_ \nexec $_ SELECT 1\nfinish $_\n" } qw(a b c) };
		my $direct = in_shell($script, "$limit; $subjects/steps");
		my $leashed = in_shell($script, "$limit; \$leash $subjects/steps");
		is("$leashed->{status} $leashed->{out}", "$direct->{status} $direct->{out}", "$descriptors: as without the object");
	}
	my $line = log_size();
	my $leashed = in_shell({}, "ulimit -n 10; \$leash $subjects/exits finish return");
	is("$leashed->{status} " . peak_since($line), '42 3', 'six connections fit where without the object they do not');
};

SKIP: {
	skip 'sanitizers need address space', 1 if $ENV{PQLEASH_TEST_PRELOAD};
	subtest 'little memory' => sub {
		my ($worked, $failed, $line) = (0, 0, log_size());
		for (my $megabytes = 8; $megabytes <= 120; $megabytes += 2) {
			my $result = in_shell({}, "ulimit -v @{[ $megabytes * 1024 ]}; \$leash $subjects/exits finish return");
			my $says = $result->{out} . $result->{err};
			if ($result->{status} == 42) {
				$worked++;
			} else {
				$failed++;
				cmp_ok($result->{status}, '<', 128, "$megabytes MB: it does not crash");
				like($says, qr/\S/, "$megabytes MB: somebody says why");
			}
		}
		ok($failed, 'with too little it fails');
		ok($worked, 'with more it works');
		cmp_ok(peak_since($line), '<=', 6, 'never with more connections than without');
	};
}

subtest 'no file may grow' => sub {
	my $line = log_size();
	my $result = in_shell({}, "(ulimit -f 0; \$leash $subjects/exits finish return) | cat");
	is($result->{out}, "done\n", 'that is irrelevant');
	is(peak_since($line), 3, 'on the leash');
};

done_testing();
