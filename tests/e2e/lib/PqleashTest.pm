# What the end-to-end tests share: a server to run against, programs run with and without pqleash preloaded,
# and what the server says about its connections. Knows nothing of any one test.
#
#   use FindBin;
#   use lib "$FindBin::Bin/lib";
#   use PqleashTest;
#   in_cluster('--max-connections', 20);
#   my $line = log_size();
#   my $result = leashed({ PQLEASH_LIMIT => 2 }, build_dir() . '/tests/subjects/legacy');
#   is($result->{status}, 0, 'it passes') or diag($result->{err});
#   cmp_ok(peak_since($line), '<=', 2, 'the bound holds');
package PqleashTest;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Spec;
use JSON::PP ();
use POSIX ();
use Test::More ();
use Time::HiRes ();

our @EXPORT = qw(root build_dir in_cluster run leashed reported read_json psql_value server_connections
  log_size peak_since opened_since wait_until);

my $root = abs_path(dirname(__FILE__) . '/../../..');

# The repository's root folder.
sub root { return $root }

# Where make put what it built.
sub build_dir { return File::Spec->rel2abs($ENV{BUILD} || 'build', $root) }

# Called first in a test: starts it again in a throwaway server of its own (scripts/cluster with these
# options), unless somebody already did.
sub in_cluster
{
	my @options = @_;
	return if $ENV{PQLEASH_TEST_CLUSTER};
	$ENV{PQLEASH_TEST_CLUSTER} = 1;
	exec "$root/scripts/cluster", @options, '--', $^X, $0, @ARGV or die "scripts/cluster: $!";
}

# Runs a command, without a shell, to its end: run({ NAME => value }, 'psql', '-l'). A value of undef deletes the
# variable. Two names are ours: STDIN is text for the command to read (else it reads nothing), TIMEOUT the
# seconds after which its process group is killed (120).
# Returns { status => exit code or 128+signal, out => text, err => text, timed_out => 1 if it was killed }.
sub run
{
	my ($env, @command) = @_;
	my %env = %$env;
	my ($stdin, $timeout) = delete @env{qw(STDIN TIMEOUT)};
	$timeout //= 120;

	# Files, not pipes: no deadlock, and what a command leaves running cannot keep us waiting.
	my ($in, $out, $err) = map { _scratch_file($_) } $stdin // '', '', '';
	my $pid = fork // die "fork: $!";
	_become(\%env, $in, $out, $err, @command) if !$pid;

	my $timed_out;
	local $SIG{ALRM} = sub { $timed_out = kill KILL => -$pid };
	local @SIG{qw(INT TERM HUP)} = (sub { kill KILL => -$pid; exit 1 }) x 3;
	POSIX::setpgid($pid, $pid);    # the child does the same; whoever is first
	Time::HiRes::alarm($timeout);
	while (waitpid($pid, 0) < 0) {
		die "waitpid: $!" if !$!{EINTR};
	}
	my $status = $? & 127 ? 128 + ($? & 127) : $? >> 8;
	Time::HiRes::alarm(0);

	Test::More::diag("killed after $timeout s: @command") if $timed_out;
	return { status => $status, out => _text($out), err => _text($err), timed_out => $timed_out };
}

# The same with libpqleash.so preloaded and switched on.
sub leashed
{
	my ($env, @command) = @_;
	my @preload = grep { length } $ENV{PQLEASH_TEST_PRELOAD} // '', build_dir() . '/libpqleash.so';
	return run({ LD_PRELOAD => join(':', @preload), PQLEASH => 1, %$env }, @command);
}

# Runs the command: `pqleash OPTIONS PROGRAM`, or `pqleash report ...`. The runtime of a sanitizer comes first.
sub reported
{
	my ($env, @command) = @_;
	my %clean = map { $_ => undef } qw(PQLEASH PQLEASH_TRACE PQLEASH_ERROR_EXITCODE);
	return run({ %clean, LD_PRELOAD => $ENV{PQLEASH_TEST_PRELOAD}, %$env }, build_dir() . '/pqleash', @command);
}

# What a file of JSON says.
sub read_json
{
	my ($file) = @_;
	open my $handle, '<', $file or die "$file: $!";
	local $/ = undef;
	return JSON::PP->new->utf8->decode(<$handle>);
}

# What psql prints for a statement, never through pqleash. Dies if the statement fails.
sub psql_value
{
	my ($sql) = @_;
	my $result = run({ LD_PRELOAD => undef, PQLEASH => undef }, _psql(), '-XAtqc', $sql);
	die "$sql: $result->{err}" if $result->{status};
	chomp $result->{out};
	return $result->{out};
}

# How many clients the server has, the one that asks not counted.
sub server_connections
{
	return psql_value(q{SELECT count(*) FROM pg_stat_activity
		WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()});
}

# How many lines the server's log has now.
sub log_size
{
	open my $log, '<', $ENV{CLUSTER_LOG} or die "$ENV{CLUSTER_LOG}: $!";
	my $lines = () = <$log>;
	return $lines;
}

# The most connections that were open at once after that line of the server's log, and how many were opened.
# A connection opened before does not count.
sub peak_since { return _peak('--since', @_) }
sub opened_since { return _peak('--total', '--since', @_) }

# Calls the function until it returns something true, for at most so many seconds; returns that, or false with
# a line that says what was waited for.
sub wait_until
{
	my ($check, $seconds, $what) = @_;
	my $deadline = Time::HiRes::time() + $seconds;
	while (1) {
		my $value = $check->();
		return $value if $value;
		last if Time::HiRes::time() > $deadline;
		Time::HiRes::sleep(0.02);
	}
	Test::More::diag("waited $seconds s in vain: $what");
	return;
}

sub _peak
{
	my $result = run({}, "$root/scripts/peak", @_, $ENV{CLUSTER_LOG});
	die $result->{err} if $result->{status};
	return $result->{out} + 0;
}

# Debian's psql is a script that looks for the real one; we know where it is.
my $psql;

sub _psql
{
	return $psql if $psql;
	chomp(my $bindir = qx(pg_config --bindir));
	return $psql = -x "$bindir/psql" ? "$bindir/psql" : 'psql';
}

# A file without a name that holds the text and is read from the start.
sub _scratch_file
{
	my ($text) = @_;
	open my $file, '+>', undef or die "temporary file: $!";
	print {$file} $text;
	seek $file, 0, 0;
	return $file;
}

# The first 64 MB are enough of any program: one that never stops printing must not take the machine down.
sub _text
{
	my ($file) = @_;
	seek $file, 0, 0;
	read $file, my $text, 64 << 20;
	return $text // '';
}

# In the forked child: never returns, nor runs what a test wants to do at its end.
sub _become
{
	my ($env, $in, $out, $err, @command) = @_;
	POSIX::setpgid(0, 0);
	@SIG{qw(INT QUIT)} = ('DEFAULT') x 2;    # ignored under nohup, or in the background of a script
	open STDIN, '<&', $in or POSIX::_exit(126);
	open STDOUT, '>&', $out or POSIX::_exit(126);
	open STDERR, '>&', $err or POSIX::_exit(126);
	for my $name (keys %$env) {
		if (defined $env->{$name}) {
			$ENV{$name} = $env->{$name};
		} else {
			delete $ENV{$name};
		}
	}
	no warnings 'exec';
	exec { $command[0] } @command or print STDERR "$command[0]: $!\n";
	POSIX::_exit(127);
}

1;
