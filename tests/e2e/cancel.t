# The promise: PQcancel reaches the statement that its session is running now, and no other session's, however
# often the backends have moved between sessions.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;
use Test::More;

in_cluster('--max-connections', 40);

my $subjects = build_dir() . '/tests/subjects';
my $seconds = $ENV{PQLEASH_LONG_TESTS} ? 60 : 3;

for my $run ([ 'threads', 1 ], [ 'threads', 3 ], [ 'signal', 1 ], [ 'signal', 3 ]) {
	my ($how, $limit) = @$run;
	subtest "8 connections are cancelled for $seconds s by $how, limit $limit" => sub {
		my $line = log_size();
		my $result = leashed({ PQLEASH_LIMIT => $limit }, "$subjects/cancels", $how, 8, $seconds);
		like($result->{out}, qr/^[1-9]\d* cancelled, 0 missed, [1-9]\d* undisturbed, 0 hit$/, 'every statement that was meant')
			or diag($result->{err});
		is($result->{status}, 0, 'it ends well');
		is(peak_since($line), $limit, 'with as many connections as there may be');
		note($result->{out});
	};
}

subtest 'statements that wait for a backend are cancelled' => sub {
	my $result = leashed({ PQLEASH_LIMIT => 1, TIMEOUT => 50 }, "$subjects/queue", 'cancel', 3);
	my @outcomes = sort $result->{out} =~ /^thread \d: (.*)/mg;
	is_deeply(\@outcomes, [ ('ERROR:  canceling statement due to user request') x 3 ], 'as soon as they have begun')
		or diag($result->{out}, $result->{err});
};

done_testing();
