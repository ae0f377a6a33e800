# Starts a program that is talked to over pipes: what the servers and the workers of the benchmark have in common.
package Bench::Process;

use strict;
use warnings;

use Exporter qw(import);
use IO::Handle;
use POSIX ();

our @EXPORT_OK = qw(start_process);

# start_process({ NAME => value, ... }, STDERR or undef, COMMAND...): the variables are added to the environment.
# Returns its pid, and handles for what it reads and what it prints.
sub start_process
{
	my ($environment, $complaints, @command) = @_;
	pipe my $read_end, my $in or die "pipe: $!\n";
	pipe my $out, my $write_end or die "pipe: $!\n";
	my $pid = fork // die "fork: $!\n";
	if (!$pid) {
		close $in;
		open STDIN, '<&', $read_end or POSIX::_exit(126);
		open STDOUT, '>&', $write_end or POSIX::_exit(126);
		!$complaints or open STDERR, '>&', $complaints or POSIX::_exit(126);
		@ENV{ keys %$environment } = values %$environment;
		exec @command or POSIX::_exit(127);
	}
	$in->autoflush(1);
	return ($pid, $in, $out);
}

1;
