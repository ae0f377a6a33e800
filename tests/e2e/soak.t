# scripts/soak for a little while: what make soak does for half an hour cannot rot. Its plan is the same every time.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;
use Test::More;

my $soak = root() . '/scripts/soak';

subtest '20 seconds, a calm round and a storm' => sub {
	my $result = run({}, $soak, 16, 1);
	is($result->{status}, 0, 'no wrong answer, no crash, no limit that was not kept') or diag($result->{out}, $result->{err});
	like($result->{out}, qr/\Asoak: 16 s, seed 1\n/, 'how to repeat it is told');
	my ($answers, $troubles, $lost) = $result->{out} =~ /^soak: seed 1: .* (\d+) answers right, (\d+) troubles, (\d+) connections lost, .* 0 failures$/m;
	cmp_ok($answers // 0, '>', 500, 'there was much to do');
	cmp_ok($troubles // 0, '>', 5, '... and much trouble');
	cmp_ok($lost // 0, '>', 0, '... that could be felt');
};

# A leash of no use is the simplest fault there is.
subtest 'what fails is told' => sub {
	my $result = run({ PQLEASH_SKIP => 'mixer,threads,event_loop,queue,forks,legacy' }, $soak, 1, 5);
	isnt($result->{status}, 0, 'the exit status says so');
	like($result->{out}, qr/^soak: FAILED: round 1: .* connections at once, \d+ allowed$/m, 'what, and of which program');
	like($result->{out}, qr/^  again: make soak SECONDS=1 SEED=5$/m, 'how to repeat it');
	like($result->{out}, qr/ [1-9]\d* failures$/m, 'how many');
};

done_testing();
