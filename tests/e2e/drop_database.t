# The pool keeps connections that the program has closed. Nobody may notice: not DROP DATABASE, which wants nobody
# in the database, not a new connection after something was changed that only new connections see, and least of
# all somebody without the right password. psql is the program: its \c opens one connection and closes another.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;
use Test::More;

in_cluster('--scram');

chomp(my $bindir = qx(pg_config --bindir));
my $super = "dbname=postgres user=postgres password=$ENV{PGPASSWORD}";
my $ann = 'dbname=postgres user=ann password=right';

# How many connections lie in the pool, unused, as this database or this user.
sub pooled
{
	my ($column, $name) = @_;
	return "SELECT 'pooled: ' || count(*) FROM pg_stat_activity WHERE $column = '$name' AND pid <> pg_backend_pid();\n";
}

# What psql prints for the script on a leash, its errors among the rest.
sub leashed_psql
{
	my ($script) = @_;
	my $result = leashed({ STDIN => $script }, 'sh', '-c', 'exec "$@" 2>&1', 'sh', "$bindir/psql", qw(-X -A -t -w));
	return $result->{out} =~ s/^You are now connected .*\n//mr =~ s/^You are now connected .*\n//mgr;
}

# A connection to the database is used and closed: from then on it lies in the pool.
sub pool_one { my ($conninfo) = @_; return "\\c '$conninfo'\nSET work_mem = '2MB';\n\\c '$super'\n" }

# ---- A database that only the pool holds ----

my %statements = (
	'DROP DATABASE old;' => 'DROP DATABASE',
	'drop database if exists old;' => 'DROP DATABASE',
	"/* a comment /* in a comment */ */ -- and another\n  Drop\n\tDatabase old;" => 'DROP DATABASE',
	'CREATE DATABASE new TEMPLATE old;' => 'CREATE DATABASE',
	'ALTER DATABASE old RENAME TO new;' => 'ALTER DATABASE',
);

for my $statement (sort keys %statements) {
	my $line = $statement =~ s/\s+/ /gr;

	subtest "only the pool holds the database: $line" => sub {
		psql_value($_) for 'DROP DATABASE IF EXISTS new', 'DROP DATABASE IF EXISTS old', 'CREATE DATABASE old';
		my $said = leashed_psql(pool_one($super =~ s/postgres/old/r) . pooled(datname => 'old') . "$statement\n"
			  . pooled(datname => 'old'));
		is($said, "SET\npooled: 1\n$statements{$statement}\npooled: 0\n", 'it succeeds');
	};
}

subtest 'only the pool holds template1: CREATE DATABASE' => sub {
	psql_value('DROP DATABASE IF EXISTS new');
	my $said = leashed_psql(pool_one($super =~ s/postgres/template1/r) . pooled(datname => 'template1') . "CREATE DATABASE new;\n");
	is($said, "SET\npooled: 1\nCREATE DATABASE\n", 'it succeeds');
};

subtest 'somebody else is in the database: DROP DATABASE' => sub {
	psql_value($_) for 'DROP DATABASE IF EXISTS old', 'CREATE DATABASE old';
	my $said = leashed_psql(pool_one($super =~ s/postgres/old/r)
		  . "\\! PQLEASH=0 $bindir/psql -XAtqd old -c 'SELECT pg_sleep(60)' >/dev/null 2>&1 &\n"
		  . "\\! i=0; until [ \"\$($bindir/psql -XAtqc \"SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'\")\" = 1 ] || [ \$((i += 1)) -gt 500 ]; do sleep 0.02; done\n"
		  . "DROP DATABASE old;\n"
		  . "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)';\n");
	like($said, qr/\ASET\nERROR:  database "old" is being accessed by other users\nDETAIL:  There is 1 other session .*\nt\n\z/,
		'it fails, and only because of them');
};

# ---- What only new connections see ----

my %changes = (
	"ALTER ROLE ann SET work_mem = '7MB';" => 'ALTER ROLE',
	"alter user ann set work_mem to '7MB';" => 'ALTER ROLE',
	"ALTER DATABASE postgres SET work_mem = '7MB';" => 'ALTER DATABASE',
	"ALTER ROLE ann IN DATABASE postgres SET work_mem = '7MB';" => 'ALTER ROLE',
	"ALTER ROLE ALL SET work_mem = '7MB';" => 'ALTER ROLE',
);

sub new_ann
{
	psql_value($_) for 'DROP ROLE IF EXISTS ann', 'ALTER DATABASE postgres RESET ALL', 'ALTER ROLE ALL RESET ALL',
	  q{CREATE ROLE ann LOGIN PASSWORD 'right'};
	return;
}

for my $change (sort keys %changes) {
	subtest "a connection of that user is in the pool: $change" => sub {
		new_ann();
		my $said = leashed_psql(pool_one($ann) . pooled(usename => 'ann') . "$change\n\\c '$ann'\nSHOW work_mem;\n");
		is($said, "SET\npooled: 1\n$changes{$change}\n7MB\n", 'the next connection sees it');
	};
}

subtest 'ALTER SYSTEM and pg_reload_conf' => sub {
	my $done = qr/parameter "jit_debugging_support"/;
	my $said = leashed_psql(pool_one($super) . "SHOW jit_debugging_support;\n"
		  . "ALTER SYSTEM SET jit_debugging_support = on;\nSELECT pg_reload_conf();\n"
		  . "\\! i=0; until grep -q 'parameter \"jit_debugging_support\" changed' \"\$CLUSTER_LOG\" || [ \$((i += 1)) -gt 500 ]; do sleep 0.02; done\n"
		  . "\\c '$super'\nSHOW jit_debugging_support;\n");
	is($said, "SET\noff\nALTER SYSTEM\nt\non\n", 'the next connection has a setting that no old one can have');
};

# ---- Who may connect ----

my $refused = qr/connection to server .* failed: FATAL:  /;

my %ends = (
	'DROP ROLE ann;' => [ 'DROP ROLE', qr/password authentication failed for user "ann"/ ],
	'drop user ann;' => [ 'DROP ROLE', qr/password authentication failed for user "ann"/ ],
	"ALTER ROLE ann PASSWORD 'another';" => [ 'ALTER ROLE', qr/password authentication failed for user "ann"/ ],
	'ALTER ROLE ann NOLOGIN;' => [ 'ALTER ROLE', qr/role "ann" is not permitted to log in/ ],
	"ALTER USER ann VALID UNTIL '2000-01-01';" => [ 'ALTER ROLE', qr/password authentication failed for user "ann"/ ],
	'ALTER DATABASE postgres CONNECTION LIMIT 0;' => [ 'ALTER DATABASE', qr/too many connections for database "postgres"/ ],
);

for my $end (sort keys %ends) {
	my ($tag, $words) = @{ $ends{$end} };

	subtest "a connection of that user is in the pool: $end" => sub {
		new_ann();
		my $said = leashed_psql(pool_one($ann) . pooled(usename => 'ann') . "$end\n\\c '$ann'\n");
		like($said, qr/\ASET\npooled: 1\n$tag\n.*$refused$words/s, 'a new one is refused');
		psql_value('ALTER DATABASE postgres CONNECTION LIMIT -1');
	};
}

subtest 'passwords' => sub {
	new_ann();
	my $line = log_size();
	my $wrong = $ann =~ s/right/wrong/r;
	my $none = $ann =~ s/ password=right//r;
	my $failed = "connection to server FATAL:  password authentication failed for user \"ann\"\n";
	my $connects = sub {
		my ($env, @conninfos) = @_;
		return leashed($env, build_dir() . '/tests/subjects/connects', @conninfos)->{out} =~ s/(to server) .* failed:/$1/gr;
	};

	is($connects->({}, $ann, $wrong, $ann), "connected as ann\n${failed}connected as ann\n",
		'a wrong one fails although a connection with the right one is in the pool, and does that no harm');
	is(opened_since($line), 1, 'which is the one that is used again');
	is($connects->({ PGPASSWORD => 'wrong' }, $ann, $none), "connected as ann\n$failed", 'a wrong one from the environment');
	like($connects->({ PGPASSWORD => undef }, $ann, $none),
		qr/\Aconnected as ann\nconnection to server fe_sendauth: no password supplied\n\z/, 'none at all');
	is($connects->({}, $super, $ann, $super), "connected as postgres\nconnected as ann\nconnected as postgres\n",
		'and nobody gets the connection of another user');
};

subtest 'the pool was in use all the time' => sub {
	new_ann();
	my $line = log_size();
	leashed_psql(pool_one($ann) x 5);
	is(opened_since($line), 2, '11 connections of psql are 2 at the server');
};

done_testing();
