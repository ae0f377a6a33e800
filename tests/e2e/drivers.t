# The promise: a script that uses a real driver prints the same with the object as without it, however it waits for
# the server and however many connections it leaks, and the server sees no more connections than the limit.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;
use Test::More;

in_cluster('--max-connections', 50);

my $leaked = 20;
my $scripts = root() . '/tests/subjects/drivers';
my $built = build_dir() . '/tests/subjects/drivers';
my @plain = ({ LD_PRELOAD => undef, PQLEASH => undef });

# The first of these interpreters that has the driver: Debian's packages are not seen by a Python of one's own.
sub with_driver
{
	my ($check, @interpreters) = @_;
	my ($found) = grep { !run(@plain, $_, @$check)->{status} } @interpreters;
	return $found;
}

sub python { return with_driver([ '-c', "import $_[0]" ], 'python3', '/usr/bin/python3') }

my $perl = with_driver([ '-MDBD::Pg', '-e', '1' ], $^X, 'perl', '/usr/bin/perl');
my $ruby = with_driver([ '-rpg', '-e', '1' ], 'ruby', '/usr/bin/ruby');
my @drivers = (
	[ 'psycopg2', python('psycopg2'), "$scripts/psycopg2_leak.py", "$scripts/psycopg2_async.py" ],
	[ 'psycopg 3', python('psycopg'), "$scripts/psycopg3_leak.py", "$scripts/psycopg3_async.py" ],
	[ 'DBD::Pg', $perl, "$scripts/dbd_pg_leak.pl", "$scripts/dbd_pg_async.pl" ],
	[ 'ruby-pg', $ruby, "$scripts/ruby_pg_leak.rb", "$scripts/ruby_pg_async.rb" ],
	[ 'libpqxx', -x "$built/pqxx_leak" ? 'env' : undef, "$built/pqxx_leak", "$built/pqxx_threads" ],
);

# The line where two texts part, with both lines.
sub first_difference
{
	my ($one, $other) = map { [ split /\n/ ] } @_;
	for my $i (0 .. ($#$one > $#$other ? $#$one : $#$other)) {
		my @lines = map { $_->[$i] // 'nothing' } $one, $other;
		return 'line ' . ($i + 1) . ": directly: $lines[0]\n   leashed: $lines[1]" if $lines[0] ne $lines[1];
	}
	return '';
}

# Runs it directly and with each of these settings: all must print the same.
sub same
{
	my ($settings, @command) = @_;
	my $line = log_size();
	my $direct = run(@plain, @command);
	is($direct->{status}, 0, 'directly, the script succeeds') or diag($direct->{err});
	cmp_ok(peak_since($line), '>', 15, '... with many connections at once');
	wait_until(sub { server_connections() == 0 }, 30, 'no connection is left');

	for my $env (@$settings) {
		my $name = join ' ', map { "$_=$env->{$_}" } sort keys %$env;
		$line = log_size();
		my $leashed = leashed({ TIMEOUT => 60, %$env }, @command);
		is($leashed->{status}, 0, "$name: it succeeds") or diag($leashed->{err});
		is(first_difference($direct->{out}, $leashed->{out}), '', "$name: the same output");
		cmp_ok(peak_since($line), '<=', $env->{PQLEASH_LIMIT}, "$name: the limit is kept");
		wait_until(sub { server_connections() == 0 }, 30, 'no connection is left');
	}
	return;
}

for my $driver (@drivers) {
	my ($name, $interpreter, $leak, $async) = @$driver;

	subtest "$name: leaked connections, each with a state of its own" => sub {
		plan skip_all => "no $name here" if !$interpreter;
		same([ map { { PQLEASH_LIMIT => $_ } } 1, 3 ], $interpreter, $leak, $leaked);
	};
	subtest "$name: threads, or asynchronously" => sub {
		plan skip_all => "no $name here" if !$interpreter;
		same([ { PQLEASH_LIMIT => 3 } ], $interpreter, $async);
	};
}

done_testing();
