# Takes measurements in turns, and tells what one costs in terms of another. A round goes through all of them
# forwards and back (A B B A), so that a machine that slows down or speeds up meanwhile does it to all alike; a ratio
# is the median of the rounds' ratios.
package Bench::Turns;

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(median take_turns slices ratio figure);

sub median
{
	my @sorted = sort { $a <=> $b } @_;
	my $middle = int(@sorted / 2);
	return @sorted % 2 ? $sorted[$middle] : ($sorted[ $middle - 1 ] + $sorted[$middle]) / 2;
}

# take_turns(ROUNDS, CODE...): each piece of code returns what it measured. Returns for each round a list of what
# each took on average.
sub take_turns
{
	my ($rounds, @code) = @_;
	my @all;
	for (1 .. $rounds) {
		my @there = map { $_->() } @code;
		my @back = reverse map { $_->() } reverse @code;
		push @all, [ map { ($there[$_] + $back[$_]) / 2 } 0 .. $#code ];
	}
	return @all;
}

# The same for workers, each in slices of so many milliseconds. The first of each counts nothing.
sub slices
{
	my ($rounds, $milliseconds, @workers) = @_;
	$_->milliseconds($milliseconds) for @workers;
	return take_turns($rounds, map { my $worker = $_; sub { $worker->milliseconds($milliseconds) } } @workers);
}

# What measurement number WHICH took in terms of number OTHER, and what number WHICH took.
sub ratio
{
	my ($which, $other, @rounds) = @_;
	return median(map { $_->[$which] / $_->[$other] } @rounds);
}

sub figure
{
	my ($which, @rounds) = @_;
	return median(map { $_->[$which] } @rounds);
}

1;
