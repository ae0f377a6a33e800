# The promise: whatever breaks a connection, at whichever message, the program gets right answers or the failure that
# libpq shows; a session has all of its state or none; PQreset brings it back; nothing hangs or crashes; and the
# server never has more connections than allowed. The subject faults goes through the cases and judges what it
# sees; here each of its verdicts is one assertion, and the server is asked for its own view.
use strict;
use warnings;

use File::Temp;
use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;
use Test::More;

in_cluster('--max-connections', 60);

# Of each environment so many of its thousands of cases, by so many processes at the same time: most of a
# case's time it waits. PQLEASH_TEST_CASES=100000 runs all.
my $most = $ENV{PQLEASH_TEST_CASES} // 160;
my $shares = 2;

my @runs;
for my $limit (1, 2) {
	for my $parking (0, 1) {
		push @runs, map { { limit => $limit, parking => $parking, share => $_ } } 0 .. $shares - 1;
	}
}

# Each in a database of its own, so that the log can tell them apart.
my $folder = File::Temp->newdir;
for my $run (@runs) {
	$run->{database} = "faults_$run->{limit}_$run->{parking}_$run->{share}";
	$run->{name} = "limit $run->{limit}, " . ($run->{parking} ? 'parked after every call' : 'parked when needed');
	psql_value("CREATE DATABASE $run->{database}");
	psql_value_in($run->{database}, 'CREATE TABLE faults (tag text, n int)');
}

for my $run (@runs) {
	$run->{pid} = fork // die "fork: $!";
	next if $run->{pid};
	my $subjects = build_dir() . '/tests/subjects';
	my $result = leashed(
		{ PQLEASH_LIMIT => $run->{limit}, PQLEASH_TEST_PARK => $run->{parking} || undef, PQLEASH_POOL_TIMEOUT => 2,
		  PQLEASH_CONNECT_TIMEOUT => 2, PGDATABASE => $run->{database}, TIMEOUT => $ENV{PQLEASH_TEST_CASES} ? 7200 : 300 },
		"$subjects/faults", "$subjects/proxy", "$ENV{PGHOST}/.s.PGSQL.$ENV{PGPORT}", $most, $run->{share}, $shares);
	for my $what (qw(out err)) {
		open my $file, '>', "$folder/$run->{database}.$what" or die $!;
		print {$file} $result->{$what};
		close $file;
	}
	POSIX::_exit($result->{status});
}

my (%kinds, $cases);
for my $run (@runs) {
	waitpid $run->{pid}, 0;
	is($?, 0, "$run->{name}: all cases were run") or diag(text_of("$folder/$run->{database}.err"));
	my %rows;
	for my $line (split /\n/, text_of("$folder/$run->{database}.out")) {
		if ($line =~ /^rows (\S+) (\w+)$/) {
			$rows{$1} = $2;
			next;
		}
		my ($case, $verdict, $kind, $class, $scenario, $mode, $failures, $wrong) = split / /, $line, 8;
		my $moment = moment_of($class);
		ok($verdict eq 'right', "$run->{name}, $scenario, $mode: $kind $moment, failures: $failures (case $case)") or diag($wrong);
		next if $class eq '-';
		$kinds{$kind}{$moment}++;
		$cases++;
	}
	is(wrong_rows($run->{database}, \%rows), '', "$run->{name}: the server has the rows of all transactions that the program knows to have succeeded, and of no others");
	cmp_ok(peak_of($run->{database}), '<=', $run->{limit}, "$run->{name}: according to the server's log the bound holds");
}

cmp_ok($cases, '>=', 200, "$cases cases");
for my $kind (sort keys %kinds) {
	note("$kind: ", join ', ', map { "$kinds{$kind}{$_} $_" } sort keys %{ $kinds{$kind} });
}
note('cases: ', $cases);

# What the proxy's letters mean.
sub moment_of
{
	my ($class) = @_;
	my %moments = (c => 'connecting', e => 'examining', p => 'capture', s => 'reset', b => 'restore', q => 'a statement',
		t => 'a transaction', i => 'COPY FROM STDIN', o => 'COPY TO STDOUT', r => 'a result of many rows', '-' => 'nothing');
	return ($class =~ /[A-Z]/ ? 'after ' : 'in ') . ($moments{ lc $class } // die $class);
}

# All rows of a unit, or none.
sub wrong_rows
{
	my ($database, $rows) = @_;
	my %found = map { split /\|/ } split /\n/, psql_value_in($database, 'SELECT tag, count(*) FROM faults GROUP BY tag');
	my %allowed = (all => [3], none => [0], either => [ 0, 3 ]);
	return join ', ', grep {
		my $count = $found{$_} // 0;
		!grep { $_ == $count } @{ $allowed{ $rows->{$_} // 'none' } }
	} sort keys %{ { %$rows, %found } };
}

sub psql_value_in
{
	my ($database, $sql) = @_;
	local $ENV{PGDATABASE} = $database;
	return psql_value($sql);
}

sub peak_of
{
	my ($database) = @_;
	my $own = File::Temp->new;
	print {$own} grep { /\@\Q$database\E / } split /^/, text_of($ENV{CLUSTER_LOG});
	close $own;
	my $result = run({}, root() . '/scripts/peak', "$own");
	return $result->{out} + 0;
}

sub text_of
{
	my ($name) = @_;
	open my $file, '<', $name or die "$name: $!";
	local $/ = undef;
	return scalar <$file>;
}

done_testing();
