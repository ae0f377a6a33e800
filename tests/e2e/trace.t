# The promise: the trace tells of everything up to the last moment, to nobody else, without a password; what is wrong
# with one is told in a line, and the rest of it is reported.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;

use File::Temp qw(tempdir);
use Test::More;

in_cluster('--max-connections', 40, '--scram');

my $subjects = build_dir() . '/tests/subjects';
my $cmocka = "$subjects/planted/planted_cmocka";
my $folder = tempdir(CLEANUP => 1);
my $number = 0;

sub fresh { return "$folder/" . $number++ }

sub traces_in
{
	my ($in) = @_;
	my @traces = sort glob "$in/*";
	return @traces;
}

sub contents
{
	my ($file) = @_;
	open my $handle, '<', $file or die "$file: $!";
	local $/ = undef;
	return <$handle> // '';
}

sub write_file
{
	my ($file, $text) = @_;
	open my $handle, '>', $file or die "$file: $!";
	print {$handle} $text;
	close $handle or die "$file: $!";
	return;
}

# A trace of the planted misuses.
sub traced
{
	my $in = fresh();
	my $result = leashed({ PQLEASH_TRACE => $in }, $cmocka);
	diag($result->{err}) if $result->{status};
	return $in;
}

sub leaks_in
{
	my ($report) = @_;
	my $leaks = 0;
	$leaks += $_ for $report->{out} =~ /^ +(\d+) leaked /mg;
	return $leaks;
}

subtest 'for its owner alone' => sub {
	my $in = traced();
	is((stat $in)[2] & 0777, 0700, 'the folder');
	my ($file, @more) = traces_in($in);
	is(scalar(@more), 0, 'with one file for one process');
	like($file, qr{/planted_cmocka\.\d+\.\d{13}\.jsonl$}, 'by its name, pid and time');
	is((stat $file)[2] & 0777, 0600, 'is readable by nobody else');
};

subtest 'places that are refused' => sub {
	my ($open, $to_group, $foreign, $target, $link) = map { fresh() } 1 .. 5;
	mkdir $_ or die $! for $open, $to_group, $foreign, $target;
	chmod 0777, $open;
	chmod 0770, $to_group;
	symlink $target, $link;
	my $not_ours = 'must be a folder of our own that nobody else may write to';
	my %why = ($open => $not_ours, $to_group => $not_ours, (map { $_ => 'Not a directory' } $link, "$link/", "$link//.", "$link/./"),
		($> == 0 && chown(65534, -1, $foreign) ? ($foreign => $not_ours) : ()),
		'/dev/null/x' => 'Not a directory', '/proc/there/is/none' => 'No such file or directory');
	for my $place (sort keys %why) {
		my $result = leashed({ PQLEASH_TRACE => $place }, $cmocka);
		is($result->{status}, 0, "$place: the program runs as without");
		is(() = $result->{err} =~ /^pqleash: /mg, 1, '... with one line') or diag($result->{err});
		like($result->{err}, qr/^pqleash: no trace: \Q$place\E: $why{$place}$/m, '... that says why');
	}
	is_deeply([traces_in($_)], [], "and nothing is written to $_") for $open, $to_group, $foreign, $target;
	for my $place ($link, "$link/") {
		my $result = reported({}, '--trace', $place, '--', $cmocka);
		is($result->{err}, qq{pqleash: no trace: "$place" is a symbolic link\n}, 'the launcher says the same');
		is_deeply([traces_in($target)], [], '... and nothing is written');
	}
	my $above = fresh();
	symlink $folder, $above;
	my $in = "$above/" . (fresh() =~ s{.*/}{}r);
	is(leashed({ PQLEASH_TRACE => "$in/" }, $cmocka)->{err} =~ /no trace/, '', 'a folder behind a link is one');
	is(scalar(traces_in($in)), 1, '... and has its trace');
};

subtest 'a program that closes all descriptors' => sub {
	my ($in, $own) = (fresh(), "$folder/own");
	my $result = leashed({ PQLEASH_TRACE => $in }, "$subjects/closes", $own);
	is($result->{status}, 0, 'it works') or diag($result->{out}, $result->{err});
	is(contents($own), '', 'nothing of ours gets into its own file');
	is(leaks_in(reported({}, 'report', $in)), 2, 'both connections are told');
};

subtest 'a container that forbids statx' => sub {
	my ($in, $own, $calls) = (fresh(), "$folder/own", "$folder/calls");
	plan skip_all => 'for the object alone' if $ENV{PQLEASH_TEST_PRELOAD};
	my $result = run({ LD_PRELOAD => undef, PQLEASH => 1, PQLEASH_TRACE => $in }, 'strace', '-f', '-o', $calls, '-e', 'inject=statx:error=EPERM', '-e', 'trace=statx',
		'-E', 'LD_PRELOAD=' . build_dir() . '/libpqleash.so', "$subjects/closes", $own);
	cmp_ok(() = contents($calls) =~ /statx\(.*EPERM/g, '>', 1, 'it is forbidden');
	is($result->{status}, 0, 'the program works') or diag($result->{out}, $result->{err});
	is(leaks_in(reported({}, 'report', $in)), 2, 'both connections are told');
};

subtest 'a full disk' => sub {
	my $in = fresh();
	my $result = leashed({ PQLEASH_TRACE => $in }, 'sh', '-c', "trap '' XFSZ; ulimit -f 64; exec $subjects/legacy");
	is($result->{status}, 0, 'the program does not notice');
	is(() = $result->{err} =~ /^pqleash: the trace is not complete: \S+: (?:File too large|No space left on device)$/mg, 1, 'one line says so')
		or diag($result->{err});
	my $report = reported({}, 'report', $in);
	is($report->{status}, 0, 'what is there is reported');
	cmp_ok(leaks_in($report), '>', 0, '... with the first leaks');
};

subtest 'ends of all kinds' => sub {
	for my $end ('_exit', 'abort', 'kill') {
		my $in = fresh();
		leashed({ PQLEASH_TRACE => $in }, "$subjects/ends", $end);
		my $report = reported({}, 'report', $in);
		is(leaks_in($report), 1, "after $end, what was open is told") or diag($report->{out});
		like($report->{out}, qr/^pqleash: ends was killed, or ended by _exit/m, '... with why');
	}
	my $in = fresh();
	leashed({ PQLEASH_TRACE => $in }, "$subjects/ends", 'fork');
	my @traces = traces_in($in);
	is(scalar(@traces), 2, 'a forked child has a trace of its own');
	like(contents($_), qr/"open",.*"session":1,/, '... with numbers of its own') for @traces;
	my $report = reported({}, 'report', "--json=$folder/json", $in);
	is_deeply([sort map { $_->{count} } grep { $_->{kind} eq 'leaked' } @{ read_json("$folder/json")->{findings} }], [2],
		'with its own session, and that of its parent is not told twice') or diag($report->{out});
};

subtest 'a process that runs as before is not in a later run' => sub {
	my $in = traced();
	sleep 1;
	my $later = reported({}, '--limit', 4, '--trace', $in, "$subjects/threads", 2, 4, 8);
	like($later->{err}, qr/^pqleash: nothing leaked; 4 connections in 1 process$/, 'into the same folder');
	is(leaks_in(reported({}, 'report', $in)), 1, 'but in the report of the folder');
};

# Each: what is done to a good trace, and what is said of it.
my %broken = (
	'cut off in its last line' => [sub { substr $_[0], 0, -10 }, undef],
	'cut off in the middle' => [sub { substr $_[0], 0, length($_[0]) / 2 }, undef],
	'with garbage in it' => [sub { $_[0] =~ s/\n/\n\x00\xff{{"event":\n[]\n/r }, qr/2 of \d+ lines make no sense, the first is line 2$/m],
	'with lines in a wrong order' => [sub { my ($first, @rest) = split /^/, $_[0]; join '', $first, reverse @rest },
		qr/\d+ of \d+ lines make no sense/],
	'without a line that names a module' => [sub { $_[0] =~ s/^\{"event":"module".*\n//mr }, undef],
	'with events of a time to come' => [sub { $_[0] =~ s/\n/\n{"event":"novel","ms":1,"session":{}}\n/r }, undef],
	'with numbers beyond all measure' => [sub { $_[0] . qq({"event":"open","ms":1,"session":99999999999999}\n)
		. qq({"event":"stack","ms":1,"stack":-7,"frames":[]}\n) }, qr/2 of \d+ lines make no sense/],
);
for my $how (sort keys %broken) {
	my ($change, $said) = @{ $broken{$how} };
	my $in = traced();
	my ($file) = traces_in($in);
	write_file($file, $change->(contents($file)));
	system 'cp', (traces_in(traced()))[0], "$in/whole.1.1.jsonl";
	my $report = reported({}, 'report', $in);
	is($report->{status}, 0, "a trace $how is no failure");
	cmp_ok(leaks_in($report), '>=', 1, '... the rest is reported');
	my @said = grep { !/^pqleash: (\d+ leaked|the program held)/ } $report->{out} =~ /^(pqleash: .*)/mg;
	@said = grep { !/was killed, or ended/ } @said;
	is(scalar(@said), $said ? 1 : 0, $said ? '... with one line' : '... without a word') or diag("@said");
	like($report->{out} =~ s/\n  / /gr, $said, '... that says what') if $said;
}

subtest 'what is no trace' => sub {
	my $in = traced();
	write_file("$in/a.1.1.jsonl", '');
	write_file("$in/b.1.1.jsonl", "hello\n");
	write_file("$in/c.1.1.jsonl", "{\"event\":\"open\"}\n");
	write_file("$in/notes.txt", 'not looked at');
	symlink '/etc/passwd', "$in/d.1.1.jsonl";
	mkdir "$in/e.1.1.jsonl";
	system 'mkfifo', "$in/f.1.1.jsonl";
	open my $sparse, '>', "$in/g.1.1.jsonl" or die;
	truncate $sparse, 5 << 30 or die "truncate: $!";
	write_file("$in/h.1.1.jsonl", '{"event":"start","version":1,"ms":1' . ' ' x (2 << 20) . "}\n");
	my $report = reported({}, 'report', $in);
	is(leaks_in($report), 1, 'the one there is is reported');
	my @said = $report->{out} =~ /^pqleash: (\w\.1\.1\.jsonl: .*)$/mg;
	is_deeply(\@said, ['a.1.1.jsonl: not a trace of pqleash, or empty; left out',
		'b.1.1.jsonl: not a trace of pqleash, or empty; left out', 'c.1.1.jsonl: not a trace of pqleash, or empty; left out',
		'd.1.1.jsonl: is a symbolic link; left out', 'e.1.1.jsonl: not a file; left out', 'f.1.1.jsonl: not a file; left out',
		'g.1.1.jsonl: larger than 4 GB; left out', 'h.1.1.jsonl: not a trace of pqleash, or empty; left out'], 'a line for each other');
	is(reported({}, 'report', "$in/notes.txt")->{status}, 125, 'a file is no folder');
	is(reported({}, 'report', "$in/none")->{err}, "pqleash: no traces: $in/none: No such file or directory\n", 'nor is nothing');
	like(reported({}, 'report', tempdir(CLEANUP => 1))->{out}, qr/^pqleash: nothing was intercepted: no trace in that folder/,
		'an empty one is not called green');
};

subtest 'no password, however it is given' => sub {
	my $in = fresh();
	my $secret = 'sEcReT77';
	write_file("$folder/service", "[planted]\npassword=$secret\n");
	write_file("$folder/passfile", "*:*:*:*:$secret\n");
	chmod 0600, "$folder/passfile";
	my ($host, $port, $user) = @ENV{qw(PGHOST PGPORT PGUSER)};
	my @conninfos = ("host=127.0.0.1 password=$secret", "postgresql://$user:$secret\@127.0.0.1:$port/postgres",
		"postgresql://127.0.0.1:$port/postgres?password=$secret", "dbname='postgresql://x:$secret\@h/d'", "password=$secret options=--x=$secret",
		"service=planted", "passfile=$folder/passfile host=127.0.0.1", 'host=127.0.0.1');
	my $printed = '';
	for my $conninfo (@conninfos) {
		my $result = leashed({ PQLEASH_TRACE => $in, PGPASSWORD => $secret, PGSERVICEFILE => "$folder/service", PQLEASH_DEBUG => 1 },
			"$subjects/ends", 'exit', $conninfo);
		$printed .= $result->{err};
	}
	is(scalar(traces_in($in)), scalar(@conninfos), 'each has left a trace');
	my $everything = join '', $printed, map { contents($_) } traces_in($in);
	my $report = reported({}, 'report', '--html', "$folder/h", "--json=$folder/j", "--junit=$folder/x", "--sarif=$folder/s", '--github', $in);
	$everything .= join '', $report->{out}, $report->{err}, map { contents("$folder/$_") } qw(h j x s);
	cmp_ok(length $everything, '>', 10_000, 'all that was written');
	unlike($everything, qr/$secret/i, 'tells no password');
	unlike($everything, qr/SELECT 1/, 'and no statement');
};

subtest 'why nothing was seen' => sub {
	write_file("$folder/empty.c", "int main(void) { return 0; }\n");
	system('cc', '-static', '-o', "$folder/static", "$folder/empty.c") == 0 or die;
	write_file("$folder/libpq.c", "void PQconnectStartParams(void) {}\nint main(void) { return 0; }\n");
	system('cc', '-o', "$folder/within", "$folder/libpq.c") == 0 or die;
	system('cp', "$folder/within", "$folder/setuid") == 0 && chmod 04755, "$folder/setuid" or die;
	system('cp', $cmocka, "$folder/pgbouncer") == 0 or die;
	my %why = (static => 'is statically linked: nothing can be preloaded into it', within => 'has libpq linked into it statically',
		setuid => 'runs with other rights (setuid)', pgbouncer => 'is left alone, as PQLEASH_SKIP has it');
	for my $program (sort keys %why) {
		my $said = reported({}, "$folder/$program")->{err} =~ s/\n  / /gr;
		like($said, qr/^pqleash: nothing was intercepted: \S+ \Q$why{$program}\E/m, "$program: it is said");
	}
};

done_testing();
