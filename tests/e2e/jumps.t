# A program with a time limit of its own may leave a call by siglongjmp from a signal handler. Whatever we were doing for
# that call, which other sessions it concerned: the next call finds everything in order.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Dialogue;
use PqleashTest;
use Test::More;

in_cluster('--max-connections', 20);
psql_value('CREATE ROLE other LOGIN');

# Runs the steps of a program on a leash while another has locked the table.
sub in_the_way
{
	my ($table, $program, @commands) = @_;
	my $other = Dialogue->direct({});
	$other->ask('open x ');
	$other->ask('exec x BEGIN');
	is($other->ask("exec x LOCK TABLE pg_catalog.$table IN ACCESS EXCLUSIVE MODE"), 'PGRES_COMMAND_OK LOCK TABLE', "somebody locks $table");
	my @answers = map { $program->ask($_) } @commands;
	$other->ask('exec x COMMIT');
	$other->end;
	return @answers;
}

sub state_of_a_is_right
{
	my ($program) = @_;
	is($program->ask('exec a SHOW work_mem'), "PGRES_TUPLES_OK SHOW \n  2MB", 'a is as it was');
	is($program->ask('exec b SELECT 42'), "PGRES_TUPLES_OK SELECT 1 \n  42", 'b works');
	is($program->ask('exec a SHOW work_mem'), "PGRES_TUPLES_OK SHOW \n  2MB", 'a is as it was');
	like($program->ask('counts'), qr/^opened 2, open 2, backends (\d), peak \1$/, 'no place is lost');
	return;
}

sub two_sessions
{
	my ($second, $limit) = @_;
	my $program = Dialogue->leashed({ PQLEASH_LIMIT => $limit // 1, PQLEASH_POOL_TIMEOUT => 2 });
	$program->ask($_) for "open b $second", 'exec b SELECT 1', 'open a ', "exec a SET work_mem = '2MB'";
	return $program;
}

subtest 'while another session is asked what it holds' => sub {
	my $program = two_sessions('');
	is_deeply([ in_the_way('pg_depend', $program, 'jump b 300 SELECT 1') ], ['jumped'], 'the call is left');
	state_of_a_is_right($program);
	$program->end;
};

subtest 'the same, and again before anything else' => sub {
	my $program = two_sessions('');
	is_deeply([ in_the_way('pg_depend', $program, ('jump b 300 SELECT 1') x 3) ], [ ('jumped') x 3 ], 'the calls are left');
	state_of_a_is_right($program);
	$program->end;
};

subtest 'while a connection is being made' => sub {
	my $program = two_sessions('user=other');
	is_deeply([ in_the_way('pg_database', $program, 'jump b 600 SELECT 1') ], ['jumped'], 'the call is left');
	state_of_a_is_right($program);
	$program->end;
};

subtest 'while its own statement runs' => sub {
	my $program = two_sessions('', 2);
	is($program->ask('jump b 300 SELECT pg_sleep(1)'), 'jumped', 'the call is left');
	state_of_a_is_right($program);
	$program->end;
};

done_testing();
