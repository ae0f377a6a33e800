# The promise: where memory runs out the program is told so as libpq tells it, and can go on; no crash, no hang, no
# wrong answer, nothing lost but what the one failed call was about. Each allocation of ours fails in turn, while the
# subject connects, is parked and restored, cancels, resets and finishes; a sample of those that libpq makes for us.
use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;
use Test::More;

plan skip_all => "a sanitizer's own malloc cannot be made to fail" if $ENV{PQLEASH_TEST_PRELOAD};
in_cluster('--max-connections', 20);

my $subjects = build_dir() . '/tests/subjects';
my $folder = tempdir(CLEANUP => 1);
my $counted = "$folder/counted";
my $preload = "$subjects/libstarving.so:" . build_dir() . '/libpqleash.so';
my %two = (LD_PRELOAD => $preload, PQLEASH_LIMIT => 2, STARVING_LOG => $counted, TIMEOUT => 30);

sub starved
{
	my ($env, @command) = @_;
	return leashed({ %two, %$env }, @command ? @command : "$subjects/starved");
}

# How many allocations there are where none fails.
sub allocations
{
	my ($env, @arguments) = @_;
	my $result = starved($env, "$subjects/starved", @arguments);
	is($result->{out}, "right, refused 0 times\n", 'all is well with enough memory') or diag($result->{err});
	open my $handle, '<', $counted or die "$counted: $!";
	chomp(my $count = <$handle>);
	return $count;
}

# Each STEP-th allocation fails, one in each run.
sub fails_in_turn
{
	my ($env, $step, @arguments) = @_;
	my $count = allocations($env, @arguments);
	my ($runs, $refused, @bad) = (0, 0);
	for (my $at = 1; $at <= $count; $at += $step) {
		my $result = starved({ %$env, STARVING_AT => $at }, "$subjects/starved", @arguments);
		$runs++;
		$refused++ if $result->{out} =~ /^right, refused [1-9]/;
		push @bad, "$at: status $result->{status} $result->{out}$result->{err}"
		  if $result->{status} || $result->{out} !~ /^right, refused [0-3] times$/;
	}
	is_deeply(\@bad, [], "of $count allocations $runs fail in turn, one in each run: never a wrong answer");
	cmp_ok($refused, '>', 0, "... and in $refused of them the program was refused something");
	return;
}

my %ours = (STARVING_OF => 'libpqleash.so');
subtest 'ours' => sub { fails_in_turn(\%ours, 1) };
subtest 'ours, with a trace' => sub { fails_in_turn({ %ours, PQLEASH_TRACE => "$folder/trace" }, 11) };
subtest 'ours, parked after every call' => sub { fails_in_turn({ %ours, PQLEASH_TEST_PARK => 1 }, 23) };
subtest "libpq's" => sub { fails_in_turn({ STARVING_OF => 'libpq.so' }, 43, 'anything') };

subtest 'PQLEASH_DATABASE_URL is never forgotten' => sub {
	my %elsewhere = (%ours, PGPORT => 1, PQLEASH_DATABASE_URL => "postgresql://$ENV{PGUSER}@/postgres?host=$ENV{PGHOST}&port=$ENV{PGPORT}");
	fails_in_turn(\%elsewhere, 19);
};

subtest 'no memory from some moment on' => sub {
	my $count = allocations(\%ours);
	my @bad;
	for (my $at = 1; $at <= $count; $at += 29) {
		my $result = starved({ %ours, STARVING_AT => $at, STARVING_FOR => 1_000_000 });
		push @bad, "$at: status $result->{status} $result->{out}$result->{err}"
		  if $result->{status} > 1 || $result->{out} !~ /^(?:right|wrong: .* is refused again and again)/;
	}
	is_deeply(\@bad, [], 'the program is refused again and again, and does not crash');
};

subtest 'no leak' => sub {
	my @valgrind = qw(valgrind --quiet --leak-check=full --errors-for-leak-kinds=definite --error-exitcode=9);
	my $count = allocations(\%ours);
	my @bad;
	for my $at (map { int($count * $_ / 3) } 1 .. 2) {
		my $result = starved({ %ours, STARVING_AT => $at, TIMEOUT => 60 }, @valgrind, "$subjects/starved");
		push @bad, "$at: status $result->{status} $result->{err}" if $result->{status};
	}
	is_deeply(\@bad, [], 'says valgrind of a few');
};

done_testing;
