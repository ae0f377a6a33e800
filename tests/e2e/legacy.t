# An unmodified program that leaks (tests/subjects/legacy, 22 suites and 1,178 checks) on a server of 20
# connections: it fails by itself, and passes on a leash. And the demo, which shows the same to people.
use strict;
use warnings;

use File::Temp;
use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;
use Test::More;

in_cluster('--max-connections', 20);

my $legacy = build_dir() . '/tests/subjects/legacy';
my $all = 'legacy: 1178 of 1178 checks passed in 22 suites';

# Servers forget the connections of a program that has ended a moment after it.
sub wait_for_quiet_server
{
	wait_until(sub { eval { server_connections() == 0 } }, 20, 'no connection is left') or die;
	return;
}

sub last_line { return (split /\n/, $_[0]->{out})[-1] // '' }

# A leashed run, with what the server's log says of it.
sub leashed_run
{
	my ($limit) = @_;
	wait_for_quiet_server();
	my $line = log_size();
	my $result = leashed({ PQLEASH_LIMIT => $limit }, $legacy);
	return { %$result, peak => peak_since($line), opened => opened_since($line) };
}

# What a column of the demo's table says, by the row's name.
sub demo_column
{
	my ($text, $column) = @_;
	my %rows;
	for my $line (split /\n/, $text) {
		my @cells = split /\s{2,}/, $line;
		$rows{ $cells[1] } = $cells[ 1 + $column ] if @cells == 4 && $cells[1] ne '';
	}
	return \%rows;
}

subtest 'directly it fails' => sub {
	my $direct = run({ LD_PRELOAD => undef }, $legacy);
	isnt($direct->{status}, 0, 'the exit status says so');
	like($direct->{out}, qr/FATAL:  sorry, too many clients already/, 'for want of connections');
};

for my $limit (3, 2) {
	subtest "on a leash of $limit it passes" => sub {
		my $result = leashed_run($limit);
		is($result->{status}, 0, 'the exit status says so');
		is(last_line($result), $all, 'every check was made and passed') or diag($result->{out});
		cmp_ok($result->{peak}, '<=', $limit, "never more than $limit connections at the server");
		like($result->{err}, qr/\Apqleash: \d+ connections opened, [^\n]*; at most $limit at the server at once\n\z/,
			'and one line about what it left behind');
	};
}

is(leashed_run(3)->{status}, 0, 'once more on the same database it passes again');

subtest 'on a leash of 1' => sub {
	my $result = leashed_run(1);
	diag('limit 1: ' . last_line($result));
	cmp_ok($result->{opened}, '>=', 1, 'it connects');
	cmp_ok($result->{peak}, '<=', 1, 'never more than 1 connection at the server');
};

# Of the object as users have it: the demo knows nothing of sanitizers.
subtest 'the demo' => sub {
	plan skip_all => 'with a sanitizer' if $ENV{PQLEASH_TEST_PRELOAD};
	my $own = leashed_run(3);
	my $demo = run({}, root() . '/scripts/demo', build_dir());
	my ($direct, $leashed) = map { demo_column($demo->{out}, $_) } 1, 2;
	my ($table) = $demo->{out} =~ /\A(.*?)\nNow try/s;

	is($demo->{status}, 0, 'it finds what it expects') or diag($demo->{err});
	is($demo->{err}, '', 'without complaint');
	is($leashed->{'checks passed'}, '1178 of 1178', 'its table has the checks passed on the leash');
	like($direct->{'checks passed'}, qr/^\d{1,3} of 1178$/, 'the fewer ones passed directly');
	is($leashed->{'exit status'}, 0, 'the exit status on the leash');
	isnt($direct->{'exit status'}, 0, 'and of the direct run');
	is($leashed->{'most server connections at once'}, $own->{peak}, 'the peak on the leash');
	cmp_ok($direct->{'most server connections at once'}, '>=', 20, 'the peak of the direct run: all there are');
	is($leashed->{'connections opened at the server'}, $own->{opened}, 'how many the leashed run opened');
	cmp_ok($direct->{'connections opened at the server'}, '>', 20, 'how many the direct run opened');
	like($_->{'wall time'}, qr/^\d+\.\d s$/, 'a wall time') for $direct, $leashed;
	like($_->{'memory of those server processes'}, qr{^(?:\d+\.\d MB|n/a)$}, 'memory') for $direct, $leashed;
	like($demo->{out}, qr/sorry, too many\s+clients already/, 'it quotes the first error');
	is_deeply([grep { length > 80 } split /\n/, $table], [], 'it fits into 80 columns');
	like($demo->{out}, qr{pqleash --limit 3 \./run_tests\n  LD_PRELOAD=\S+ PQLEASH=1 .*\./run_tests\n\z},
		'it ends with what to try next');
};

subtest 'the demo says no' => sub {
	my $folder = File::Temp->newdir;
	mkdir "$folder/tests";
	mkdir "$folder/tests/subjects";
	symlink $legacy, "$folder/tests/subjects/legacy";
	symlink build_dir() . '/libpqleash.so', "$folder/libpqleash.so";

	my $demo_with = sub {
		my ($launcher) = @_;
		unlink "$folder/pqleash";
		open my $file, '>', "$folder/pqleash" or die $!;
		print {$file} "#!/bin/sh\n$launcher\n";
		chmod 0755, $file;
		close $file;
		return run({}, root() . '/scripts/demo', $folder);
	};
	# A launcher that does not leash, and one that leads to a program which always passes.
	is($demo_with->('shift 2; exec "$@"')->{status}, 1, 'when the program fails on the leash, too');
	is($demo_with->('echo legacy: 1177 of 1178 checks passed')->{status}, 1, 'when not all checks pass there');
	unlink "$folder/tests/subjects/legacy";
	symlink '/bin/true', "$folder/tests/subjects/legacy";
	is($demo_with->("echo $all")->{status}, 1, 'when the direct run passes');
	is(run({}, root() . '/scripts/demo', "$folder/nowhere")->{status}, 1, 'when nothing is built');
	is(run({}, root() . '/scripts/demo')->{status}, 2, 'when it is not told where');
};

done_testing();
