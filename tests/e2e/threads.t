# The promise: any number of threads with any number of sessions get right answers from a few connections; who
# waits is served in turn, and learns who was in the way if it was in vain.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;
use Test::More;

in_cluster('--max-connections', 40);

my $subjects = build_dir() . '/tests/subjects';

sub threads
{
	my ($limit, @arguments) = @_;
	my $line = log_size();
	my $result = leashed({ PQLEASH_LIMIT => $limit }, "$subjects/threads", @arguments);
	is($result->{out}, "$arguments[2] of $arguments[2] answers right\n", 'every answer is right') or diag($result->{err});
	is($result->{status}, 0, 'it ends well');
	is(peak_since($line), $limit, 'with as many connections as there may be');
	is($result->{err}, '', 'and there is nothing to tell');
	return;
}

subtest 'directly, there are too many' => sub {
	my $result = run({ LD_PRELOAD => undef, PQLEASH => undef }, "$subjects/threads", 64, 200, 2000);
	isnt($result->{status}, 0, 'for the server');
	like($result->{out}, qr/too many clients already/, 'as it says');
};

# A program under ThreadSanitizer is some twenty times slower.
my $queries = $ENV{PQLEASH_TEST_PRELOAD} ? 2000 : 20_000;
subtest "64 threads, 200 sessions, $queries queries" => sub { threads(3, 64, 200, $queries) };
subtest 'the same with a single connection' => sub { threads(1, 64, 200, $queries / 10) };
subtest '1,000 threads at the same time' => sub { threads(3, 1000, 1000, 1000) };

# libpq's manual forbids it, and ThreadSanitizer would say so; but it works.
subtest 'while another thread looks at all connections' => sub { threads(2, 8, 20, 2000, 'watch') }
	unless ($ENV{BUILD} // '') =~ /thread/;

subtest 'who comes first is served first' => sub {
	my $result = leashed({ PQLEASH_LIMIT => 1 }, "$subjects/queue", 'order', 12);
	my %served = $result->{out} =~ /^thread (\d+) is answered as number (\d+)$/mg;
	is_deeply(\%served, { map { $_ => $_ } 1 .. 12 }, 'in turn') or diag($result->{out}, $result->{err});
};

subtest 'a wait ends after the pool timeout' => sub {
	my $result = leashed({ PQLEASH_LIMIT => 1, PQLEASH_POOL_TIMEOUT => 1 }, "$subjects/queue", 'timeout', 3);
	like($result->{out}, qr/^thread 1: .*is in a transaction.*PQLEASH_LIMIT/m, 'with who is in the way, and what to do');
	like($result->{out}, qr/^the transaction has failed 0 times$/m, '... who is not disturbed');
};

subtest 'a place that is long in coming is not all that is waited for' => sub {
	my $result = leashed({ PQLEASH_LIMIT => 2, PQLEASH_POOL_TIMEOUT => 20, PQLEASH_CONNECT_TIMEOUT => 20 }, "$subjects/queue", 'ending', 10);
	like($result->{out}, qr/^thread 1 is answered as number \d+\nin good time\n\z/, 'what another thread has done with is taken') or diag($result->{err});
};

subtest 'a place that is long in coming, and a program that polls' => sub {
	my $result = leashed({ PQLEASH_LIMIT => 1, PQLEASH_POOL_TIMEOUT => 20, PQLEASH_CONNECT_TIMEOUT => 20 }, "$subjects/queue", 'polled', 1);
	is($result->{out}, "PGRES_TUPLES_OK in good time\n", 'it is told to look again') or diag($result->{err});
};

subtest 'threads that poll and threads that wait' => sub {
	my $result = leashed({ PQLEASH_LIMIT => 1 }, "$subjects/queue", 'poll', 8);
	is($result->{out}, "3200 of 3200 answers right\n", 'all are answered') or diag($result->{err});
};

done_testing();
