# A run of the subject tests/subjects/steps that is told its commands one by one, for tests that do something
# themselves in between: edit a file, take connections away, stop a server. Where nothing has to happen in
# between, Steps is simpler.
#
#   my $program = Dialogue->leashed({ PQLEASH_LIMIT => 2 });
#   is($program->ask('open a '), 'OK IDLE', 'it connects');
#   $program->end;
package Dialogue;

use strict;
use warnings;

use IO::Handle;
use POSIX ();
use PqleashTest qw(build_dir);

# A program with and one without the object; where a file is named, it gets what is said on stderr.
sub leashed
{
	my ($class, $env, $stderr) = @_;
	my @preload = grep { length } $ENV{PQLEASH_TEST_PRELOAD} // '', build_dir() . '/libpqleash.so';
	return $class->_start({ LD_PRELOAD => join(':', @preload), PQLEASH => 1, %$env }, $stderr);
}

sub direct
{
	my ($class, $env) = @_;
	return $class->_start({ LD_PRELOAD => undef, PQLEASH => undef, %$env });
}

# What the program prints for a command, without the command's name and blanks at the end. Dies if no answer
# comes within a minute.
sub ask
{
	my ($self, $command) = @_;
	$self->tell($command);
	return $self->hear;
}

# The same in two steps, for what has to happen while the program is at it.
sub tell
{
	my ($self, $command) = @_;
	# The answer's end is seen by that of the next command, which needs no connection.
	print { $self->{in} } "$command\nstatus $self\n";
	$self->{told} = $command;
	return;
}

sub hear
{
	my ($self) = @_;
	my ($command, $answer) = ($self->{told}, '');
	local $SIG{ALRM} = sub { die "no answer to '$command', only '$answer'" };
	alarm 60;
	while (1) {
		my $line = readline $self->{out};
		die "the program has ended: '$command', '$answer'" if !defined $line;
		last if $line =~ /^\d+ status \Q$self\E: /;
		$answer .= $line;
	}
	alarm 0;
	$answer =~ s/^\d+ \w+(?: \S+)?: ?//;
	$answer =~ s/\s+\z//;
	return $answer;
}

# Lets the program end, and returns its exit status as run() does.
sub end
{
	my ($self) = @_;
	close $self->{in};
	waitpid $self->{pid}, 0;
	return $? & 127 ? 128 + ($? & 127) : $? >> 8;
}

# A test that dies on its way must not leave the program waiting.
sub DESTROY
{
	my ($self) = @_;
	local ($?, $!);
	$self->end if fileno $self->{in};
	return;
}

sub _start
{
	my ($class, $env, $stderr) = @_;
	pipe my $read_command, my $in or die "pipe: $!";
	pipe my $out, my $write_answer or die "pipe: $!";
	my $pid = fork // die "fork: $!";
	if (!$pid) {
		close $in;
		open STDIN, '<&', $read_command or POSIX::_exit(126);
		open STDOUT, '>&', $write_answer or POSIX::_exit(126);
		open STDERR, '>', $stderr // '/dev/null' or POSIX::_exit(126);
		for my $name (keys %$env) {
			defined $env->{$name} ? $ENV{$name} = $env->{$name} : delete $ENV{$name};
		}
		exec build_dir() . '/tests/subjects/steps' or POSIX::_exit(127);
	}
	$in->autoflush(1);
	return bless { pid => $pid, in => $in, out => $out }, $class;
}

1;
