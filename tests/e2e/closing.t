# A connection that is finished while its server process is at work: the program is not made to wait for that, the
# process counts against the limit until it has ended, and a forked child that opens its own gives them back.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;
use Steps;
use Test::More;
use Time::HiRes qw(time);

in_cluster();

subtest 'PQfinish of a connection with a running statement does not wait for it' => sub {
	my $began = time;
	my $result = play_leashed({}, 'open a ', 'send a SELECT pg_sleep(60)', 'finish a', 'open b ', 'exec b SELECT 1');
	cmp_ok(time - $began, '<', 4, 'it takes nothing like 5 s');
	like($result->{answers}[4], qr/^PGRES_TUPLES_OK/, 'and the next one works');
	is($result->{counts}, 'opened 2, open 1, backends 2, peak 2', 'beside the one that is ending');
};

subtest 'its place is free when the statement has ended' => sub {
	my $line = log_size();
	my $result = play_leashed({ PQLEASH_LIMIT => 1 },
		'open a ', 'send a SELECT pg_sleep(1)', 'finish a', 'open b ', 'exec b SELECT 1', 'finish b');
	like($result->{answers}[4], qr/^PGRES_TUPLES_OK/, 'the next one waits for the place and gets it');
	is(peak_since($line), 1, 'the limit held');
};

subtest 'the statement itself is not cancelled' => sub {
	psql_value('CREATE TABLE written (a int)');
	play_leashed({}, 'open a ', 'send a INSERT INTO written SELECT 1 FROM pg_sleep(1)', 'finish a');
	ok(wait_until(sub { psql_value('SELECT count(*) FROM written') }, 20, 'the row'), 'it has written its row');
};

subtest 'a forked child gives the connections it opened back to its own pool' => sub {
	my $forks = build_dir() . '/tests/subjects/forks';
	my $direct = run({}, $forks, 3);
	my $line = log_size();
	my $result = leashed({ PQLEASH_LIMIT => 1 }, $forks, 5);
	is(scalar(() = $result->{out} =~ /^child \d: right$/mg), 5, 'each of five works in turn, on one place');
	is(scalar(() = $result->{out} =~ /^parent \d: right$/mg), 10, 'and the parent goes on');
	is(scalar(() = $result->{out} =~ /^parent \d: the connection is ready$/mg), 5, '... and its epoll instance, too');
	is(peak_since($line), 2, 'one each for parent and child');
	is($direct->{status}, 0, 'the program runs without us');
};

done_testing();
