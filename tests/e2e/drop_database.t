# The pool keeps connections that the program has closed. Nobody may notice: not DROP DATABASE, which wants nobody
# in the database, not a new connection after something was changed that only new connections see, and least of
# all somebody without the right password. psql is the program: its \c opens one connection and closes another.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Dialogue;
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

# ---- A program's own life with databases and roles, compared with a direct run ----

sub same
{
	my ($promise, $limit, @commands) = @_;
	my @clean = ("open clean $super", (map { "exec clean $_" } 'DROP DATABASE IF EXISTS copy', 'DROP DATABASE IF EXISTS fresh',
		'DROP ROLE IF EXISTS bob', 'ALTER ROLE ALL RESET ALL', 'ALTER DATABASE postgres RESET ALL'), 'finish clean');
	my ($direct, $line) = (play_direct(@clean, @commands), log_size());
	my $leashed = play_leashed({ PQLEASH_LIMIT => $limit }, @clean, @commands);
	is(first_difference($direct, $leashed), '', "$promise, limit $limit");
	cmp_ok(peak_since($line), '<=', $limit, '... which is kept');
	return $leashed;
}

my ($fresh, $copy) = map { $super =~ s/postgres/$_/r } qw(fresh copy);
my $bob = 'dbname=postgres user=bob password=right';
my $new_bob = "exec super CREATE ROLE bob LOGIN PASSWORD 'right'";

for my $limit (1 .. 3) {
	subtest "a database is made, used, dropped and made again, limit $limit" => sub {
		same('as without us', $limit, "open super $super", (map { ('exec super CREATE DATABASE fresh', "open $_ $fresh",
			"exec $_ SELECT to_regclass('kept'), current_database()", "exec $_ CREATE TABLE kept ()", "exec $_ SET work_mem = '2MB'",
			"finish $_", 'exec super DROP DATABASE fresh', "open gone $fresh", 'finish gone') } 'a' .. 'c'));
	};

	subtest "a role is made, used, dropped and made again, limit $limit" => sub {
		same('as without us', $limit, "open super $super", (map { ($new_bob, "open $_ $bob", "exec $_ SELECT current_user",
			"exec $_ SET work_mem = '2MB'", "finish $_", 'exec super DROP ROLE bob', "open gone $bob", 'finish gone') } 'a' .. 'c'));
	};

	subtest "a role comes back with another password, limit $limit" => sub {
		same('and nobody gets in with the old one', $limit, "open super $super", $new_bob, "open a $bob", 'exec a SELECT current_user', 'finish a',
			'exec super DROP ROLE bob', "exec super CREATE ROLE bob LOGIN PASSWORD 'other'", "open b $bob", "open c $bob" =~ s/right/other/r,
			'exec c SELECT current_user');
	};

	subtest "a database serves as template, limit $limit" => sub {
		same('as without us', $limit, "open super $super", 'exec super CREATE DATABASE fresh', "open a $fresh", 'exec a CREATE TABLE kept AS SELECT 42 AS n',
			'finish a', 'exec super ALTER DATABASE fresh IS_TEMPLATE true', 'exec super CREATE DATABASE copy TEMPLATE fresh', "open b $copy",
			'exec b SELECT n FROM kept', 'finish b', 'exec super DROP DATABASE fresh', 'exec super ALTER DATABASE fresh IS_TEMPLATE false',
			'exec super ALTER DATABASE fresh RENAME TO other', "open c $fresh", 'finish c', 'exec super ALTER DATABASE other RENAME TO fresh',
			"open d $fresh", 'exec d SELECT n FROM kept', 'finish d', 'exec super ALTER DATABASE fresh ALLOW_CONNECTIONS false', "open e $fresh");
	};

	subtest "DROP DATABASE WITH (FORCE) after all have left, limit $limit" => sub {
		same('as without us', $limit, "open super $super", 'exec super CREATE DATABASE fresh', "open a $fresh", 'exec a SELECT 1', 'finish a',
			'exec super DROP DATABASE fresh WITH (FORCE)', "open b $fresh", 'finish b', 'exec super SELECT 1');
	};

	subtest "all other connections are ended, limit $limit" => sub {
		same('of which the program has none any more', $limit, "open super $super", 'exec super CREATE DATABASE fresh', "open a $fresh", 'exec a SELECT 1', 'finish a',
			# Directly, the server may not have noticed yet.
			"exec super SELECT count(pg_terminate_backend(pid, 5000)) < 2 FROM pg_stat_activity WHERE datname = 'fresh' AND pid <> pg_backend_pid()",
			'exec super DROP DATABASE fresh', 'exec super SELECT 1');
	};
}

# A session in a database keeps others from dropping it, as long as it has a connection there.
for my $limit (2, 3) {
	subtest "sessions that are attached, limit $limit" => sub {
		same('are in the way of DROP DATABASE', $limit, "open super $super", 'exec super CREATE DATABASE fresh', "open a $fresh", 'exec a SELECT 1',
			'exec super DROP DATABASE fresh', 'exec a SELECT 2', 'finish a', 'exec super DROP DATABASE fresh');
		same('are ended by FORCE', $limit, "open super $super", 'exec super CREATE DATABASE fresh', "open a $fresh", 'exec a SELECT 1',
			'exec super DROP DATABASE fresh WITH (FORCE)', 'status a', 'exec a SELECT 2', 'status a', 'reset a', 'exec a SELECT 3', 'exec super SELECT 4');
		same('die when all others are ended, and can be reset', $limit, "open super $super", "open a $super", 'exec a SELECT 1',
			'exec super SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = $$client backend$$',
			'status a', 'exec a SELECT 2', 'status a', 'exec a SELECT 3', 'reset a', 'exec a SELECT 4', 'exec super SELECT 5');
		same('outlive their role', $limit, "open super $super", $new_bob, "open a $bob", 'exec a SELECT session_user', 'exec super DROP ROLE bob',
			'exec a SELECT 1', 'status a', 'finish a', "open b $bob");
		same('keep what their role had', $limit, "open super $super", $new_bob, "exec super ALTER ROLE bob SET work_mem = '3MB'", "open a $bob",
			'exec a SHOW work_mem', "exec super ALTER ROLE bob SET work_mem = '5MB'", 'exec a SHOW work_mem', 'reset a', 'exec a SHOW work_mem');
	};
}

subtest 'who ends itself' => sub {
	same('dies as it would', $_, "open a $super", 'exec a SELECT pg_terminate_backend(pg_backend_pid())', 'status a', 'reset a', 'exec a SELECT 1',
		"open b $super", 'exec b SELECT 2') for 1 .. 3;
};

# What is opened in the meantime sees the old, which nobody else may see afterwards.
subtest 'logins change at the end of a transaction' => sub {
	for my $end ('COMMIT', 'ROLLBACK') {
		same("$end decides what the next connection sees", $_, "open super $super", $new_bob, 'exec super BEGIN', "exec super ALTER ROLE bob SET work_mem = '5MB'",
			"open a $bob", 'exec a SHOW work_mem', 'finish a', "exec super $end", "open b $bob", 'exec b SHOW work_mem', 'finish b') for 2, 3;
	}
};

# ---- Where a parked session has no connection that could be in the way, or be ended ----

my $force = 'exec super DROP DATABASE fresh WITH (FORCE)';
my $end_all = 'exec super SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = $$client backend$$';
my $lost = qr/^no result: pqleash: this connection could not be attached again: .* FATAL:  database "fresh" does not exist/;

for my $drop ('exec super DROP DATABASE fresh', $force) {
	subtest "a parked session's database: $drop" => sub {
		psql_value('DROP DATABASE IF EXISTS fresh');
		follows({ PQLEASH_LIMIT => 1 }, "open super $super" => undef, 'exec super CREATE DATABASE fresh' => undef, "open a $fresh" => 'OK IDLE',
			"exec a SET work_mem = '2MB'" => 'PGRES_COMMAND_OK SET', $drop => 'PGRES_COMMAND_OK DROP DATABASE', 'exec a SELECT 1' => $lost,
			'status a' => 'BAD UNKNOWN', 'reset a' => qr/^BAD UNKNOWN .*FATAL:  database "fresh" does not exist/, 'exec super SELECT 1' => "PGRES_TUPLES_OK SELECT 1 \n  1");
	};
}

subtest 'a parked session, while all others are ended' => sub {
	follows({ PQLEASH_LIMIT => 1 }, "open super $super" => undef, "open a $super" => 'OK IDLE', "exec a SET work_mem = '2MB'" => undef,
		$end_all => qr/^PGRES_TUPLES_OK SELECT 0/, 'exec a SHOW work_mem' => "PGRES_TUPLES_OK SHOW \n  2MB", 'exec super SELECT 1' => "PGRES_TUPLES_OK SELECT 1 \n  1");
};

# Its program has not noticed yet: the attempt to park it shows it to us, and its next use to the program, as it would
# have been without us.
subtest 'a session whose connection was ended is in nobody\'s way' => sub {
	my $program = Dialogue->leashed({ PQLEASH_LIMIT => 1 });
	is($program->ask("open a $super"), 'OK IDLE', 'one is open');
	$program->ask("exec a SET application_name = 'ended'");
	is(psql_value(q{SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE application_name = 'ended'}), 1, '... and ended');
	is($program->ask("open b $super"), 'OK IDLE', 'another can be opened');
	like($program->ask('exec b SELECT 1'), qr/^PGRES_TUPLES_OK/, '... and used');
	is($program->ask('status a'), 'OK IDLE', 'the first learns of it');
	like($program->ask('exec a SELECT 2'), qr/^PGRES_FATAL_ERROR .*(?:terminating connection|server closed the connection)/, '... when it is used');
	like($program->ask('status a'), qr/^BAD/, '... and is broken from then on');
	is($program->ask('reset a'), 'OK IDLE', 'until it is reset');
	$program->end;
};

subtest "a parked session's role is dropped" => sub {
	psql_value('DROP ROLE IF EXISTS bob');
	follows({ PQLEASH_LIMIT => 1 }, "open super $super" => undef, $new_bob => undef, "open a $bob" => 'OK IDLE', "exec a SET work_mem = '2MB'" => undef,
		'exec super DROP ROLE bob' => 'PGRES_COMMAND_OK DROP ROLE', 'exec a SELECT 1' => qr/^no result: pqleash: this connection could not be attached again: .*"bob"/,
		'status a' => 'BAD UNKNOWN', 'exec super SELECT 1' => "PGRES_TUPLES_OK SELECT 1 \n  1");
};

# ---- PostgreSQL's own programs ----

subtest 'createuser, createdb, psql, dropdb, dropuser' => sub {
	psql_value($_) for 'DROP DATABASE IF EXISTS fresh', 'DROP ROLE IF EXISTS bob';
	my @said;
	for my $how (sub { run({ LD_PRELOAD => undef, PQLEASH => undef }, @_) }, sub { leashed({ PQLEASH_LIMIT => 1 }, @_) }) {
		my @results = map { my ($name, @arguments) = @$_; $how->("$bindir/$name", @arguments) } [qw(createuser --echo bob)],
		  [qw(createdb --echo --owner bob fresh)], [qw(psql -XAtc), 'CREATE TABLE kept ()', 'fresh'], [qw(createdb --template fresh copy)],
		  [qw(dropuser bob)], [qw(dropdb --echo fresh)], [qw(dropdb --force copy)], [qw(dropdb fresh)], [qw(dropuser --echo bob)], [qw(dropuser bob)];
		push @said, join '', map { "$_->{status} $_->{out}$_->{err}" } @results;
	}
	is($said[1], $said[0], 'say and do the same');
	like($said[0], qr/^0 1 dropdb: error: database removal failed/m, '... which is something');
};

subtest "psql's \\c from database to database" => sub {
	psql_value('DROP DATABASE IF EXISTS fresh');
	my $said = leashed_psql("\\c '$super'\n" . ("CREATE DATABASE fresh;\n\\c '$fresh'\nCREATE TABLE kept ();\n\\c '$super'\n"
		  . "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = 'fresh' AND pid <> pg_backend_pid();\nDROP DATABASE fresh;\n") x 3);
	is($said, "CREATE DATABASE\nCREATE TABLE\n0\nDROP DATABASE\n" x 3, 'and back, to drop what it has left');
};

subtest 'the pool was in use all the time' => sub {
	new_ann();
	my $line = log_size();
	leashed_psql(pool_one($ann) x 5);
	is(opened_since($line), 2, '11 connections of psql are 2 at the server');
};

done_testing();
