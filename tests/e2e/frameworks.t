# The promise: test suites written with the usual frameworks leak a connection in every test and pass all the same,
# also where the framework runs each test in a process of its own, which must not disturb the suite's process.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;
use Test::More;

in_cluster('--max-connections', 15);

my $suites = build_dir() . '/tests/subjects/frameworks';
my @plain = ({ LD_PRELOAD => undef, PQLEASH => undef });

# The numbers in what a framework says at its end.
my %summaries = (
	check => qr/^(?:100%): Checks: 25, Failures: 0, Errors: 0$/m,
	cunit => qr/^\s*tests\s+24\s+24\s+24\s+0\s/m,
	cmocka => qr/^\[  PASSED  \] 24 test\(s\)/m,
);

# Fails directly, and passes with the object in so many connections.
sub only_with_object
{
	my ($most, $env, $framework, @arguments) = @_;
	my @command = ("$suites/${framework}_suite", @arguments);
	my $direct = run({ LD_PRELOAD => undef, PQLEASH => undef, %$env }, @command);
	isnt($direct->{status}, 0, 'directly, it fails');
	wait_until(sub { server_connections() == 0 }, 30, 'no connection is left');

	my $line = log_size();
	my $leashed = leashed($env, @command);
	is($leashed->{status}, 0, 'with the object, it passes') or diag($leashed->{out}, $leashed->{err});
	like("$leashed->{out}$leashed->{err}", $summaries{$framework}, '... every test of it');
	cmp_ok(peak_since($line), '<=', $most, '... and the limit is kept');
	wait_until(sub { server_connections() == 0 }, 30, 'no connection is left');
	return $leashed;
}

for my $framework (qw(cmocka cunit)) {
	for my $limit (1, 3) {
		subtest "$framework, limit $limit" => sub {
			my $result = only_with_object($limit, { PQLEASH_LIMIT => $limit }, $framework);
			like($result->{err}, qr/^pqleash: 24 connections opened, 24 never finished, .* 0 lost/m, '... and it tells');
		};
	}
}

my $used = qr/^25 tests have used the connection of the suite's process$/m;

subtest 'Check, all tests in one process' => sub {
	my $result = only_with_object(3, { CK_FORK => 'no' }, 'check');
	like($result->{out}, $used, "the suite's own connection is as the tests left it");
};

# Each process has a pool of its own: the suite's, and one test's at a time. With a limit of 1 there would be no
# place for the suite's other connections: the one with the temporary table cannot move.
for my $limit (2, 3) {
	subtest "Check, each test in a process of its own, limit $limit" => sub {
		my $result = only_with_object(2 * $limit, { CK_FORK => 'yes', PQLEASH_LIMIT => $limit }, 'check');
		like($result->{out}, $used, "the suite's own connection is as the tests left it");
	};
}

subtest "Check, each test finishes the connection of the suite's process" => sub {
	my $result = only_with_object(6, { CK_FORK => 'yes' }, 'check', 'finish');
	like($result->{out}, $used, 'which goes on using it');
};

done_testing();
