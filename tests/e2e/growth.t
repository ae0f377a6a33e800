# The promise: a program that runs for a week does not grow by what it does over and over. What it leaks itself
# costs it a bounded number of bytes, and no descriptor.
use strict;
use warnings;

use File::Temp;
use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;
use Test::More;

in_cluster('--max-connections', 20);

my $growth = build_dir() . '/tests/subjects/growth';
my $trace = File::Temp->newdir;

# Does it so many times after a warm-up; in the end it may have gained so many bytes, which is nothing for each.
# The program notes an answer that is not right, and each connect that does not end as it should.
sub grows
{
	my ($most, $env, $what, $times, $warm_up) = @_;
	my $result = leashed($env, $growth, $what, $times, $warm_up);
	is($result->{status}, 0, 'every answer is right') or diag($result->{out}, $result->{err});
	my ($bytes, $descriptors) = $result->{out} =~ /^(-?\d+) bytes, (-?\d+) descriptors/ or return;
	note("$bytes bytes, $descriptors descriptors");
	cmp_ok($bytes, '<=', $most, 'the memory it has gained');
	is($descriptors, 0, 'the descriptors it has gained');
	return;
}

# What the allocator may do differently in two runs.
my $little = 65_536;

subtest '100,000 connections, opened and finished' => sub { grows($little, {}, 'churn', 100_000, 20_000) };
subtest '50,000 with a trace' => sub { grows($little, { PQLEASH_TRACE => $trace }, 'churn', 50_000, 10_000) };
subtest '10,000 that are opened without blocking, watched by epoll, and have been cancelled' =>
  sub { grows($little, {}, 'start', 10_000, 3_000) };
subtest '20,000 that are used after they were finished, and finished again' =>
  sub { grows($little, {}, 'misuse', 20_000, 4_000) };
subtest '300 times a session with a state of its own is parked, and put back' =>
  sub { grows($little, { PQLEASH_LIMIT => 1 }, 'move', 300, 50) };
subtest '1,000 targets' => sub { grows($little, {}, 'targets', 1_000, 1_300) };
subtest '2,000 connects, most of which are refused' => sub { grows($little, {}, 'failed', 2_000, 2_000) };
subtest '500 times PQreset' => sub { grows($little, {}, 'reset', 500, 100) };

# So much is kept of each for as long as it is not finished.
subtest '5,000 leaked connections' => sub { grows(5_000 * 700, {}, 'leak', 5_000, 2_000) };
subtest '500 leaked connections with settings and a prepared statement' =>
  sub { grows(500 * 8_192, {}, 'leak-state', 500, 100) };

done_testing();
