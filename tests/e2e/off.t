# Where the object has nothing to do it does nothing: while it is switched off libpq gets the same calls in the
# same order; programs without libpq run as ever; and other preloads beside it see what they saw without it.
use strict;
use warnings;

use File::Temp;
use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;
use Test::More;

in_cluster('--max-connections', 300);

my $object = build_dir() . '/libpqleash.so';
my $subjects = build_dir() . '/tests/subjects';
my $legacy = "$subjects/legacy";
my $counting = "$subjects/libcounting.so";
my $next = "$subjects/libnext.so";
my $folder = File::Temp->newdir;
chomp(my $psql = qx(pg_config --bindir));
$psql .= '/psql';

my $script = <<'END';
\d
\d pg_class
\conninfo
SELECT 1 AS one \gset
\copy (SELECT generate_series(1, :one + 2)) TO STDOUT
BEGIN;
SELEC;
\errverbose
ROLLBACK;
\c
DO $$ BEGIN RAISE NOTICE 'hello'; END $$;
END
my @psql = ({ STDIN => $script }, $psql, '-X');
# All that is of interest, without those that wait for the server in a loop: how often is a matter of luck.
my @suites = ({}, $legacy, qw(accounts orders tenants preferences pricing imports transfers billing));

sub preloads { return join ':', grep { length } $ENV{PQLEASH_TEST_PRELOAD} // '', @_ }

# Runs the command with these preloads; returns the names of the libpq functions that were called behind them,
# and what the command said.
sub calls
{
	my ($preloads, $env, $command_env, @command) = @_;
	my $log = "$folder/calls.log";
	my $result = run({ LD_PRELOAD => preloads(@$preloads, $counting), COUNTING_LOG => $log, PQLEASH => undef,
			%$command_env, %$env }, @command);
	open my $file, '<', $log or die "$log: $!";
	die "$log: there is no end to these calls" if -s $file > 64 << 20;
	chomp(my @names = <$file>);
	unlink $log;
	return (\@names, $result);
}

# As is_deeply, but says only where two long lists part.
sub same_calls
{
	my ($got, $expected, $promise) = @_;
	my ($first) = grep { ($got->[$_] // '') ne ($expected->[$_] // '') } 0 .. ($#$got > $#$expected ? $#$got : $#$expected);
	ok(!defined $first, $promise)
	  or diag("call $first is ", $got->[$first] // 'missing', ', not ', $expected->[$first] // 'there');
	return;
}

for my $program ([ 'psql', @psql ], [ 'a leaky program', @suites ]) {
	my ($name, @command) = @$program;
	my ($expected, $direct) = calls([], {}, @command);

	subtest "switched off, $name calls libpq as ever" => sub {
		cmp_ok(scalar @$expected, '>', 100, 'it makes many calls');
		my ($on) = calls([$object], { PQLEASH => 1 }, @command);
		isnt("@$on", "@$expected", 'switched on, they would be others');

		my %ways = (
			'PQLEASH is not set' => {},
			'PQLEASH is 0' => { PQLEASH => 0 },
			'PQLEASH is empty' => { PQLEASH => '' },
			'it is in PQLEASH_SKIP' => { PQLEASH => 1, PQLEASH_SKIP => 'other,psql,legacy' },
			'it is off and all else is nonsense' => { map { ("PQLEASH_$_" => 'nonsense') } qw(LIMIT RECLAIM DATABASE_URL) },
		);
		for my $way (sort keys %ways) {
			my ($calls, $result) = calls([$object], $ways{$way}, @command);
			same_calls($calls, $expected, "$way: the same calls in the same order");
			is("$result->{status}\n$result->{out}", "$direct->{status}\n$direct->{out}", "$way: the same output");
			is($result->{err}, $direct->{err}, "$way: and nothing more on stderr");
		}

		my ($calls, $result) = calls([$object], { PQLEASH => 'yes' }, @command);
		same_calls($calls, $expected, 'PQLEASH is nonsense: the same calls');
		is($result->{err}, "pqleash: PQLEASH=yes is not valid; allowed is 0 or 1; it stays off\n$direct->{err}",
			'PQLEASH is nonsense: one line says that it stays off');
	};
}

# ---- Programs without libpq ----

sub found { return grep { -x "$_/$_[0]" } split /:/, $ENV{PATH} }

my $c_text = "#include <stdio.h>\nint main(void) { return puts(\"hello\") < 0; }\n";
my @programs = (
	[ {}, 'true' ],
	[ {}, 'false' ],
	[ {}, 'sh', '-c', 'echo said; echo complained >&2; exit 7' ],
	[ {}, 'sh', '-c', 'for i in 1 2 3; do (echo $i | cat); done | sort -r' ],
	[ {}, 'sh', '-c', 'kill -TERM $$' ],
	[ {}, 'env', 'A=b', 'printenv', 'A', 'PQLEASH' ],
	[ {}, 'ls', '/nowhere' ],
	[ { STDIN => "b\na\n" }, 'sort' ],
	[ {}, 'gcc', '--version' ],
	[ { STDIN => $c_text }, 'gcc', '-S', '-o', '-', '-x', 'c', '-' ],
	[ {}, 'make', '-f', '/dev/null' ],
	[ {}, 'git', '--version' ],
	[ {}, 'perl', '-e', 'print "$0 @ARGV\n"; exit 3', 'word' ],
	[ {}, 'python3', '-c', 'import sys, threading; print(sys.argv); sys.exit(5)' ],
);
my %nonsense = map { ("PQLEASH_$_" => 'nonsense') }
  qw(LIMIT JOB_LIMIT POOL_TIMEOUT CONNECT_TIMEOUT RECLAIM STATEMENT_TIMEOUT DATABASE_URL PGBOUNCER TRACE
  ERROR_EXITCODE SUITE SKIP DEBUG);

for my $program (@programs) {
	my ($env, @command) = @$program;

	next if !found($command[0]);
	subtest "a program without libpq: @command" => sub {
		for my $variables ({ PQLEASH => 1 }, { PQLEASH => 1, %nonsense }) {
			my $name = $variables->{PQLEASH_LIMIT} ? 'nonsense in all other variables' : 'on';
			my $direct = run({ LD_PRELOAD => undef, %$env, %$variables }, @command);
			my $leashed = leashed({ %$env, %$variables }, @command);
			is($leashed->{status}, $direct->{status}, "$name: the same status");
			is($leashed->{out}, $direct->{out}, "$name: the same output");
			is($leashed->{err}, $direct->{err}, "$name: the same on stderr");
		}
	};
}

subtest 'what it brings into a program' => sub {
	my $maps = leashed({}, 'cat', '/proc/self/maps')->{out};
	like($maps, qr{/libpqleash\.so$}m, 'itself');
	unlike($maps, qr{/lib(?:pq|ssl|crypto|ldap|gssapi_krb5)\.so}, 'not libpq, nor what libpq brings');
};

# ---- Other preloads, and those who look functions up by themselves ----

for my $order ([ 'before', $next, $object ], [ 'behind', $object, $next ]) {
	my ($where, @preloads) = @$order;

	subtest "another preload $where this one" => sub {
		for my $on (0, 1) {
			my $line = log_size();
			my $result = run({ LD_PRELOAD => preloads(@preloads), PQLEASH => $on }, "$subjects/exits", 'finish', 'return');
			is($result->{out}, "next: done\n", "RTLD_NEXT is looked up from there, PQLEASH=$on") or diag($result->{err});
			is(peak_since($line), $on ? 3 : 6, "and PQLEASH=$on does what it should");
		}
	};
}

for my $how (qw(local global default)) {
	subtest "a libpq function that the program looks up itself, $how" => sub {
		my $line = log_size();
		my $leashed = leashed({}, "$subjects/dlopens", $how, 30);
		is($leashed->{out}, "PQconnectdb is in libpqleash.so\n30 answered\n", 'switched on, it is the wrapper');
		is(peak_since($line), 3, 'and 30 leaked connections are 3 at the server');

		$line = log_size();
		my $off = leashed({ PQLEASH => 0 }, "$subjects/dlopens", $how, 30);
		like($off->{out}, qr/\APQconnectdb is in libpq\.so\S*\n30 answered\n\z/, 'switched off, it is the real one');
		wait_until(sub { server_connections() == 0 }, 10, 'no connection is left');
		is(peak_since($line), 30, 'and they are 30');
	};
}

subtest 'Python looks libpq functions up (ctypes)' => sub {
	plan skip_all => 'no python3 with ctypes' if run({}, 'python3', '-c', 'import ctypes')->{status};
	my $python = <<'END';
import ctypes
libpq = ctypes.CDLL("libpq.so.5")
libpq.PQconnectdb.restype = libpq.PQexec.restype = ctypes.c_void_p
libpq.PQexec.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
libpq.PQresultStatus.argtypes = [ctypes.c_void_p]
print(sum(libpq.PQresultStatus(libpq.PQexec(libpq.PQconnectdb(b""), b"SELECT 1")) == 2 for i in range(30)))
END
	my $line = log_size();
	my $result = leashed({}, 'python3', '-c', $python);
	is($result->{out}, "30\n", '30 connections answer') or diag($result->{err});
	is(peak_since($line), 3, 'and are 3 at the server');
};

done_testing();
