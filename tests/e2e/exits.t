# However a program ends, with connections left open or all finished (tests/subjects/exits.c): its exit status is
# its own, the server keeps nothing of it, and stderr says something only if there is something to say.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;
use Test::More;

in_cluster('--tls');

my $exits = build_dir() . '/tests/subjects/exits';
my %status = (
	return => 42, exit => 42, thread => 42, _exit => 42, quick_exit => 42,
	abort => 128 + 6, kill => 128 + 9, exec => 0,
);
my @orderly = qw(return exit thread);
my @abrupt = qw(_exit quick_exit abort kill exec);
my %tls = (PGHOST => 'localhost', PGSSLMODE => 'require');

# Connections of which the server's log does not yet tell the end. No process is started to find out: it is
# the state when the program had just ended.
sub left_in_log
{
	my ($line) = @_;
	my %open;
	open my $log, '<', $ENV{CLUSTER_LOG} or die "$ENV{CLUSTER_LOG}: $!";
	while (<$log>) {
		next if $. <= $line;
		$open{$1} = 1 if /\[(\d+)\].* LOG:  connection authorized: /;
		delete $open{$1} if /\[(\d+)\].* LOG:  disconnection: /;
	}
	return scalar keys %open;
}

# A leashed run of the subject, with what is left of it at the server when it has ended.
sub end_of
{
	my ($env, $habit, $way) = @_;
	my $line = log_size();
	my $result = leashed($env, $exits, $habit, $way);
	$result->{left} = left_in_log($line);
	$result->{peak} = peak_since($line);
	return $result;
}

sub is_as_asked
{
	my ($result, $way) = @_;
	is($result->{out}, "done\n", 'it gets to its end');
	is($result->{peak}, 3, 'with 3 connections for its 6');
	is($result->{status}, $status{$way}, 'the exit status is what the program asked for');
	return;
}

for my $encryption ([ 'in plain text', {} ], [ 'over TLS', \%tls ]) {
	my ($name, $env) = @$encryption;

	for my $way (@orderly) {
		subtest "leaking $name, then $way" => sub {
			my $result = end_of($env, 'leak', $way);
			is_as_asked($result, $way);
			is($result->{left}, 0, 'no connection is left at that very moment');
			is($result->{err}, 'pqleash: 6 connections opened, 6 never finished, 0 used after finish, '
				. "0 finished twice, 0 lost; at most 3 at the server at once\n", 'one line tells of the leak');
		};
	}
	for my $way (@abrupt) {
		subtest "leaking $name, then $way" => sub {
			my $result = end_of($env, 'leak', $way);
			is_as_asked($result, $way);
			ok(wait_until(sub { server_connections() == 0 }, 10, "no connection after $way"),
				'no connection is left soon after');
		};
	}
	for my $way (@orderly, @abrupt) {
		subtest "finishing all $name, then $way" => sub {
			my $result = end_of($env, 'finish', $way);
			is_as_asked($result, $way);
			is($result->{err}, '', 'there is nothing to say');
			ok(wait_until(sub { server_connections() == 0 }, 10, "no connection after $way"), 'no connection is left');
		};
	}
}

# The server ends a statement when it likes, with us and without; the program need not wait.
for my $way (@orderly) {
	subtest "a statement still runs at the server, then $way" => sub {
		my $result = end_of({ PQLEASH_CONNECT_TIMEOUT => 60 }, 'busy', $way);
		is_as_asked($result, $way);
		is(psql_value(q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'}),
			1, 'the program has not waited for it');
		psql_value(q{SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'});
		is(server_connections(), 0, 'no other connection is left');
	};
}

# ---- Connections that are used to the very end ----

my $last_words = build_dir() . '/tests/subjects/last_words';
my $plugin = build_dir() . '/tests/subjects/plugins/one.so';

# What the server has to say about clients that left without a word.
sub complaints
{
	my ($line) = @_;
	open my $log, '<', $ENV{CLUSTER_LOG} or die "$ENV{CLUSTER_LOG}: $!";
	my @lines = <$log>;
	return join '', grep { /EOF|reset by peer|SSL error|could not (?:receive|accept|send)/ } @lines[ $line .. $#lines ];
}

sub ends_politely
{
	my ($line) = @_;
	is(left_in_log($line), 0, 'no connection is left at that very moment');
	is(complaints($line), '', 'the server has nothing to complain of');
	return;
}

for my $encryption ([ 'in plain text', {} ], [ 'over TLS', \%tls ]) {
	my ($name, $env) = @$encryption;

	for my $way (qw(return exit thread)) {
		subtest "$name, $way: exit handlers and static objects use connections" => sub {
			plan skip_all => 'with a sanitizer preloaded, it hangs at its exit without us, too' if $ENV{PQLEASH_TEST_PRELOAD};
			my $direct = run({ LD_PRELOAD => undef, PQLEASH => undef, %$env }, $last_words, 3, $way);
			is(scalar(() = $direct->{out} =~ /: ok number \d$/mg), 15, 'which works with libpq alone');
			wait_until(sub { server_connections() == 0 }, 10, 'no connection');
			for my $limit (1, 2, 3) {
				my $line = log_size();
				my $result = leashed({ %$env, PQLEASH_LIMIT => $limit }, $last_words, 3, $way);
				is($result->{out}, $direct->{out}, "limit $limit: they get the same");
				is($result->{status}, 42, '... and the program its exit status');
				ends_politely($line);
				$line = log_size();
				$result = leashed({ %$env, PQLEASH_LIMIT => $limit }, $last_words, 3, $way, 'finish');
				is($result->{out}, $direct->{out}, '... also where the last one finishes all');
				is($result->{err}, '', '... with nothing to tell');
				ok(wait_until(sub { server_connections() == 0 }, 10, 'no connection'), 'no connection is left');
				is(complaints($line), '', 'the server has nothing to complain of');
			}
		};
	}

	subtest "$name: other threads wait for a connection when main returns" => sub {
		plan skip_all => 'with a sanitizer preloaded, it hangs at its exit without us, too' if $ENV{PQLEASH_TEST_PRELOAD};
		for my $limit (1, 3) {
			wait_until(sub { server_connections() == 0 }, 10, 'no connection');
			my $line = log_size();
			my $result = leashed({ %$env, PQLEASH_LIMIT => $limit, TIMEOUT => 30 }, $last_words, $limit, 'wait');
			is($result->{status}, 42, "limit $limit: the program ends as it wants to") or diag($result->{err});
			is(scalar(() = $result->{out} =~ /: ok number \d$/mg), 5 * $limit, '... and is not disturbed to its end');
			is(opened_since($line), $limit, '... where they do not get what it gives up');
			ends_politely($line);
		}
	};

	subtest "$name: the plugin that brought libpq is closed" => sub {
		wait_until(sub { server_connections() == 0 }, 10, 'no connection');
		my $line = log_size();
		my $result = leashed($env, build_dir() . '/tests/subjects/loads', 'open', $plugin, 'leak', $plugin, 5, 'close', $plugin);
		is($result->{out}, "5 answered\n", 'it has done its work');
		is($result->{status}, 0, 'the program ends well') or diag($result->{err});
		ends_politely($line);
	};
}

subtest 'the program itself has used OpenSSL before' => sub {
	plan skip_all => 'with a sanitizer preloaded, it hangs at its exit without us, too' if $ENV{PQLEASH_TEST_PRELOAD};
	wait_until(sub { server_connections() == 0 }, 10, 'no connection');
	for my $limit (1, 3) {
		my $line = log_size();
		my $result = leashed({ %tls, PQLEASH_LIMIT => $limit }, $last_words, 3, 'return', 'openssl');
		is($result->{status}, 42, 'it ends as it wants to') or diag($result->{err});
		like($result->{out}, qr/\A(?:exit handler, registered (?:after|before) \d: ok number \d\n|static object, made after \d: ok number \d\n){9}/,
			'what runs before OpenSSL cleans up is not disturbed');
		like($result->{out}, qr/^destructor function 2: bad pqleash: the program exits; this connection is closed$/m,
			'what runs afterwards does not come to OpenSSL any more');
		is(left_in_log($line), 0, 'no connection is left at that very moment');
		# Who has to be moved then cannot get a new connection, with us and without, and the server sees the attempt.
		is(complaints($line), '', 'the server has nothing to complain of') if $limit == 3;
	}
};

done_testing();
