# The promise: whatever a server answers to our own questions, no memory is read that is not the answer's, nothing hangs
# that libpq alone would not wait for, none of it becomes SQL, and a line on stderr or in a trace stays a line.
use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::Bin/lib";
use HostileServer;
use PqleashTest;
use Steps;
use Test::More;

my $folder = tempdir(CLEANUP => 1);
my $number = 0;

# Two sessions take turns on one backend, so that each is captured and put back.
my @turns = ('open a ', 'exec a SET work_mem = 1', 'open b ', 'exec b SELECT 2', 'exec a SELECT 3', 'exec b SELECT 4', 'exec a SELECT 6',
	'exec b SELECT 7', 'finish a', 'finish b',
	'open c ', 'exec c SELECT 5');

# What may be executed: the program's statements and ours, as they stand in the code.
my $known = qr/\A(?:
	Q[ ](?:SET[ ]work_mem|SELECT[ ]\d)|
	Q[ ]SET[ ]LOCAL[ ]TRANSACTION[ ]ISOLATION[ ]LEVEL[ ]READ[ ]COMMITTED;[ ]SELECT[ ]pg_catalog\.current_setting\('(?:statement_timeout|role)'\)|
	Q[ ](?:SET[ ]LOCAL[ ]TRANSACTION[ ]ISOLATION[ ]LEVEL[ ]READ[ ]COMMITTED;[ ])?SELECT[ ]'role'[ ]FROM|
	Q[ ]SET[ ]default_transaction_deferrable[ ]=[ ]off\z|
	Q[ ](?:DISCARD[ ]ALL|ROLLBACK|RESET[ ]client_encoding)\z|
	Q[ ];(?:RESET[ ](?:lock_timeout|default_transaction_deferrable);[ ])*(?:SELECT[ ](?:(?:,[ ])?pg_catalog\.set_config\('(?:[^'\\]|'')*',[ ]'(?:[^'\\]|'')*',[ ]false\))+)?\z|
	P[ ][ ]SET[ ]lock_timeout[ ]=[ ]\d+\z|
	P[ ][ ]SELECT[ ](?:(?:,[ ])?pg_catalog\.set_config\(\$\d+,[ ]\$\d+,[ ]false\))+\z|
	P[ ][ ]SELECT[ ]pg_catalog\.set_config\('client_encoding',[ ]\$1,[ ]false\)\z|
	B[ ]
)/x;

# options: answers of the server; moved, whether a's state could be read and put back
sub survives
{
	my ($name, $answers, %options) = @_;
	subtest $name => sub {
		my $server = HostileServer->start($answers);
		my $trace = "$folder/" . $number++;
		my $result = play_leashed({ PGHOST => '127.0.0.1', PGPORT => $server->{port}, PGUSER => 'u', PGDATABASE => 'd', PGSSLMODE => 'disable',
				PGGSSENCMODE => 'disable', PQLEASH_LIMIT => 1, PQLEASH_DEBUG => 1, PQLEASH_TRACE => $trace, TIMEOUT => 60 }, @turns);
		my @heard = $server->stop;
		is($result->{status}, 0, 'the program ends well') or diag($result->{err});
		my $allowed = $options{allowed} // qr/(?!)/;
		is_deeply([ grep { $_ !~ $known && $_ !~ $allowed } @heard ], [], 'the server hears nothing strange');
		my @long = grep { length > 2048 } split /\n/, $result->{err};
		is(scalar(@long), 0, 'no line on stderr is endless');
		@long = grep { length > 8192 || !/\A\{.*\}\n\z/ } map { open my $file, '<', $_ or die $!; <$file> } glob "$trace/*";
		is(scalar(@long), 0, 'nor one of the trace');
		my $is_moved = $result->{answers}[4] =~ /PGRES_TUPLES_OK/ && $result->{err} !~ /could not be read|taken away|lost/;
		is(!!$is_moved, !!$options{moved}, $options{moved} ? 'the session was moved' : 'the session was not moved')
		  or diag($result->{out}, $result->{err})
		  if exists $options{moved};
		$options{then}->($result, \@heard) if $options{then};
	};
	return;
}

my @login = HostileServer::login();
my @defaults = (['default', 'statement_timeout', '0', undef], ['default', 'client_encoding', 'UTF8', undef]);

sub setting { return [ 'setting', $_[0], $_[1], undef ] }
sub prepared { return [ 'prepared', $_[0], $_[1], $_[2] ] }

survives('an honest one', { state => [ @defaults, setting('work_mem', '7') ] }, moved => 1);

# ---- Another shape than that of the question ----

my @good_login = (done('SET'), rows(7, \@login), done('SET'));
for my $case (
	[ 'no login', rows(7) ], [ 'two logins', rows(7, \@login, \@login) ], [ 'a login of one column', rows(1, ['x']) ],
	[ 'a login of NULLs', rows(7, [ (undef) x 7 ]) ], [ 'a login without columns', rows(0, []) ])
{
	survives($case->[0], { capture => [ done('SET'), $case->[1], done('SET'), rows(4, @defaults) ] }, moved => 0);
}
for my $columns (0, 1, 3, 5, 200) {
	survives("state of $columns columns", { capture => [ @good_login, rows($columns, [ ('setting') x $columns ]) ] }, moved => 0);
}
for my $case (
	[ 'a NULL kind', [ undef, 'a', 'b', undef ] ], [ 'a NULL name', [ 'setting', undef, 'b', undef ] ],
	[ 'a NULL value', [ 'setting', 'a', undef, undef ] ], [ 'an unknown kind', [ 'other', 'a', 'b', undef ] ])
{
	survives($case->[0], { state => [ $case->[1] ] }, moved => 0);
}
for my $types (undef, '', '{', '{1', '{1,', '{,1}', '{1,,2}', '{1}x', '{-1}', '{ 1}', '{99999999999999999999}', '{4294967296}', '1,2', '{{1}}',
	'{' . ('1,' x 70_000) . '1}', '{' x 100_000)
{
	survives('types of parameters: ' . substr($types // 'NULL', 0, 25), { state => [ prepared('p', 'SELECT $1', $types) ] }, moved => 0);
}

# ---- Another answer than a result ----

my $endless = "endless\n\e[31m" x 200_000;
my %answers = ('an endless error' => [ error($endless) ], 'COPY IN' => [ copy_in() ], 'COPY OUT' => [ copy_out() ], 'COPY BOTH' => [ copy_both() ],
	'nothing' => [], 'an empty query' => [ HostileServer::message('I', '') ], 'many results' => [ (rows(4, @defaults)) x 50 ],
	'a row without columns described' => [ HostileServer::message('D', pack 'n', 0) ], 'garbage' => [ "\xff" x 1000 ],
	'a message of 1 GB' => [ 'D' . pack 'N', 1 << 30 ], 'a negative length' => [ 'D' . pack 'N', 0xffffffff ],
	'another row than described' => [ @good_login, HostileServer::message('T', pack('n', 1) . "c\0" . pack('NnNnNn', 0, 0, 25, 65535, 0, 0)),
		HostileServer::message('D', pack('nN', 1, 1_000_000) . 'x'), done('SELECT 1') ]);
for my $subject (qw(capture fingerprint examine discard set)) {
	survives("$_ instead of an answer: $subject", { $subject => $answers{$_}, state => [ @defaults, setting('work_mem', '7') ] })
	  # The rest of a message of 1 GB is waited for, as libpq alone waits.
	  for grep { !/1 GB/ } sort keys %answers;
}

# ---- SQL in what is put back ----

my $sql = q{'); DROP TABLE x; --};
survives('SQL in the names and values of settings', { state => [ @defaults, setting($sql, $sql), setting("a'b", "\\'; DROP TABLE x"), [ 'custom', "a.$sql", $sql, undef ] ] },
	moved => 1, then => sub { ok(scalar(grep { /^B .*DROP TABLE x/ } @{ $_[1] }), 'they are parameters') });
survives('SQL in the login', { login => [ 0, $sql, $sql, 0, $sql, 'UTF8', 0 ], state => [ @defaults, setting('a', 'b') ] },
	moved => 1, then => sub { ok(scalar(grep { /^B .*DROP TABLE x/ } @{ $_[1] }), 'it is a parameter') });
survives('SQL in a timeout', { login => [ $sql, 'none', 'u', 0, 'UTF8', 'UTF8', 0 ], state => [ @defaults, setting('a', 'b'), setting('lock_timeout', $sql) ] },
	moved => 1, then => sub { ok(scalar(grep { /^Q ;.*SELECT .*''\); DROP TABLE x/ } @{ $_[1] }), 'it is quoted') });
survives('SQL in a prepared statement', { state => [ @defaults, prepared(qq{a"; $sql}, "SELECT 1; $sql", '{23}') ] }, allowed => qr/\AP a"; /,
	moved => 1, then => sub { is(scalar(grep { /^P a"; .* SELECT 1; / } @{ $_[1] }) > 0, 1, 'it is prepared by its name, and not executed') });
for my $text ('DROP TABLE x', "PREPARE a AS SELECT 1; DROP TABLE x", "/* */ PREPARE a AS SELECT 1") {
	survives("a PREPARE that is none: $text", { state => [ [ 'PREPARE', 'a', $text, '{}' ] ] }, moved => 0);
}

# ---- Endless texts ----

survives('an endless error when it is put back', { bind => [ error($endless) ], state => [ @defaults, setting('a', 'b') ] }, moved => 0,
	then => sub { like($_[0]->{out}, qr/this connection was moved, and its settings could not be put back: ERROR:  endless/, 'the program is told') });
survives('a statement with an endless name', { bind => [ error($endless) ], state => [ @defaults, prepared($endless, $endless, '{}') ] }, allowed => qr/\AP endless/);
survives('an endless refusal', { greeting => [ error($endless, '53300') ] });
survives('a refusal that tells of room', { greeting => [ error('sorry, too many clients already ' . $endless, '53300') ] });

done_testing;
