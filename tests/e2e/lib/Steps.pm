# Scripts for the subject tests/subjects/steps: played with and without pqleash, and their answers compared or
# looked at one by one. Knows nothing of any one test.
#
#   my $direct = play_direct('open a ', 'exec a SHOW work_mem');
#   my $leashed = play_leashed({ PQLEASH_LIMIT => 1 }, 'open a ', 'exec a SHOW work_mem');
#   is(first_difference($direct, $leashed), '', 'the program sees no difference');
#   is($leashed->{answers}[1], "PGRES_TUPLES_OK SHOW \n  4MB", 'the second command');
package Steps;

use strict;
use warnings;

use Exporter qw(import);
use PqleashTest;
use Test::More ();

our @EXPORT = qw(play_direct play_leashed first_difference errors_in quoted follows);

my $counting = 'counts';

# Each runs the commands in a fresh process, one after the other, and returns what run() does, with
# answers => [what each command printed behind its own name]. One more command at the end asks pqleash for its
# numbers; counts => what it answered, "none" without pqleash.
sub play_direct { return _play(\&run, { LD_PRELOAD => undef, PQLEASH => undef }, @_) }
sub play_leashed { return _play(\&leashed, @_) }

# '' or the first command that two runs answered differently, with both answers.
sub first_difference
{
	my ($direct, $leashed) = @_;
	for my $i (0 .. $#{ $direct->{commands} }) {
		my ($one, $other) = map { $_->{answers}[$i] // 'no answer' } $direct, $leashed;
		next if $one eq $other;
		return _shortened($direct->{commands}[$i]) . "\n  directly: $one\n   leashed: $other";
	}
	return '';
}

# How many statements of a run failed.
sub errors_in
{
	my ($result) = @_;
	return scalar grep { /PGRES_FATAL_ERROR|^no result/ } @{ $result->{answers} };
}

# Any bytes, as a field of a command that takes them; the spaces only where something follows the field.
sub quoted
{
	my ($text, $spaces_too) = @_;
	$text =~ s/\\/\\\\/g;
	$text =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ge;
	$text =~ s/ /\\s/g if $spaces_too;
	return $text;
}

# A leashed run of commands and what each must answer: a text (what it prints, blanks at the end left out), a
# pattern, or undef for anything. One assertion per expectation; returns the result.
sub follows
{
	my ($env, @script) = @_;
	my (@commands, @expected);
	while (@script) {
		push @commands, shift @script;
		push @expected, shift @script;
	}
	my $result = play_leashed($env, @commands);
	for my $i (grep { defined $expected[$_] } 0 .. $#commands) {
		my $answer = $result->{answers}[$i];
		my $name = _shortened($commands[$i]);
		if (ref $expected[$i]) {
			Test::More::like($answer, $expected[$i], $name);
		} else {
			Test::More::is($answer, $expected[$i], $name);
		}
	}
	Test::More::is($result->{status}, 0, 'the program ends well') or Test::More::diag($result->{err});
	return $result;
}

sub _play
{
	my ($how, $env, @commands) = @_;
	my $result = $how->({ STDIN => join('', map { "$_\n" } @commands, $counting), %$env },
		build_dir() . '/tests/subjects/steps');
	my @answers = split /^\d+ /m, $result->{out};
	shift @answers;    # nothing stands before the first
	for my $answer (@answers) {
		$answer =~ s/^\w+(?: \S+)?: ?//;
		$answer =~ s/\s+\z//;
	}
	$result->{counts} = $answers[@commands];
	$result->{commands} = \@commands;
	$result->{answers} = \@answers;
	return $result;
}

sub _shortened
{
	my ($command) = @_;
	return length $command > 150 ? substr($command, 0, 150) . '...' : $command;
}

1;
