# The promise: findings fail a run where they are told to, and only then; a suite full of old leaks can begin with a
# baseline that lets no new one in.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;

use File::Temp qw(tempdir);
use Test::More;

in_cluster('--max-connections', 40);

my $subjects = build_dir() . '/tests/subjects';
my $folder = tempdir(CLEANUP => 1);
my @leaky = ("$subjects/planted/planted_cmocka");
my @clean = ("$subjects/threads", 2, 4, 8);

sub contents
{
	my ($file) = @_;
	open my $handle, '<', $file or die "$file: $!";
	local $/ = undef;
	return <$handle>;
}

sub write_file
{
	my ($file, $text) = @_;
	open my $handle, '>', $file or die "$file: $!";
	print {$handle} $text;
	close $handle or die "$file: $!";
	return;
}

is(reported({}, @leaky)->{status}, 0, 'without a gate, findings fail nothing');
my $failed = reported({}, '--error-exitcode', 7, @leaky);
is($failed->{status}, 7, '--error-exitcode fails a run with findings');
like($failed->{err}, qr/^pqleash: 4 findings fail the run: exit status 7$/m, '... and says so');
is(reported({ PQLEASH_ERROR_EXITCODE => 8 }, @leaky)->{status}, 8, 'its variable does, too');
is(reported({}, '--error-exitcode', 7, @clean)->{status}, 0, 'a run without findings passes');
is(reported({}, '--error-exitcode', 7, 'sh', '-c', "@leaky; exit 3")->{status}, 3, "the program's own failure stays");
is(reported({}, '--error-exitcode', 7, 'sh', '-c', "@leaky; kill -9 \$\$")->{status}, 137, '... and its signal');
is(reported({}, '--fail-on', 'leaked', @leaky)->{status}, 86, '--fail-on alone fails with 86');
is(reported({}, '--fail-on', 'reclaimed', @leaky)->{status}, 0, 'other findings do not');
is(reported({}, '--fail-on', 'Leaked', @leaky)->{status}, 125, 'a kind that is none is refused');
like(reported({}, '--fail-on', 'leaked,foo', 'true')->{err},
	qr/^pqleash: --fail-on "foo" is not valid; allowed are leaked, used-after-finish, .*, all, none$/, 'with what there is');
is(reported({}, '--fail-on', 'all', 'true')->{status}, 0, 'where nothing was seen nothing fails');

subtest 'the bare form' => sub {
	my $result = leashed({ PQLEASH_ERROR_EXITCODE => 9 }, @leaky);
	is($result->{status}, 9, 'fails as well');
	like($result->{err}, qr/^pqleash: the run fails, with exit status 9$/m, 'and says so');
	like($result->{out} . $result->{err}, qr/PASSED/, 'what the program printed is there');
	is(leashed({ PQLEASH_ERROR_EXITCODE => 9 }, @clean)->{status}, 0, 'not without findings');
	my $own = leashed({ PQLEASH_ERROR_EXITCODE => 9, PQLEASH_LIMIT => 1 }, "$subjects/legacy");
	is($own->{status}, 1, "the program's own failure stays");
	is(leashed({ PQLEASH_ERROR_EXITCODE => 9, CK_FORK => 'yes' }, "$subjects/planted/planted_check")->{status}, 1,
		'a process that only forks reports what its children say');
};

subtest 'a baseline' => sub {
	my $baseline = "$folder/baseline";
	is(reported({}, '--baseline', $baseline, @leaky)->{status}, 125, 'has to be there');
	my $made = reported({}, '--baseline', $baseline, '--write-baseline', @leaky);
	is($made->{status}, 0, 'or is made, and the run passes') or diag($made->{err});
	like($made->{err}, qr/^pqleash: at 5 places the findings are known \(baseline\)$/m, 'which is said');
	my $text = contents($baseline);
	like($text, qr{^leaked\|planted_cmocka\|tests/subjects/planted/planted_cmocka\.c\|leaks$}m, 'it names suite and function');
	unlike($text, qr/:\d/, 'and no lines');
	is(reported({}, '--baseline', $baseline, @leaky)->{status}, 0, 'what is known fails nothing');

	my $new = reported({}, '--baseline', $baseline, "--json=$folder/json", 'sh', '-c', "@leaky; $subjects/planted/planted_cunit");
	is($new->{status}, 86, 'what is new does');
	like($new->{err}, qr/^pqleash: 4 findings fail the run/m, 'and nothing else');
	unlike($new->{err}, qr/planted_cmocka\.c:/, 'what is known is not told again');
	is(scalar(grep { $_->{accepted} } @{ read_json("$folder/json")->{findings} }), 5, 'but marked, for machines');
	is(contents($baseline), $text, 'the file stays as it was');

	my $stale = reported({}, '--baseline', $baseline, @clean);
	is($stale->{status}, 0, 'what is there no more fails nothing');
	is(() = $stale->{err} =~ /^pqleash: \S+: no such finding any more: /mg, 5, 'and is told');
	reported({}, '--baseline', $baseline, '--write-baseline', 'sh', '-c', "$subjects/planted/planted_cunit");
	unlike(contents($baseline), qr/\|/, '--write-baseline takes it out, and takes nothing in');
};

subtest 'lines that move' => sub {
	my $baseline = "$folder/moved";
	my $source = contents(root() . '/tests/subjects/planted/planted_cmocka.c');
	# A program that is not instrumented hangs at its end with the runtime alone, without us.
	my @sanitize = $ENV{PQLEASH_TEST_PRELOAD} ? '-fsanitize=address' : ();
	my @include = (@sanitize, '-I' . root() . '/tests/subjects/planted', '-isystem', qx(pg_config --includedir) =~ s/\n//r);
	for my $version ($source, "/* moved */\n" x 7 . $source, $source =~ s/leaks\b/drips/gr) {
		write_file("$folder/planted_cmocka.c", $version);
		my $built = run({ LD_PRELOAD => undef }, 'cc', '-D_GNU_SOURCE', '-g', @include, '-o', "$folder/planted_cmocka",
			"$folder/planted_cmocka.c", '-lpq', '-lcmocka');
		is($built->{status}, 0, 'it is built') or diag($built->{err});
		my @new = -e $baseline ? () : '--write-baseline';
		my $result = reported({}, '--baseline', $baseline, @new, "$folder/planted_cmocka");
		is($result->{status}, $version =~ /drips/ ? 86 : 0, $version =~ /drips/ ? 'another function is new' : 'it passes')
			or diag($result->{err});
	}
};

my %broken = ('is no baseline of pqleash' => "leaked|a|b|c\n", 'is empty' => '',
	'line 3 is no finding' => "# pqleash baseline 1\n\nleaked\n");
for my $why (sort keys %broken) {
	write_file("$folder/broken", $broken{$why});
	my $result = reported({}, '--baseline', "$folder/broken", 'touch', "$folder/ran");
	is($result->{err}, "pqleash: $folder/broken: $why\n", "a baseline that $why is refused");
	is($result->{status}, 125, '... with status 125');
}
ok(!-e "$folder/ran", '... before the program is run');
is(reported({}, '--baseline', $folder, 'true')->{status}, 125, 'a folder is none');
is(reported({}, '--write-baseline', 'true')->{err}, "pqleash: --write-baseline needs --baseline FILE; see pqleash --help\n",
	'--write-baseline alone is refused');
my $unwritable = reported({}, '--baseline', '/proc/there/is/none', '--write-baseline', @leaky);
is($unwritable->{status}, 125, 'a baseline that cannot be written fails the run');
like($unwritable->{err}, qr{^pqleash: cannot write /proc/there/is/none: }m, '... and says why');

done_testing();
