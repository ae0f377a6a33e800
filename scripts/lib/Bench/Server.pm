# A throwaway server that lives as long as this object (scripts/cluster sees to that: its command waits for our end
# of a pipe), and a PgBouncer before it where one is asked for. Owns both; measures nothing.
package Bench::Server;

use strict;
use warnings;

use Bench::Process qw(start_process);
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp ();
use POSIX ();
use Time::HiRes qw(sleep time);

my $scripts = abs_path(dirname(__FILE__) . '/../..');

# What a line in the log costs is not to be measured.
my @quiet = map { ('--config', "$_=off") } qw(log_connections log_disconnections);

# start(OPTIONS of scripts/cluster): returns when it accepts connections.
sub start
{
	my ($class, @options) = @_;
	my @wait = ($^X, '-e', '$| = 1; print "$_=$ENV{$_}\n" for grep { /^(?:PG|CLUSTER)/ } keys %ENV; print "\n"; <STDIN>');
	my ($pid, $lifeline, $told) = start_process({}, undef, "$scripts/cluster", @quiet, @options, '--', @wait);
	my $self = bless { pid => $pid, lifeline => $lifeline, environment => {} }, $class;
	while (defined(my $line = readline $told)) {
		return $self if $line eq "\n";
		$line =~ /^(\w+)=(.*)$/ and $self->{environment}{$1} = $2;
	}
	die "scripts/cluster does not start a server\n";
}

# What leads a program to the server, and to it by TCP and TLS.
sub environment { return { %{ $_[0]{environment} } } }

sub environment_tls
{
	my ($self) = @_;
	my $environment = $self->environment;
	return { %$environment, PGHOST => '127.0.0.1', PGSSLMODE => 'verify-full', PGSSLROOTCERT => $environment->{CLUSTER_ROOTCERT} };
}

# The same through PgBouncer in session pooling, which listens on a socket only, of a number that nobody else can
# have in this folder. undef where it is not installed.
sub environment_pgbouncer
{
	my ($self) = @_;
	$self->{pooler} //= $self->_start_pgbouncer // return;
	return { %{ $self->environment }, PGHOST => "$self->{folder}", PGPORT => 6432 };
}

# One value, asked without anything preloaded.
sub value
{
	my ($self, $query) = @_;
	local %ENV = (%ENV, %{ $self->{environment} });
	open my $psql, '-|', qw(psql -XAtqc), $query or die "psql: $!\n";
	my $value = readline $psql;
	close $psql or die "psql fails: $query\n";
	chomp $value;
	return $value;
}

# How many processes serve a client.
sub client_count
{
	my ($self) = @_;
	return $self->value(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()});
}

# No measurement competes with what is left of the one before.
sub wait_until_quiet
{
	my ($self) = @_;
	my $deadline = time + 60;
	while ($self->client_count > 0) {
		die "the server still has clients\n" if time > $deadline;
		sleep 0.05;
	}
	return;
}

# PgBouncer keeps its connections to the server.
sub stop_pgbouncer
{
	my ($self) = @_;
	my $pid = delete $self->{pooler} or return;
	kill INT => $pid;
	waitpid $pid, 0;
	return;
}

sub DESTROY
{
	my ($self) = @_;
	local ($?, $!, $@);
	$self->stop_pgbouncer;
	close $self->{lifeline};
	waitpid $self->{pid}, 0;
	return;
}

sub _start_pgbouncer
{
	my ($self) = @_;
	my ($pgbouncer) = grep { -x } map { "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin', '/usr/local/sbin';
	return if !$pgbouncer;
	my $folder = $self->{folder} = File::Temp->newdir('pqleash.XXXXXX', DIR => '/tmp');
	my @as_server = $> ? () : ('setpriv', '--reuid=postgres', '--clear-groups', '--regid=' . getgrnam 'postgres');
	chown +(getpwnam 'postgres')[ 2, 3 ], "$folder" if !$>;
	open my $settings, '>', "$folder/ini" or die "$folder/ini: $!\n";
	print {$settings} <<"SETTINGS";
[databases]
postgres = host=$self->{environment}{PGHOST} port=$self->{environment}{PGPORT} dbname=postgres user=postgres
[pgbouncer]
pool_mode = session
unix_socket_dir = $folder
unix_socket_mode = 0777
listen_addr =
listen_port = 6432
auth_type = any
logfile = $folder/log
log_connections = 0
log_disconnections = 0
SETTINGS
	close $settings;
	my $pid = fork // die "fork: $!\n";
	if (!$pid) {
		open STDIN, '<', '/dev/null';
		open STDOUT, '>', '/dev/null';
		open STDERR, '>&', \*STDOUT;
		exec @as_server, $pgbouncer, "$folder/ini" or POSIX::_exit(127);
	}
	my $deadline = time + 30;
	until (-S "$folder/.s.PGSQL.6432") {
		die "PgBouncer does not start\n" if time > $deadline;
		sleep 0.02;
	}
	return $pid;
}

1;
