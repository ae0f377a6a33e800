# The promise: a program with one thread and an event loop has many connections at work at the same time, through a
# few; the loop is never kept waiting inside a call, and is woken only when there is something to do.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;
use Test::More;

in_cluster('--max-connections', 70);

my $event_loop = build_dir() . '/tests/subjects/event_loop';

sub same
{
	my ($limit, $kind, $sessions, $queries, @seconds) = @_;
	my $direct = run({ LD_PRELOAD => undef, PQLEASH => undef }, $event_loop, $kind, $sessions, 2);
	is($direct->{status}, 0, 'directly, it works');
	wait_until(sub { server_connections() == 0 }, 30, 'no connection is left');
	my $line = log_size();
	my $result = leashed({ PQLEASH_LIMIT => $limit, PQLEASH_POOL_TIMEOUT => 30 }, $event_loop, $kind, $sessions, $queries, @seconds);
	my $all = $sessions * $queries;
	like($result->{out}, qr/\A$all of $all answers right\n/, 'every answer is right') or diag($result->{err});
	is(peak_since($line), $limit, 'with as many connections as there may be');
	is($result->{err}, '', 'and there is nothing to tell');
	my ($wakes, $longest_ms) = $result->{out} =~ /woken ([\d.]+) times for each, the longest call took (\d+) ms/;
	note($result->{out});
	return ($wakes, $longest_ms);
}

for my $kind (qw(poll select epoll epoll-anew)) {
	subtest "50 sessions, 5,000 queries, $kind" => sub {
		my ($wakes) = same(3, $kind, 50, 100);
		cmp_ok($wakes, '<', 10, 'woken a few times for each answer');
	};
}

subtest 'while a server process takes its time to end' => sub {
	my $began = time;
	my $result = leashed({ PQLEASH_LIMIT => 2, PQLEASH_POOL_TIMEOUT => 30, PQLEASH_CONNECT_TIMEOUT => 30 }, $event_loop, 'poll', 6, 20, 0.002, 8);
	like($result->{out}, qr/\A120 of 120 answers right\n/, 'every answer is right') or diag($result->{err});
	cmp_ok(time - $began, '<', 4, 'nobody waits for its place, as there is another one');
};

subtest 'one connection' => sub { same(1, 'epoll', 10, 20) };

# A loop that spun, or waited, would show it here: there is nothing to do for two thirds of a second at a time.
subtest 'statements that take their time' => sub {
	my ($wakes, $longest_ms) = same(3, 'poll', 9, 2, 0.7);
	cmp_ok($wakes, '<', 30, 'it does not spin');
	cmp_ok($longest_ms, '<', 500, 'it is not kept waiting');
};

done_testing();
