# The promise: the benchmark measures what it is asked to, says so in a table and in JSON, and its status tells a
# measurement that failed from a target that was missed. What it measures is not judged here.
use strict;
use warnings;

use File::Temp;
use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;
use Test::More;

my $folder = File::Temp->newdir;
chmod 0755, $folder; # the server is another user's where we are root
my $bench = root() . '/scripts/bench';

sub bench { return run({ TMPDIR => "$folder" }, $bench, '--quick', '--json', "$folder/bench.json", @_, build_dir()) }

subtest 'a row' => sub {
	my $run = bench('--only', 'start,switch');
	is($run->{status}, 0, 'is measured') or diag($run->{err});
	like($run->{out}, qr/^start +\S.* (?:met|MISSED)$/m, 'and in the table');
	my @rows = map { $_->{row} } @{ read_json("$folder/bench.json")->{lines} };
	is_deeply(\@rows, [qw(start start switch)], 'JSON has its lines, and no other row');
	is_deeply([ glob "$folder/pqleash.*" ], [], 'the server is gone');
};

subtest 'a measurement that fails' => sub {
	open my $file, '>', "$folder/valgrind" or die $!;
	print {$file} "#!/bin/sh\necho no valgrind today >&2; exit 1\n";
	close $file;
	chmod 0755, "$folder/valgrind";
	local $ENV{PATH} = "$folder:$ENV{PATH}";
	my $run = bench('--only', 'wrapper,start');
	is($run->{status}, 1, 'is told from a target that is missed');
	like($run->{err}, qr/^bench: wrapper: .*no valgrind today/m, 'with its reason');
	like($run->{out}, qr/^start .* (?:met|MISSED)$/m, 'and the other rows are measured');
};

subtest 'wrong usage' => sub {
	is(bench('--only', 'nonsense')->{status}, 2, 'a row that there is not');
	is(run({}, $bench)->{status}, 2, 'no folder');
	like(run({}, $bench, '--help')->{out}, qr/^  churn /m, '--help lists the rows');
};

done_testing();
