# A server of the tests' own that speaks just enough of the protocol (version 3) to be taken for PostgreSQL, and
# gives the answers that a test wants given to pqleash's own questions. An attacker, not a stand-in: whatever a
# real server does is tested with a real one.
#
#   my $server = HostileServer->start({ capture => [ copy_in() ] });
#   ... a program that connects to 127.0.0.1, $server->{port} ...
#   my @heard = $server->stop;    # "Q SELECT 1", "P name text", "B value value ...", one each
package HostileServer;

use strict;
use warnings;

use Exporter qw(import);
use File::Temp qw(tempfile);
use POSIX ();
use Socket;

our @EXPORT = qw(rows done error copy_in copy_out copy_both);

# ---- Messages ----

sub message { my ($type, $body) = @_; return $type . pack('N', 4 + length $body) . $body }
sub text { return "$_[0]\0" }

# A result: how many columns, then rows of values; undef is NULL. The rows may have another number of them.
sub rows
{
	my ($columns, @rows) = @_;
	my $result = message('T', pack('n', $columns) . join '', map { text("c$_") . pack('NnNnNn', 0, 0, 25, 65535, -1 & 0xffffffff, 0) } 1 .. $columns);
	for my $row (@rows) {
		$result .= message('D', pack('n', scalar @$row)
			  . join '', map { defined $_ ? pack('N', length) . $_ : pack('N', 0xffffffff) } @$row);
	}
	return $result . done('SELECT ' . @rows);
}

sub done { return message('C', text($_[0])) }
sub error { return message('E', 'S' . text('ERROR') . 'C' . text($_[1] // '42501') . 'M' . text($_[0]) . "\0") }
sub copy_in { return message('G', pack('Cnn', 0, 1, 0)) }
sub copy_out { return message('H', pack('Cnn', 0, 1, 0)) }
sub copy_both { return message('W', pack('Cnn', 0, 1, 0)) }
sub ready { return message('Z', 'I') }
sub parameter { return message('S', text($_[0]) . text($_[1])) }

# ---- Answers ----

# What a question is about; a test gives answers for these.
sub _subject
{
	my ($query) = @_;
	return 'capture' if $query =~ /'setting' AS kind/;
	return 'fingerprint' if $query =~ /SHOW ALL$/;
	return 'examine' if $query =~ /^(?:SET LOCAL .*?; )?SELECT 'role' FROM/;
	return 'discard' if $query eq 'DISCARD ALL';
	return 'stains' if $query =~ /^SELECT pg_catalog\.current_setting\(/;
	return 'set' if $query =~ /^(?:SET|RESET|ROLLBACK)/;
	return 'program';
}

my %usual = (
	examine => [ rows(1) ],
	fingerprint => [ rows(7, [ 'none', 'u', ('f') x 4, undef ]), rows(3, [ 'work_mem', '7', 'of sorts' ]) ],
	discard => [ done('DISCARD ALL') ],
	stains => [ rows(1, [undef]) ],
	set => [ done('SET') ],
	program => [ rows(1, ['1']) ],
);

# How a capture is answered by somebody who has set nothing.
sub login { return (0, 'none', 'u', 0, 'UTF8', 'UTF8', 0) }

sub _capture
{
	my ($answers) = @_;
	return @{ $answers->{capture} } if $answers->{capture};
	my @state = @{ $answers->{state} // [] };
	return (done('SET'), rows(7, $answers->{login} // [login()]), done('SET'), rows(4, @state));
}

# ---- The server ----

# Answers by subject: lists of messages, and state => rows of a capture, login => its row, greeting => what is sent
# instead of a welcome, bind => messages for a statement that is executed by the extended protocol.
sub start
{
	my ($class, $answers) = @_;
	socket(my $listener, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
	bind($listener, sockaddr_in(0, INADDR_LOOPBACK)) && listen($listener, 10) or die "listen: $!";
	my ($log, $path) = tempfile(UNLINK => 1);
	my $self = bless { log => $path, port => (sockaddr_in(getsockname $listener))[0] }, $class;
	$self->{pid} = fork // die "fork: $!";
	return $self if $self->{pid};
	local $SIG{CHLD} = 'IGNORE';
	local $SIG{PIPE} = 'DEFAULT';
	while (accept my $client, $listener) {
		next if fork;
		_serve($client, $answers, $log);
		POSIX::_exit(0);
	}
	POSIX::_exit(0);
}

sub stop
{
	my ($self) = @_;
	kill KILL => $self->{pid};
	waitpid $self->{pid}, 0;
	open my $log, '<', $self->{log} or die "$self->{log}: $!";
	chomp(my @heard = <$log>);
	return @heard;
}

sub _read
{
	my ($client, $length) = @_;
	my $bytes = '';
	while (length $bytes < $length) {
		sysread $client, $bytes, $length - length $bytes, length $bytes or POSIX::_exit(0);
	}
	return $bytes;
}

sub _send
{
	my ($client, @messages) = @_;
	my $bytes = join '', @messages;
	while (length $bytes) {
		my $sent = syswrite $client, $bytes or POSIX::_exit(0);
		substr $bytes, 0, $sent, '';
	}
	return;
}

# One write a line, of several processes.
sub _heard
{
	my ($log, @words) = @_;
	my $line = join(' ', @words) =~ s/([^ -~])/sprintf '\\x%02x', ord $1/gre;
	syswrite $log, substr($line, 0, 5000) . "\n";
	return;
}

sub _welcome
{
	my ($client, $answers) = @_;
	while (1) {
		my $request = _read($client, unpack('N', _read($client, 4)) - 4);
		my $version = unpack 'N', $request;
		last if $version == 196608;
		POSIX::_exit(0) if $version == 80877102;    # a cancel
		_send($client, 'N');    # no encryption
	}
	return _send($client, @{ $answers->{greeting} }) if $answers->{greeting};
	_send($client, message('R', pack('N', 0)), parameter('server_version', '15.1'), parameter('server_encoding', 'UTF8'),
		parameter('client_encoding', 'UTF8'), parameter('standard_conforming_strings', 'on'), parameter('session_authorization', 'u'),
		parameter('application_name', ''), message('K', pack('NN', $$, 1)), ready());
	return;
}

sub _serve
{
	my ($client, $answers, $log) = @_;
	_welcome($client, $answers);
	while (1) {
		my ($type, $length) = unpack 'aN', _read($client, 5);
		my $body = _read($client, $length - 4);
		if ($type eq 'Q') {
			chop $body;
			_heard($log, 'Q', $body);
			my $subject = _subject($body);
			_send($client, $subject eq 'capture' ? _capture($answers) : @{ $answers->{$subject} // $usual{$subject} }, ready());
		} elsif ($type eq 'P') {
			my ($name, $query) = split /\0/, $body;
			_heard($log, 'P', $name, $query);
			_send($client, message('1', ''));
		} elsif ($type eq 'B') {
			_heard($log, 'B', $body);
			_send($client, message('2', ''));
		} elsif ($type eq 'E') {
			_send($client, @{ $answers->{bind} // [ done('SELECT 0') ] });
		} elsif ($type eq 'D') {
			_send($client, message('n', ''));
		} elsif ($type eq 'S') {
			_send($client, ready());
		} elsif ($type eq 'X') {
			return;
		}
	}
	return;
}

1;
