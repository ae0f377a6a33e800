# The promise: more sessions than backends, each with a state of its own that touches everything a session may
# set, and no program can tell that they take turns. The same random steps are played with a connection of its
# own for every session, and inside the limit.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;
use Steps;
use Test::More;

in_cluster();

my $sessions = 12;
my @encodings = qw(UTF8 UTF8 LATIN1 UTF8 UTF8 LATIN9 UTF8 WIN1252);
my @styles = ('ISO, DMY', 'German', 'SQL, MDY', 'Postgres, DMY');
my @zones = qw(UTC Europe/Berlin America/New_York Asia/Tokyo);

sub pick { return $_[rand @_] }

psql_value(join ';', map { "CREATE ROLE tenant$_; CREATE SCHEMA tenant$_; GRANT USAGE ON SCHEMA tenant$_ TO PUBLIC;"
			. "CREATE TABLE tenant$_.thing AS SELECT 'thing of $_' AS name; GRANT SELECT ON tenant$_.thing TO PUBLIC" }
		0 .. $sessions - 1);

# What each session is given at its start.
sub beginning
{
	my ($n) = @_;
	my $encoding = $encodings[ $n % @encodings ];
	return (
		"open s$n ",
		"exec s$n SET search_path = tenant$n, public",
		"exec s$n SET app.who = 'session $n'",
		"exec s$n SET ROLE tenant$n",
		"exec s$n PREPARE by_sql(int) AS SELECT 'by SQL in $n', \$1 + $n, name FROM thing",
		"prepare s$n by_protocol SELECT 'by protocol in $n', \$1::text || '$n', name FROM thing",
		"exec s$n SET work_mem = '" . (1024 + $n) . "kB'",
		"exec s$n SET application_name = 'application $n'",
		"exec s$n SET DateStyle = '" . $styles[ $n % @styles ] . q('),
		"exec s$n SET TimeZone = '" . $zones[ $n % @zones ] . q('),
		$encoding eq 'UTF8' ? () : "encoding s$n $encoding",
	);
}

# Ways to see the state, and ways to change it. Every one is about all sessions alike.
my @steps = (
	sub { "exec s$_[0] SELECT name, current_schemas(true), current_user, session_user FROM thing" },
	sub { "exec s$_[0] SELECT current_setting('app.who'), current_setting('app.rare', true)" },
	sub { "exec s$_[0] EXECUTE by_sql(" . int(rand 100) . ')' },
	sub { "execute s$_[0] by_protocol " . int rand 100 },
	sub { "describe s$_[0] by_protocol" },
	sub { "exec s$_[0] SELECT 'caf\xc3\xa9', chr(233), current_setting('client_encoding')" },
	sub { "exec s$_[0] SELECT timestamptz '2024-03-31 12:00:00Z', current_setting('work_mem')" },
	sub { "exec s$_[0] SELECT name, setting FROM pg_settings WHERE source = 'session' ORDER BY name" },
	sub { "exec s$_[0] SELECT name, statement, from_sql FROM pg_prepared_statements ORDER BY name" },
	sub { "parameter s$_[0] " . pick(qw(application_name TimeZone DateStyle client_encoding session_authorization)) },
	sub { "info s$_[0]" },
	sub { "status s$_[0]" },
	sub { "exec s$_[0] SELECT * FROM no_such_table_of_$_[0]" },
	sub { "error s$_[0]" },
	sub { "exec s$_[0] SET app.who = 'session $_[0], " . int(rand 1000) . q(') },
	sub { "exec s$_[0] SET app.rare = '" . int(rand 1000) . q(') },
	sub { "exec s$_[0] SET work_mem = '" . (2048 + int rand 100) . q(kB') },
	sub { "exec s$_[0] SET TimeZone = '" . pick(@zones) . q(') },
	sub { "exec s$_[0] BEGIN; SET LOCAL app.who = 'nobody'; SET LOCAL work_mem = '9MB'; COMMIT" },
	sub { "exec s$_[0] BEGIN; SET app.who = 'nobody'; SET ROLE postgres; ROLLBACK" },
	sub { "exec s$_[0] " . pick('RESET ROLE', "SET ROLE tenant$_[0]") },
	sub { my $n = $_[0]; ("exec s$n DEALLOCATE by_sql", "exec s$n PREPARE by_sql(int) AS SELECT 'once more in $n', \$1") },
);

sub script
{
	my ($count) = @_;
	srand 42;    # the same in every run, so that a failure can be looked into
	my @script = map { beginning($_) } 0 .. $sessions - 1;
	push @script, pick(@steps)->($_ % $sessions) for 1 .. $count;
	return @script;
}

for my $case ([ 3, 10_000 ], [ 1, 1_000 ]) {
	my ($limit, $count) = @$case;

	subtest "$sessions sessions take turns with $limit, in $count steps" => sub {
		my @script = script($count);
		my $direct = play_direct(@script);
		my $line = log_size();
		my $leashed = play_leashed({ PQLEASH_LIMIT => $limit, TIMEOUT => 600 }, @script);
		is($direct->{counts}, 'none', 'the direct run is direct');
		is($leashed->{counts}, "opened $sessions, open $sessions, backends $limit, peak $limit",
			'the other one is inside pqleash');
		is(peak_since($line), $limit, 'and has as many connections as it may');
		cmp_ok(errors_in($direct), '<', $count / 10, 'few steps fail');
		is(first_difference($direct, $leashed), '', 'no step answers differently');
		is($leashed->{err} =~ s/^WARNING:.*\n//mgr, "pqleash: $sessions connections opened, $sessions never finished, "
				. "0 used after finish, 0 finished twice, 0 lost; at most $limit at the server at once\n", 'nothing else is said');
		is($leashed->{status}, 0, 'it ends well');
	};
}

done_testing();
