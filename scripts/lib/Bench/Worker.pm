# A running tests/subjects/bench that is told slice by slice what to do, so that several can take turns. Owns the
# process; knows nothing of what is measured. Dies with what the program said on stderr when it fails.
package Bench::Worker;

use strict;
use warnings;

use Bench::Process qw(start_process);
use File::Temp ();
use POSIX ();

my $patience = 300; # seconds without an answer, after which something is wrong

# start({ NAME => value, ... }, COMMAND...): the variables are added to the environment.
sub start
{
	my ($class, $environment, @command) = @_;
	my $complaints = File::Temp->new;
	my ($pid, $in, $out) = start_process($environment, $complaints, @command);
	my $self = bless { pid => $pid, in => $in, out => $out, complaints => $complaints, name => "@command" }, $class;
	$self->_read eq 'ready' or $self->_fail('is not ready');
	return $self;
}

# Nanoseconds that one operation took, of those that fit into so many milliseconds, or of so many.
sub milliseconds { return $_[0]->_ask("for $_[1]") }
sub times { return $_[0]->_ask("times $_[1]") }

# What the process has in memory, in bytes.
sub resident
{
	my ($self) = @_;
	open my $file, '<', "/proc/$self->{pid}/statm" or die "statm: $!\n";
	return (split ' ', readline $file)[1] * POSIX::sysconf(POSIX::_SC_PAGESIZE());
}

# Lets the program end by itself.
sub end
{
	my ($self) = @_;
	return if !$self->{pid};
	close $self->{in};
	my $pid = delete $self->{pid};
	waitpid $pid, 0;
	$self->_fail("ended with status $?") if $?;
	return;
}

sub DESTROY
{
	my ($self) = @_;
	local ($?, $!, $@);
	return if !$self->{pid};
	kill KILL => $self->{pid};
	waitpid $self->{pid}, 0;
	return;
}

sub _ask
{
	my ($self, $line) = @_;
	local $SIG{PIPE} = 'IGNORE';
	print { $self->{in} } "$line\n";
	my $answer = $self->_read;
	$answer =~ /^\d+\.\d+$/ or $self->_fail("answered \"$answer\" to \"$line\"");
	return $answer;
}

sub _read
{
	my ($self) = @_;
	local $SIG{ALRM} = sub { $self->_fail("is silent for $patience s") };
	alarm $patience;
	my $line = readline $self->{out};
	alarm 0;
	$self->_fail('has ended') if !defined $line;
	chomp $line;
	return $line;
}

sub _fail
{
	my ($self, $what) = @_;
	seek $self->{complaints}, 0, 0;
	local $/ = undef;
	my $said = readline($self->{complaints}) // '';
	die "$self->{name} $what" . ($said =~ /\S/ ? ": $said" : '') . "\n";
}

1;
