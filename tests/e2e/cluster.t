# The promises of scripts/cluster, scripts/peak and scripts/setup: what all other end-to-end tests stand on.
use strict;
use warnings;

use File::Copy qw(copy);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use PqleashTest;
use Test::More;

my $cluster = root() . '/scripts/cluster';
my $peak = root() . '/scripts/peak';
my $setup = root() . '/scripts/setup';
chomp(my $bindir = qx(pg_config --bindir));

# A folder that the server's user may enter.
sub folder
{
	my $folder = tempdir('pqleash-test-XXXXXX', TMPDIR => 1, CLEANUP => 1);
	chmod 0755, $folder;
	return $folder;
}

sub write_file
{
	my ($path, $text) = @_;
	open my $file, '>', $path or die "$path: $!";
	print {$file} $text;
	close $file or die "$path: $!";
	return $path;
}

sub read_file
{
	my ($path) = @_;
	open my $file, '<', $path or return '';
	local $/ = undef;
	return <$file> // '';
}

sub write_script
{
	my ($path, $text) = @_;
	write_file($path, "#!/bin/sh\n$text\n");
	chmod 0755, $path;
	return $path;
}

sub in_shell { return run({}, $cluster, @_[0 .. $#_ - 1], '--', 'sh', '-c', $_[-1]) }

# Processes that work in the folder: every one of PostgreSQL's does.
sub processes_in
{
	my ($folder) = @_;
	return grep { (readlink "$_/cwd" // '') =~ /^\Q$folder\E/ } glob '/proc/[0-9]*';
}

# Starts a cluster without waiting for it. What it reads is a pipe: a command that reads ends with this test.
sub start
{
	my ($env, @command) = @_;
	pipe my $read, my $write or die "pipe: $!";
	my $pid = fork // die "fork: $!";
	if (!$pid) {
		close $write;
		open STDIN, '<&', $read or die;
		open STDOUT, '>', '/dev/null' or die;
		setpgrp;
		$SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
		@ENV{ keys %$env } = values %$env;
		exec $cluster, @command or die;
	}
	return { pid => $pid, input => $write };
}

sub status_of
{
	my ($started) = @_;
	my $ended = wait_until(sub { waitpid($started->{pid}, POSIX::WNOHANG()) == $started->{pid} },
		60, 'the cluster to end');
	return $ended ? ($? & 127 ? 128 + ($? & 127) : $? >> 8) : 'still running';
}

subtest 'the command finds its server' => sub {
	my ($result, @lines) = in_shell(<<'END');
psql -XAtqc 'SELECT current_user, current_database()'
psql -h 127.0.0.1 -XAtqc 'SELECT 1'
grep -c 'ready to accept' "$CLUSTER_LOG"
psql -XAtqc 'SHOW data_directory' | sed "s|$CLUSTER_DATA|the folder|"
psql -XAtqc 'SHOW fsync' -c 'SHOW server_encoding' -c 'SHOW max_connections'
echo "${CLUSTER_ROOTCERT-none}"
id -u
END
	is($result->{err}, '', 'all commands succeed');
	@lines = split /\n/, $result->{out};
	is(shift @lines, 'postgres|postgres', 'through the socket folder');
	is(shift @lines, 1, 'through the loopback address');
	is(shift @lines, 1, 'CLUSTER_LOG is its log');
	is(shift @lines, 'the folder', 'CLUSTER_DATA is its data folder');
	is(shift @lines, 'off', 'it does not wait for the disk');
	is(shift @lines, 'UTF8', 'it speaks UTF-8');
	is(shift @lines, 100, 'it allows 100 connections');
	is(shift @lines, 'none', 'it has no certificate');
	is(shift @lines, $>, 'the command runs as who called');
};

subtest 'the server is as asked for' => sub {
	my $result = run({}, $cluster, '--max-connections', 7, '--config', q{a.b=it's a \\ b=c}, '--config', 'work_mem=5MB',
		'psql', '-XAtqc', q{SHOW max_connections}, '-c', 'SHOW a.b', '-c', 'SHOW work_mem');
	is($result->{out} . $result->{err}, qq{7\nit's a \\ b=c\n5MB\n}, '--max-connections, --config');
};

subtest '--tls' => sub {
	my $result = in_shell('--tls', <<'END');
for host in localhost 127.0.0.1; do
	psql "host=$host sslmode=verify-full sslrootcert=$CLUSTER_ROOTCERT" -XAtqc \
		'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()'
done
END
	is($result->{out} . $result->{err}, "t\nt\n", 'a certificate that can be verified fully');
};

subtest '--scram' => sub {
	my $result = in_shell('--scram', <<'END');
psql -XAtqc "SELECT 'in'"
PGPASSWORD=wrong psql -XAtqc 'SELECT 1' || echo out
PGPASSWORD=wrong psql -h 127.0.0.1 -XAtqc 'SELECT 1' || echo out
psql -XAtqc "SELECT DISTINCT auth_method FROM pg_hba_file_rules"
echo "$PGPASSWORD"
END
	is($result->{out}, "in\nout\nout\nscram-sha-256\npqleash-postgres\n", 'only the right password gets in');
};

subtest 'the environment' => sub {
	my %foreign = map { $_ => 'nonsense' } qw(PGSERVICE PGPASSFILE PGOPTIONS PGHOSTADDR PGSSLMODE PGPASSWORD);
	my $result = run({ %foreign, PGPORT => 1, PGUSER => 'nobody' }, $cluster, 'psql', '-XAtqc', 'SELECT 1');
	is($result->{out} . $result->{err}, "1\n", 'inherited PG variables do not divert the command');

	my $sql = q{CREATE TEMP TABLE t(l text); COPY t FROM PROGRAM 'env';
		SELECT count(*) FROM t WHERE l ~ '^(LD_PRELOAD|PQLEASH)'};
	my %ours = (LD_PRELOAD => 'libm.so.6', PQLEASH => 0, PQLEASH_LIMIT => 'x y');
	$result = run(\%ours, $cluster, 'sh', '-c', qq{psql -XAtq <<'END'\n$sql\nEND\nenv | grep -E '^(LD_|PQLEASH)' | sort});
	my ($in_server, @in_command) = split /\n/, $result->{out};
	is($in_server, 0, 'the server sees neither LD_PRELOAD nor PQLEASH variables') or diag($result->{err});
	is_deeply([grep { !/TEST/ } @in_command], [map { "$_=$ours{$_}" } sort keys %ours], 'the command does');
};

subtest 'exit status and input' => sub {
	is(in_shell('exit 42')->{status}, 42, 'the exit status is the command\'s');
	my $result = in_shell('kill -SEGV $$');
	is($result->{status}, 139, '128+n when a signal ended it');
	is($result->{err}, '', '... and nothing is added to what it says');
	is(run({}, $cluster, 'no-such-command')->{status}, 127, '127 when there is no such command');
	is(run({ STDIN => 'hello' }, $cluster, 'cat')->{out}, 'hello', 'the command can read');
	is(in_shell('trap "exit 7" INT; kill -INT $$; exit 0')->{status}, 7, 'it is not deaf to Ctrl-C');
};

subtest 'usage' => sub {
	for my $script ($cluster, $peak, $setup, map { root() . "/$_" } 'scripts/lint', 'scripts/soak', '.ci/run') {
		my $result = run({}, $script, '--help');
		is("$result->{status} $result->{err}", '0 ', "$script --help");
		like($result->{out}, qr/^usage: /, '... tells the usage');
	}
	is(run({}, $cluster)->{status}, 2, 'no command');
	is(run({}, $cluster, '--no-such', 'true')->{status}, 2, 'an unknown option');
	is(run({}, $cluster, '--config', 'novalue', 'true')->{status}, 2, 'a setting without a value');
	is(run({}, $cluster, '--keep-logs')->{status}, 2, 'an option without its value');
};

subtest 'nothing is left' => sub {
	my $folder = folder();
	run({ TMPDIR => $folder }, $cluster, 'sh', '-c', "ls -d $folder/* >$folder/seen; rm $folder/seen; false");
	is_deeply([glob "$folder/*"], [], 'no folder');
	is_deeply([processes_in($folder)], [], 'no process');

	my $drop = $> ? '' : 'setpriv --reuid=postgres --clear-groups --regid=' . getgrnam('postgres');
	my $result = run({ TMPDIR => $folder }, $cluster, 'sh', '-c',
		qq{cd / && $drop $bindir/pg_ctl -D "\$CLUSTER_DATA" -l "\$CLUSTER_DATA/log" -w -m fast restart && psql -XAtqc 'SELECT 1'});
	like($result->{out}, qr/^1$/m, 'the command can restart the server') or diag($result->{err});
	is_deeply([glob("$folder/*"), processes_in($folder)], [], '... and still nothing is left');
};

subtest 'a deep TMPDIR' => sub {
	my $folder = folder() . '/long' x 25;
	make_path($folder);
	is(run({ TMPDIR => $folder }, $cluster, 'psql', '-XAtqc', 'SELECT 1')->{out}, "1\n", 'the socket is elsewhere');
};

subtest '--keep-logs' => sub {
	my $folder = folder();
	in_shell('--keep-logs', "$folder/new", 'psql -XAtqc "SELECT 1"');
	like(read_file("$folder/new/server.log"), qr/ \[\d+\] postgres\@postgres \S+ LOG:  connection authorized/,
		'the log is in that folder');
	in_shell('--keep-logs', "$folder/bad", '--config', 'work_mem=nonsense', 'true');
	like(read_file("$folder/bad/server.log"), qr/work_mem/, 'that of a server that did not start, too');
};

# Each stage is a file that appears then.
my %stages = (
	'the folder is made' => '',
	'initdb runs' => 'data/PG_VERSION',
	'the server starts' => 'server.log',
	'the server has its folder' => 'data/postmaster.pid',
	'the command runs' => 'marker',
);
for my $stage (sort keys %stages) {
	subtest "TERM when $stage" => sub {
		my $folder = folder();
		my $started = start({ TMPDIR => $folder }, 'sh', '-c', 'echo >"${CLUSTER_DATA%/*}/marker"; cat');
		my $come = sub { grep { -e "$_/$stages{$stage}" } glob "$folder/pqleash.*" };
		ok(wait_until($come, 60, $stage), 'it comes that far');
		kill TERM => $started->{pid};
		is(status_of($started), 143, 'the status tells');
		is_deeply([glob "$folder/*"], [], 'no folder is left');
		is_deeply([processes_in($folder)], [], 'no process is left');
	};
}

subtest 'other ways to end it' => sub {
	for my $way (['HUP', 1, 129], ['INT', 1, 130], ['INT', -1, 130]) {
		my ($signal, $whom, $status) = @$way;
		my $folder = folder();
		my $started = start({ TMPDIR => $folder }, 'sh', '-c', "echo >$folder/marker; exec cat");
		wait_until(sub { -e "$folder/marker" }, 60, 'the command');
		unlink "$folder/marker";
		kill $signal => $whom * $started->{pid};
		is(status_of($started), $status, "$signal " . ($whom < 0 ? 'to all, as Ctrl-C sends it' : 'to the script'));
		is_deeply([glob("$folder/*"), processes_in($folder)], [], '... and nothing is left');
	}
};

subtest 'TERM reaches the command while its server is there' => sub {
	my $folder = folder();
	my $started = start({ TMPDIR => $folder }, 'sh', '-c', <<"END");
trap 'psql -XAtqc "SELECT 42" >$folder/answer; exit 0' TERM
echo >$folder/marker
while :; do sleep 0.05; done
END
	wait_until(sub { -e "$folder/marker" }, 60, 'the command');
	kill TERM => $started->{pid};
	is(status_of($started), 143, 'the status is the signal\'s');
	is(read_file("$folder/answer"), "42\n", 'the command could tidy up');
};

subtest 'a command that does not listen' => sub {
	my $folder = folder();
	my $started = start({ TMPDIR => $folder }, 'sh', '-c', "trap '' TERM; echo \$\$ >$folder/pid; cat");
	wait_until(sub { -s "$folder/pid" }, 60, 'the command');
	kill TERM => $started->{pid};
	is(status_of($started), 143, 'is not waited for long');
	ok(!kill(0, read_file("$folder/pid") + 0), 'is killed');
};

subtest 'SIGKILL' => sub {
	my $folder = folder();
	my $started = start({ TMPDIR => $folder }, 'sh', '-c', "echo >$folder/marker; cat");
	wait_until(sub { -e "$folder/marker" }, 60, 'the command');
	kill KILL => $started->{pid};
	is(status_of($started), 137, 'the script cannot help it');
	ok(wait_until(sub { !processes_in($folder) }, 30, 'the server to end'), 'the server ends all the same');
};

subtest 'two at once' => sub {
	my @folders = (folder(), folder());
	my @started = map { start({ TMPDIR => $_ }, 'sh', '-c', "psql -XAtqc 'SHOW port' >$_/port; cat") } @folders;
	ok(wait_until(sub { 2 == grep { -s "$_/port" } @folders }, 60, 'two servers'), 'both run');
	isnt(read_file("$folders[0]/port"), read_file("$folders[1]/port"), 'on different ports');
	close $_->{input} for @started;
	is(status_of($_), 0, 'each ends by itself') for @started;
};

# A folder for PATH with a pg_config that tells of these binaries.
sub fake_server
{
	my ($bin) = @_;
	my $folder = folder();
	write_script("$folder/pg_config", "echo '$bin'");
	return { PATH => "$folder:$ENV{PATH}" };
}

subtest 'a port in use' => sub {
	my $bin = folder();
	symlink "$bindir/initdb", "$bin/initdb";
	chmod 0777, $bin;
	write_script("$bin/postgres", <<"END");
echo "\$*" >>$bin/tries
[ "\$(wc -l <$bin/tries)" -ge 3 ] && exec $bindir/postgres "\$@"
echo 'FATAL:  could not create any TCP/IP sockets'
exit 1
END
	my $result = run(fake_server($bin), $cluster, 'psql', '-XAtqc', 'SHOW port');
	my @tries = read_file("$bin/tries") =~ /-p (\d+)/g;
	is($result->{out}, "$tries[2]\n", 'another is tried') or diag($result->{err});
	isnt($tries[0], $tries[1], '... indeed another');
};

subtest 'a server that cannot start' => sub {
	my $folder = folder();
	my $result = run({ TMPDIR => $folder }, $cluster, '--config', 'work_mem=nonsense', 'echo', 'ran');
	is($result->{status}, 1, 'is a failure');
	like($result->{err}, qr/parameter "work_mem": "nonsense".*^cluster: the server does not start/ms, 'its log tells why');
	is($result->{out}, '', 'the command does not run');
	is_deeply([glob "$folder/*"], [], 'nothing is left');
};

subtest 'no server installed' => sub {
	my $result = run(fake_server('/nonexistent'), $cluster, 'true');
	like($result->{err}, qr{\Acluster: no PostgreSQL server in /nonexistent .*\n\z}, 'one line tells so');
	is($result->{status}, 1, 'a failure');
	my $path = folder();
	symlink "/bin/bash", "$path/bash";
	$result = run({ PATH => $path }, '/usr/bin/env', 'bash', $cluster, 'true');
	like($result->{err}, qr/\Acluster: pg_config not found.*\n\z/, 'no pg_config: one line as well');
};

subtest 'who may run it' => sub {
	plan skip_all => 'only root can become somebody else' if $>;
	my $folder = folder();
	copy($cluster, "$folder/cluster");
	chmod 0755, "$folder/cluster";
	chmod 01777, $folder;
	my (undef, undef, $uid, $gid) = getpwnam 'nobody';
	my $result = run({ TMPDIR => $folder, HOME => '/' }, 'setpriv', "--reuid=$uid", "--regid=$gid", '--clear-groups',
		"$folder/cluster", '--tls', '--scram', 'sh', '-c', 'id -u; psql -h localhost -XAtqc "SELECT current_user"');
	is($result->{out}, "$uid\npostgres\n", 'an ordinary user') or diag($result->{err});
	is_deeply([glob("$folder/pqleash*"), processes_in($folder)], [], '... leaving nothing');
};

sub peak_of
{
	my ($log, @options) = @_;
	my $result = run({}, $peak, @options, write_file(folder() . '/log', $log));
	return $result->{out} + 0;
}

subtest 'peak counts from the log' => sub {
	my $number = 0;
	my $line = sub { sprintf "2026-01-02 03:04:%02d.000 UTC [%d] %s\n", $number++, @_ };
	my $open = sub { $line->($_[0], 'postgres@postgres my app LOG:  connection authorized: user=postgres') };
	my $close = sub { $line->($_[0], 'postgres@postgres my app LOG:  disconnection: session time: 0:00:00.001') };

	is(peak_of(''), 0, 'an empty log');
	is(peak_of($open->(1) . $open->(2) . $close->(1) . $open->(3) . $close->(2)), 2, 'a leaver makes room');
	is(peak_of($open->(1) . $close->(1) . $open->(1) . $close->(1)), 1, 'a process number may come again');
	is(peak_of($open->(1) . $close->(1) . $open->(1), '--total'), 2, '--total counts both');
	is(peak_of($line->(1, '[unknown]@[unknown] LOG:  connection received: host=[local]') .
			$line->(1, 'a@b app FATAL:  sorry, too many clients already')), 0, 'a refused one never was');
	is(peak_of($open->(1) . $line->(1, "a\@b app LOG:  statement: SELECT 'LOG:  disconnection: ") .
			"\t2026-01-02 03:04:05.678 UTC [1] a\@b app LOG:  disconnection: '\n" . $open->(2)),
		2, 'a statement that quotes a log is no log');
	is(peak_of($open->(1) . $open->(2) . $line->(9, 'LOG:  all server processes terminated; reinitializing') .
			$open->(3) . $open->(4)), 2, 'a crash ends all');
	is(peak_of($open->(12) . $open->(1) . $line->(9, 'LOG:  server process (PID 12) was terminated by signal 9: Killed') .
			$open->(3)), 2, 'who is killed has ended, whoever tells');
	my $log = $open->(1) . $open->(2) . $open->(3) . $close->(1) . $open->(4);
	is(peak_of($log, '--since', 3), 1, '--since leaves out what was before');
	my ($ann, $anna) = map { "user=$_ database=b" } qw(ann anna);
	my $of_two = join '', map { $line->($_->[0], "LOG:  connection authorized: $_->[1]") } [ 1, $ann ], [ 2, $anna ], [ 3, $anna ];
	is(peak_of($of_two, '--user', 'ann'), 1, "--user leaves out others' connections");
	is(peak_of($of_two . $close->(3), '--user', 'anna', '--total'), 2, '... and no more');
	is(run({}, $peak, '--since', 'x', '/dev/null')->{status}, 2, 'a wrong number is an error');
	is(run({}, $peak)->{status}, 2, 'so is no log');
	isnt(run({}, $peak, '/nonexistent')->{status}, 0, 'so is a log that is not there');
};

subtest 'peak of a real server' => sub {
	my $result = in_shell('--config', 'log_statement=all', <<"END");
psql -XAtqc 'CREATE TABLE here()'
before=\$(wc -l <"\$CLUSTER_LOG")
meet='DO \$\$ BEGIN FOR i IN 1..3000 LOOP EXIT WHEN (SELECT count(*) FROM here) >= 5; PERFORM pg_sleep(0.01); END LOOP; END \$\$'
for i in 1 2 3 4 5; do psql -XAtqc 'INSERT INTO here DEFAULT VALUES' -c "\$meet" & done
wait
for i in 1 2 3; do psql -XAtqc 'SELECT 1' >/dev/null; done
$peak "\$CLUSTER_LOG"; $peak --total "\$CLUSTER_LOG"; $peak --total --since "\$before" "\$CLUSTER_LOG"
END
	is($result->{out}, "5\n9\n8\n", 'five at once, nine in all') or diag($result->{err});
};

# Runs scripts/setup where only these commands exist; a command is told by what it does.
sub setup_with
{
	my (%commands) = @_;
	my $path = folder();
	write_script("$path/$_", $commands{$_}) for keys %commands;
	return run({ PATH => $path }, $setup);
}

subtest 'setup where nothing is missing' => sub {
	for my $system ({ 'apt-get' => 'echo called', 'dpkg-query' => 'echo "ii "' },
		{ dnf => 'echo called', rpm => '' }, { apk => '' }) {
		my $result = setup_with(%$system);
		is("$result->{status}$result->{out}$result->{err}", '0', join(' and ', sort keys %$system) . ': says nothing');
	}
};

subtest 'setup where something is missing' => sub {
	my $result = setup_with(dnf => '', rpm => '[ "$2" != uthash-devel ] && [ "$2" != pgbouncer ]');
	is($result->{err}, "setup: packages are missing; as root, run: dnf install uthash-devel pgbouncer\n", 'dnf: the command');
	is($result->{status}, 1, '... and a failure');

	$result = setup_with(apk => '[ "$3" != cmocka-dev ]');
	is($result->{err}, "setup: packages are missing; as root, run: apk add cmocka-dev\n", 'apk: the command');
	is($result->{status}, 1, '... and a failure');

	my %debian = ('apt-get' => 'echo called', id => 'echo 1000',
		'dpkg-query' => 'case "$*" in *uthash-dev) echo "un " ;; *gdb) exit 1 ;; *) echo "ii " ;; esac');
	$result = setup_with(%debian);
	is($result->{err}, 'setup: packages are missing; as root, run: apt-get update && ' .
			"apt-get install -y --no-install-recommends uthash-dev gdb\n", 'apt-get, no root and no sudo: the command');
	is("$result->{status}$result->{out}", '1', '... and a failure');

	$result = setup_with(%debian, sudo => 'echo "sudo $*"');
	like($result->{out}, qr/^sudo -- \Q$setup\E$/m, 'apt-get, no root: sudo');
};

subtest 'setup on a system it does not know' => sub {
	my $result = setup_with();
	like($result->{err}, qr/\Asetup: no apt-get, dnf or apk here: .*\n\z/, 'one line');
	is($result->{status}, 0, 'the build may still be tried');
};

done_testing();
