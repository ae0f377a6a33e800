# The promise: the report names every planted misuse with its kind, suite, file and line, and nothing else; in forms
# that people and machines read.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;

use File::Temp qw(tempdir);
use Test::More;

in_cluster('--max-connections', 40);

my $subjects = build_dir() . '/tests/subjects';
my $sources = root() . '/tests/subjects';
my $folder = tempdir(CLEANUP => 1);

# What the report says, as "KIND FILE:LINE SUITE" with how many; in the place of a line that is not known, the test.
sub findings_of
{
	my ($env, @command) = @_;
	my $result = reported($env, "--json=$folder/json", @command);
	diag($result->{out}, $result->{err}) if !-s "$folder/json";
	my $report = read_json("$folder/json");
	my %found;
	for my $finding (@{ $report->{findings} }) {
		my $place = $finding->{place};
		my $where = $place && $place->{file} ? "$place->{file}:$place->{line}" : $finding->{test} // '?';
		$found{"$finding->{kind} $where $finding->{suite}"} += $finding->{count};
	}
	return (\%found, $report, $result);
}

# The same from the comments in a source file: "planted: KIND".
sub planted_in
{
	my ($file, $suite_of) = @_;
	my %planted;
	open my $source, '<', root() . "/$file" or die "$file: $!";
	while (<$source>) {
		$planted{"$1 $file:$. " . $suite_of->($.)} = 1 if /planted: ([\w-]+)/;
	}
	return \%planted;
}

# Each misuse of the 22 suites, as their comments describe them: kind, suite, where, how often.
my @legacy = (
	['leaked', 'accounts', 'PGconn *conn = PQconnectdb', 8], ['leaked', 'tenants', 'conns[i] = PQconnectdb', 6],
	['leaked', 'archive', 'check_page', 24], ['leaked', 'archive', 'check_read_in_one_go', 1],
	['leaked', 'archive', 'check_read_row_by_row', 1], ['leaked', 'search', '= PQconnectStart', 24],
	['leaked', 'billing', 'return PQconnectdb', 22], ['leaked', 'reports', 'return PQconnectdbParams', 22],
	['leaked', 'inventory', '*taker = PQconnectdb', 3], ['leaked', 'inventory', 'inventory = PQconnectdb', 1],
	['leaked', 'catalog', 'catalog = PQconnectdb', 1], ['leaked', 'imports', 'check_export', 1],
	['leaked', 'jobs', 'dispatcher = PQconnectdb', 1], ['leaked', 'notifications', '*listener = PQconnectdb', 1],
	['used-after-finish', 'logins', 'CHECK_VALUE(member.conn, "f"', 12],
	['used-after-finish', 'dashboard', 'CHECK_NUMBER(', 1], ['finished-twice', 'cleanup', 'PQfinish(conn)', 11],
	['transaction-left-open', 'ledger', 'try_posting', 16], ['transaction-left-open', 'ledger', 'check_cursor', 1],
	['transaction-left-open', 'billing', 'return PQconnectdb', 2],
);

# The line of a source that has the text; of a function, by its name, the line where it connects.
sub line_of
{
	my ($file, $text) = @_;
	my $wanted = $text =~ /^\w+$/ ? qr/^static \w+ $text\(/ : qr/\Q$text/;
	open my $source, '<', root() . "/$file" or die "$file: $!";
	while (<$source>) {
		next if $_ !~ $wanted;
		return $. if $wanted eq qr/db_open/ || $text !~ /^\w+$/;
		$wanted = qr/db_open/;
	}
	die "no $text in $file";
}

subtest '22 suites' => sub {
	my %expected;
	for my $misuse (@legacy) {
		my ($kind, $suite, $text, $count) = @$misuse;
		my $file = "tests/subjects/legacy/suite_$suite.c";
		$expected{"$kind $file:" . line_of($file, $text) . " $file"} = $count;
	}
	my ($found, $report, $result) = findings_of({ PQLEASH_LIMIT => 10 }, "$subjects/legacy");
	is($result->{status}, 0, 'the program passes, and nothing was to fail it');
	is_deeply($found, \%expected, 'every misuse, and nothing else');
	is($report->{totals}{most_sessions}, 130, 'with what it would have needed');
	is(scalar(grep { length > 80 } split /\n/, $result->{err}), 0, 'the text fits 80 columns');
	like($result->{err}, qr/^pqleash: 116 leaked, 13 used after finish, 11 finished twice, 19 transaction\n/, 'totals first');
	unlike($result->{err}, qr/\e/, 'without colours, where nobody sees them');
};

my $cmocka = 'tests/subjects/planted/planted_cmocka.c';
my $in_its_file = sub { $cmocka };
subtest 'cmocka' => sub {
	my ($found) = findings_of({}, "$subjects/planted/planted_cmocka");
	is_deeply($found, planted_in($cmocka, $in_its_file), 'every misuse, and nothing else');
};

subtest 'a stripped binary with separate debug information' => sub {
	my $program = "$folder/stripped";
	system('cp', "$subjects/planted/planted_cmocka", $program) == 0 or die;
	system('objcopy', '--only-keep-debug', $program, "$program.debug") == 0 or die;
	system('objcopy', '--strip-all', "--add-gnu-debuglink=$program.debug", $program) == 0 or die;
	my ($found) = findings_of({}, $program);
	is_deeply($found, planted_in($cmocka, $in_its_file), 'every misuse, and nothing else');
	unlink "$program.debug";
	($found) = findings_of({}, $program);
	is(scalar(grep { /^leaked \? stripped$/ } keys %$found), 1, 'without that, the program is the suite') or diag(explain($found));
	like(reported({}, $program)->{err}, qr/^ +1 leaked +stripped\+0x[0-9a-f]+ /m, '... and the place an address');
};

subtest 'CUnit' => sub {
	my $file = 'tests/subjects/planted/planted_cunit.c';
	my ($found) = findings_of({}, "$subjects/planted/planted_cunit");
	# "leaks" and what outlives its suite are in the first suite.
	my $second = line_of($file, 'ask("SELECT 2")');
	my $expected = planted_in($file, sub { 'second' });
	for my $name (grep { /^(leaked|outlived)/ } keys %$expected) {
		$expected->{ $name =~ s/second$/first/r } = delete $expected->{$name};
	}
	is_deeply($found, $expected, 'every misuse with the suite that CUnit was running, and nothing else');
};

for my $fork ('yes', 'no') {
	subtest "Check, CK_FORK=$fork" => sub {
		my $file = 'tests/subjects/planted/planted_check.c';
		my ($found, $report) = findings_of({ CK_FORK => $fork }, "$subjects/planted/planted_check");
		is_deeply($found, planted_in($file, sub { $file }), 'every misuse, and nothing else');
		is($report->{totals}{processes}, $fork eq 'yes' ? 5 : 1, 'of all processes together');
		is((grep { $_->{kind} eq 'leaked' } @{ $report->{findings} })[0]{test}, 'leaks', 'and the test is told');
	};
}

subtest 'pytest with psycopg2' => sub {
	my $file = 'tests/subjects/planted/test_planted.py';
	my ($found, $report, $result) = findings_of({}, '/usr/bin/python3', '-m', 'pytest', '-q', '-p', 'no:cacheprovider', $file);
	is_deeply($found, { "leaked test_leaks $file" => 1,
		"transaction-left-open TestGroup::test_leaves_a_transaction $file" => 1 }, 'both misuses, and nothing else')
		or diag($result->{out}, $result->{err});
};

subtest 'who tells of the suite' => sub {
	my $steps = "suite_begin early\nopen a \nopen b \nsuite_end\nopen c \nfinish a\n";
	my ($found) = findings_of({ STDIN => $steps }, "$subjects/steps");
	# Which of the two files it is depends on how a call at the end of a function was compiled.
	my ($place, $file) = map { m{((tests/subjects/steps/(?:main|connections)\.c):\d+)} } keys %$found;
	is_deeply($found, { "outlived-its-suite $place early" => 1, "leaked $place early" => 1,
		"leaked $place $file" => 1 }, 'the program itself, by pqleash.h') or diag(explain($found));
	($found) = findings_of({ STDIN => $steps, PQLEASH_SUITE => 'all tests' }, "$subjects/steps");
	ok($found->{"leaked $place all tests"}, 'PQLEASH_SUITE, where the program does not') or diag(explain($found));

	open my $bats, '>', "$folder/suite.bats" or die;
	print {$bats} "\@test 'leaks one' {\n  '$subjects/ends' exit\n}\n";
	close $bats or die;
	my ($in_bats, $report) = findings_of({ PQLEASH_SUITE => 'all tests' }, 'bats', "$folder/suite.bats");
	my ($finding) = @{ $report->{findings} };
	is("$finding->{suite}, $finding->{test}", "$folder/suite.bats, test_leaks_one", 'bats');

	open my $python, '>', "$folder/script.py" or die;
	print {$python} "import ctypes, psycopg2\nctypes.pythonapi.Py_IncRef(ctypes.py_object(psycopg2.connect('')))\n";
	close $python or die;
	($found) = findings_of({}, '/usr/bin/python3', '-B', "$folder/script.py");
	is_deeply([map { /^leaked .* (\S+)$/ } keys %$found], ["$folder/script.py"], 'else the script') or diag(explain($found));
};

subtest 'plugins' => sub {
	my $plugin = "$subjects/plugins/one.so";
	my ($found, $report) = findings_of({}, "$subjects/loads", 'open', $plugin, 'leak', $plugin, 3, 'close', $plugin);
	my ($finding) = @{ $report->{findings} };
	my ($frame) = grep { ($_->{function} // '') eq 'leak' } @{ $finding->{stack} };
	my $file = 'tests/subjects/plugins/plugin.c';
	is("$frame->{file}:$frame->{line}", "$file:" . line_of($file, '= PQconnectdb'), 'that are closed have names');
};

subtest 'all is well' => sub {
	my ($found) = findings_of({}, "$subjects/threads", 2, 4, 8);
	is_deeply($found, {}, 'nothing is found');
	is(reported({ PQLEASH_LIMIT => 4 }, "$subjects/threads", 2, 4, 8)->{err}, "pqleash: nothing leaked; 4 connections in 1 process\n", 'one line says so');
};

subtest 'several processes are one run' => sub {
	my ($found, $report) = findings_of({}, 'sh', '-c',
		"$subjects/planted/planted_cmocka & $subjects/planted/planted_cunit; wait");
	is($report->{totals}{processes}, 2, 'both are in it');
	is($report->{totals}{leaked}, 2, 'with what each leaked');
};

subtest 'killed in the middle' => sub {
	my $result = reported({ PQLEASH_LIMIT => 2 }, "--json=$folder/json", 'sh', '-c',
		"$subjects/planted/planted_check & $subjects/queue timeout 30 & sleep 2; kill -KILL \$!; wait");
	my $report = read_json("$folder/json");
	is(scalar(grep { $_->{program} eq 'queue' && $_->{kind} eq 'leaked' } @{ $report->{findings} }), 2,
		'what was open then is told') or diag($result->{err});
	like(join("\n", @{ $report->{problems} }), qr/^queue was killed, or ended by _exit/, '... and why');
};

subtest 'the pool is exhausted' => sub {
	my ($found, $report) = findings_of({ PQLEASH_LIMIT => 1, PQLEASH_POOL_TIMEOUT => 1 }, "$subjects/queue", 'timeout', 2);
	my ($finding) = grep { $_->{kind} eq 'pool-exhausted' } @{ $report->{findings} };
	like($finding->{details}, qr{^held by tests/subjects/queue\.c:\d+ \(suite tests/subjects/queue\.c\)$}, 'with its holders');
};

subtest 'for machines' => sub {
	my $result = reported({}, "--junit=$folder/junit", "--sarif=$folder/sarif", '--html', "$folder/page.html", '--github',
		"$subjects/planted/planted_cmocka");
	for my $schema ('junit-ant', 'junit-jenkins') {
		my $checked = run({}, 'xmllint', '--nonet', '--noout', '--schema', root() . "/tests/schemas/$schema.xsd", "$folder/junit");
		is($checked->{status}, 0, "JUnit is valid by $schema") or diag($checked->{err});
	}
	my $checked = run({}, '/usr/bin/python3', '-W', 'ignore', '-m', 'jsonschema', '-i', "$folder/sarif",
		root() . '/tests/schemas/sarif-2.1.0.json');
	is($checked->{status}, 0, 'SARIF is valid') or diag($checked->{out}, $checked->{err});
	my $line = line_of($cmocka, 'open_planted(); /* planted');
	like($result->{out}, qr{^::error file=\Q$cmocka\E,line=$line,title=pqleash%3A leaked::}m, 'GitHub gets file and line');
	my $page = run({ LD_PRELOAD => undef, HOME => $folder }, 'chromium', '--headless', '--no-sandbox', '--disable-gpu',
		'--enable-logging=stderr', '--virtual-time-budget=3000', '--dump-dom', "file://$folder/page.html");
	like($page->{out}, qr{<h2 id="findings-title">Findings \(5\)</h2>}, 'the page shows the findings');
	is_deeply([grep { /CONSOLE/ } split /\n/, $page->{err}], [], 'without a console error');
};

done_testing();
