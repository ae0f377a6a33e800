# What the leash costs a program that would do without: on a server with connections enough it says the same, in
# at most half the time, because most of a leaky program's time goes into connecting. Left out are the four
# suites that only a leash survives: they use or close connections that are closed, or make others do so.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use List::Util qw(min);
use PqleashTest;
use Test::More;
use Time::HiRes qw(time);

in_cluster('--max-connections', 400);

my $legacy = build_dir() . '/tests/subjects/legacy';
my %misuse = map { $_ => 1 } qw(shipments dashboard logins cleanup);
my @suites = grep { !$misuse{$_} } run({}, $legacy, '--list')->{out} =~ /^(\w+) +\d+$/mg;

sub direct { return run({ LD_PRELOAD => undef }, $legacy, @suites) }
sub on_leash { return leashed({}, $legacy, @suites) }

# No run competes with what is left of the one before.
sub seconds
{
	my ($run) = @_;
	wait_until(sub { server_connections() == 0 }, 20, 'no connection is left') or die;
	my $began = time;
	$run->();
	return time - $began;
}

is(scalar @suites, 18, '18 of 22 suites do nothing that libpq forbids');

subtest 'what it prints' => sub {
	my $direct = direct();
	my $leashed = on_leash();
	is($direct->{status}, 0, 'directly the suites pass, with connections enough') or diag($direct->{out});
	is($leashed->{out}, $direct->{out}, 'on a leash the program prints the same');
	is($leashed->{status}, 0, 'and ends with the same status');
	like($leashed->{err}, qr/\Apqleash: .*; at most 3 at the server at once\n\z/, 'although it has 3 connections only');
};

subtest 'how long it takes' => sub {
	my (@direct, @leashed);
	for (1 .. 3) {
		push @direct, seconds(\&direct);
		push @leashed, seconds(\&on_leash);
	}
	my $ratio = min(@leashed) / min(@direct);
	diag(sprintf 'leashed %.2f s, direct %.2f s, ratio %.2f', min(@leashed), min(@direct), $ratio);
	cmp_ok($ratio, '<=', 0.5, 'on a leash at most half of the time');
};

done_testing();
