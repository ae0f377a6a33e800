# The pool keeps connections that the program has closed. Nobody may notice: not DROP DATABASE, which wants nobody
# in the database, not a new connection after something was changed that only new connections see, and least of
# all somebody without the right password. psql is the program: its \c opens one connection and closes another.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;
use Steps;
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

subtest 'a connection of that user is still in use' => sub {
	new_ann();
	follows({}, "open super $super" => 'OK IDLE', "open a $ann" => 'OK IDLE',
		'exec a SELECT current_user' => qr/ann/,
		"exec super ALTER ROLE ann SET work_mem = '7MB'" => qr/ALTER ROLE/,
		'exec a SHOW work_mem' => qr/4MB/,
		'finish a' => undef, "open b $ann" => undef,
		'exec b SHOW work_mem' => qr/7MB/,
		"exec super ALTER ROLE ann PASSWORD 'another'" => qr/ALTER ROLE/,
		'exec b SELECT current_user' => qr/ann/,
		'finish b' => undef,
		"open c $ann" => qr/^BAD .*password authentication failed for user "ann"/);
};

subtest 'passwords' => sub {
	new_ann();
	my $line = log_size();
	my $wrong = $ann =~ s/right/wrong/r;
	my $none = $ann =~ s/ password=right//r;
	my $refused = qr/^BAD .*password authentication failed for user "ann"/;
	my @pool_ann = ("open a $ann" => 'OK IDLE', 'exec a SELECT 1' => undef, 'finish a' => undef);

	follows({}, @pool_ann, "open b $wrong" => $refused, "open c $ann" => 'OK IDLE', 'exec c SELECT current_user' => qr/ann/);
	is(opened_since($line), 1, 'a wrong one does no harm to the connection that is in the pool with the right one');
	follows({ PGPASSWORD => 'wrong' }, @pool_ann, "open b $none" => $refused);
	follows({ PGPASSWORD => undef }, @pool_ann, "open b $none" => qr/^BAD .*no password supplied/);
	follows({}, @pool_ann, "open b $super" => undef, 'exec b SELECT current_user' => qr/postgres/);
};

subtest 'the pool was in use all the time' => sub {
	new_ann();
	my $line = log_size();
	leashed_psql(pool_one($ann) x 5);
	is(opened_since($line), 2, '11 connections of psql are 2 at the server');
};

done_testing();
