# The promise: nobody gets in through somebody else's connection. A login that the server would refuse is refused,
# in libpq's own words, though a connection of the same user lies in the pool; and encryption is as asked for.
use strict;
use warnings;

use File::Temp;
use FindBin;
use lib "$FindBin::Bin/lib";
use Dialogue;
use PqleashTest;
use Steps;
use Test::More;

in_cluster('--scram', '--tls', '--max-connections', 30);

my ($socket, $port, $root) = @ENV{qw(PGHOST PGPORT CLUSTER_ROOTCERT)};
my $folder = File::Temp->newdir;
psql_value(q{CREATE ROLE alice LOGIN PASSWORD 'right'});
psql_value(q{CREATE ROLE boss LOGIN SUPERUSER PASSWORD 'right'});
psql_value('CREATE ROLE nobody NOLOGIN');

# Only where a test says so is there a password.
my @clean = map { "unsetenv $_" } qw(PGPASSWORD);
push @clean, "setenv HOME $folder";

sub write_file
{
	my ($name, $text) = @_;
	open my $file, '>', "$folder/$name" or die "$folder/$name: $!";
	print {$file} $text;
	close $file or die;
	chmod 0600, "$folder/$name";
	return "$folder/$name";
}

sub same
{
	my ($promise, $env, @commands) = @_;
	my $direct = play_direct(@clean, @commands);
	my $line = log_size();
	my $leashed = play_leashed($env, @clean, @commands);
	is(first_difference($direct, $leashed), '', $promise);
	like($leashed->{counts}, qr/^opened \d+/, '... the object was there');
	cmp_ok(peak_since($line), '<=', $env->{PQLEASH_LIMIT} // 3, '... and the limit was kept');
	unlike($leashed->{err}, qr/right|wrong/, '... and no password was told');
	return $leashed;
}

my $who = 'exec NAME SELECT current_user, session_user';
sub ask { return map { $who =~ s/NAME/$_/r } @_ }

# ---- Wrong passwords ----

# Ways to say a password: the commands that lead to a session.
my %ways = (
	'conninfo' => sub { "open $_[0] user=alice password=$_[1]" },
	'URI' => sub { "open $_[0] postgresql://alice:$_[1]\@/postgres" },
	'arrays' => sub { "open_params $_[0] 0 user=alice\tpassword=$_[1]" },
	'login' => sub { "login $_[0] ||||alice|$_[1]" },
	'PQconnectStart' => sub { "start $_[0] user=alice password=$_[1]" },
	'PGPASSWORD' => sub { ("setenv PGPASSWORD $_[1]", "open $_[0] user=alice", 'unsetenv PGPASSWORD') },
	'passfile' => sub { my $file = write_file("pass$_[1]", "*:*:*:alice:$_[1]\n"); "open $_[0] user=alice passfile=$file" },
	'PGPASSFILE' => sub { my $file = write_file("pass$_[1]", "*:*:*:alice:$_[1]\n");
		("setenv PGPASSFILE $file", "open $_[0] user=alice", 'unsetenv PGPASSFILE') },
	'service' => sub { my $file = write_file("service$_[1]", "[alice]\nuser=alice\npassword=$_[1]\ndbname=postgres\n");
		("setenv PGSERVICEFILE $file", "open $_[0] service=alice", 'unsetenv PGSERVICEFILE') },
	'PGSERVICE' => sub { my $file = write_file("service$_[1]", "[alice]\nuser=alice\npassword=$_[1]\ndbname=postgres\n");
		("setenv PGSERVICEFILE $file", 'setenv PGSERVICE alice', "open $_[0] ", 'unsetenv PGSERVICE', 'unsetenv PGSERVICEFILE') },
);
for my $way (sort keys %ways) {
	subtest "a wrong password: $way" => sub {
		my $open = $ways{$way};
		my $leashed = same('while a right one is pooled', {}, $open->('a', 'right'), ask('a'), 'finish a', $open->('b', 'wrong'), ask('b'),
			'reset b', $open->('c', 'right'), ask('c'));
		my ($answer) = grep { /^BAD/ } @{ $leashed->{answers} };
		like($answer, qr/FATAL:  password authentication failed for user "alice"/, "... libpq's own message");
		same('while a right one is in use', {}, $open->('a', 'right'), ask('a'), $open->('b', 'wrong'), ask('b', 'a'));
		same('while a right one fills the pool', { PQLEASH_LIMIT => 1 }, $open->('a', 'right'), ask('a'), $open->('b', 'wrong'), ask('a', 'b', 'a'));
	};
}

subtest 'no password' => sub {
	my $leashed = same('while a right one is pooled', {}, 'open a user=alice password=right', ask('a'), 'finish a', 'open b user=alice', ask('b'));
	like($leashed->{answers}[-3], qr/^BAD UNKNOWN .*fe_sendauth: no password supplied/, "... libpq's own message");
};

subtest 'a right password after wrong ones' => sub {
	same('none counts', { PQLEASH_LIMIT => 1 }, (map { "open bad$_ user=alice password=wrong" } 1 .. 10),
		map { ("open a$_ user=alice password=right", ask("a$_")) } 1 .. 3);
};

subtest 'a role that may not log in' => sub {
	same('is refused', {}, 'open a user=nobody password=right', 'open b user=alice password=right', ask('b', 'a'));
};

# ---- Files that change ----

# What a program answers when a file is edited between two connects, with and without the object.
sub after_edit
{
	my ($promise, $expected, $file, $text_before, $text_after, @commands) = @_;
	my @answers;
	for my $program (Dialogue->direct({}), Dialogue->leashed({})) {
		write_file($file, $text_before);
		$program->ask($_) for @clean, @commands;
		push @answers, [ map { $program->ask($_) } 'open a user=alice', ask('a'), 'finish a' ];
		write_file($file, $text_after);
		push @{ $answers[-1] }, map { $program->ask($_) } 'open b user=alice', ask('b');
		$program->end;
	}
	is_deeply($answers[1], $answers[0], $promise);
	is($answers[1][0], 'OK IDLE', '... the first connect works');
	like($answers[1][3], $expected, '... and the second goes by the new file');
	return;
}

subtest 'the password file is edited' => sub {
	my ($right, $wrong) = map { "*:*:*:*:$_\n" } qw(right wrong);
	my $refused = qr/password authentication failed/;
	after_edit('~/.pgpass', $refused, '.pgpass', $right, $wrong);
	after_edit('~/.pgpass, with an empty PGPASSWORD', $refused, '.pgpass', $right, $wrong, 'setenv PGPASSWORD ');
	unlink "$folder/.pgpass";
	after_edit('PGPASSFILE', $refused, 'passwords', $right, $wrong, "setenv PGPASSFILE $folder/passwords");
};

subtest 'the service file is edited' => sub {
	my ($right, $wrong) = map { "[s]\npassword=$_\ndbname=postgres\n" } qw(right wrong);
	my $refused = qr/password authentication failed/;
	after_edit('PGSERVICEFILE', $refused, 'services', $right, $wrong, "setenv PGSERVICEFILE $folder/services", 'setenv PGSERVICE s');
	after_edit('~/.pg_service.conf', $refused, '.pg_service.conf', $right, $wrong, 'setenv PGSERVICE s');
};

# ---- Roles that change ----

# A session that has to give its connection up in the meantime cannot come back with the old password.
subtest 'a password that the program changes' => sub {
	for my $limit (1 .. 3) {
		my @script = ('open a user=boss password=right', "exec a ALTER ROLE alice PASSWORD 'first'", 'open b user=alice password=first', ask('b'),
			$limit < 3 ? 'finish b' : (), "exec a ALTER ROLE alice PASSWORD 'second'", 'open c user=alice password=first', ask('c'),
			'open d user=alice password=second', ask('d'), $limit == 3 ? (ask('b'), 'finish b') : (), 'finish d',
			"exec a /* again */ alter role alice password 'right'", 'open e user=alice password=second', ask('e'),
			'open f user=alice password=right', ask('f', 'a'));
		my $leashed = same("limit $limit: the old one is refused at once", { PQLEASH_LIMIT => $limit }, @script);
		is(scalar(grep { /^BAD.*password authentication failed/ } @{ $leashed->{answers} }), 2, '... both times');
	}
};

subtest 'a password that a session changes for itself' => sub {
	same('the old one is refused at once', {}, 'open a user=alice password=right', "exec a ALTER USER alice PASSWORD 'other'",
		'open b user=alice password=right', ask('b'), 'open c user=alice password=other', ask('c'), "exec a ALTER ROLE alice PASSWORD 'right'", ask('a'));
};

subtest 'a password that was changed while the pool is full' => sub {
	same('the old one is refused by the connect, not later', { PQLEASH_LIMIT => 1 }, 'open a user=boss password=right', 'open b user=alice password=right',
		ask('b'), "exec a ALTER ROLE alice PASSWORD 'other'", 'exec a BEGIN', 'exec a COMMIT', 'open c user=alice password=right', 'error c',
		"exec a ALTER ROLE alice PASSWORD 'right'");
};

subtest 'a role that may no longer log in' => sub {
	same('is refused at once', {}, 'open a user=boss password=right', 'open b user=alice password=right', ask('b'), 'finish b',
		'exec a ALTER ROLE alice NOLOGIN', 'open c user=alice password=right', ask('c'), 'exec a ALTER ROLE alice LOGIN',
		'open d user=alice password=right', ask('d'));
};

# With 1, the sessions that are there are parked, and have nothing of their own.
for my $limit (2, 3) {
	subtest "defaults that a role is given, limit $limit" => sub {
		my $ask = 'SHOW work_mem';
		same('hold for the next connect, not for those that are there', { PQLEASH_LIMIT => $limit }, 'open a user=boss password=right',
			'open b user=alice password=right', "exec b $ask", 'open c user=alice password=right', "exec c $ask", 'finish c',
			"exec a ALTER ROLE alice SET work_mem = '7MB'", 'open d user=alice password=right', "exec d $ask", "exec b $ask", "exec d $ask",
			'exec a ALTER ROLE alice RESET work_mem', "exec d $ask", "exec b $ask", 'finish b', 'finish d',
			'open e user=alice password=right', "exec e $ask");
	};
}

# ---- Encryption ----

my $encrypted = 'exec NAME SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()';
my %modes = (
	'disable' => 'host=127.0.0.1 sslmode=disable',
	'prefer' => 'host=127.0.0.1 sslmode=prefer',
	'require' => 'host=127.0.0.1 sslmode=require',
	'verify-ca' => "host=127.0.0.1 sslmode=verify-ca sslrootcert=$root",
	'verify-full' => "host=localhost sslmode=verify-full sslrootcert=$root",
	'no root certificate' => 'host=127.0.0.1 sslmode=verify-full sslrootcert=/nonexistent',
	'a wrong name' => "host=wrong hostaddr=127.0.0.1 sslmode=verify-full sslrootcert=$root",
	'a socket' => 'sslmode=prefer',
	'old protocols only' => 'host=127.0.0.1 sslmode=require ssl_max_protocol_version=TLSv1.2',
);
subtest 'sslmode' => sub {
	my @script;
	my $n = 0;
	for my $mode (sort keys %modes) {
		push @script, "open s$n $modes{$mode} user=alice password=right", $encrypted =~ s/NAME/s$n/r, "option s$n sslmode", "finish s$n";
		$n++;
	}
	same('each is encrypted as asked for', {}, @script, @script);
};
subtest 'sslmode, in turns' => sub {
	my @names = sort grep { !/no root|wrong/ } keys %modes;
	my @open = map { "open s$_ $modes{$names[$_]} user=alice password=right application_name=s$_" } 0 .. $#names;
	my @see = map { my $n = $_; map { "exec s$_ SELECT current_setting('application_name'), $n" } 0 .. $#names } 1 .. 3;
	my $line = log_size();
	same('each keeps its own', { PQLEASH_LIMIT => 2 }, @open, @see);
};
subtest 'not shared' => sub {
	for my $mode ('prefer', 'require', 'verify-ca', 'verify-full', 'old protocols only', 'a socket') {
		my $line = log_size();
		play_leashed({}, @clean, "open a $modes{disable} user=alice password=right", 'finish a', "open b $modes{$mode} user=alice password=right", ask('b'));
		is(opened_since($line), 2, "a connection without encryption is not for $mode");
	}
};

# ---- Passwords stay where they are ----

subtest 'no password in any message' => sub {
	my @open = map { ("open s$_ user=alice password=right$_", "open_params t$_ 1 dbname=postgresql://alice:right$_\@/postgres",
			"open u$_ user=alice password=right", "exec u$_ BEGIN", "exec u$_ CREATE TEMP TABLE t ()") } 1 .. 4;
	for my $reclaim (qw(lru never)) {
		my $result = play_leashed({ PQLEASH_DEBUG => 1, PQLEASH_RECLAIM => $reclaim, PQLEASH_LIMIT => 2 }, @clean, @open,
			map { ("exec u$_ COMMIT", "error u$_") } 1 .. 4);
		like($result->{err}, qr/^pqleash: /m, "with PQLEASH_RECLAIM=$reclaim much is said");
		unlike($result->{err} . $result->{out}, qr/right/, '... but no password');
	}
	my $result = play_leashed({ PQLEASH_DEBUG => 1, PQLEASH_DATABASE_URL => "postgresql://alice:right\@$folder/postgres?nonsense=1" }, @clean,
		'open a user=alice password=right', ask('a'));
	unlike($result->{err} . $result->{out}, qr/right/, 'nor of PQLEASH_DATABASE_URL');
};

done_testing();
