# The promise: a program forks as it likes, and whatever the child does, its parent's connections are as before; what
# both have they use in turn, as without us, and neither ever gets an answer that was meant for another session.
use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;
use Test::More;

in_cluster('--tls', '--max-connections', 80);

my $subjects = build_dir() . '/tests/subjects';
my $children = "$subjects/children";
my %all = ('in plain text' => {}, 'over TLS' => { PGHOST => 'localhost', PGSSLMODE => 'require' });

sub no_connections
{
	return ok(wait_until(sub { server_connections() == 0 }, 10, 'no connection is left'), 'no connection is left at the server');
}

sub lines
{
	my ($who, $says) = @_;
	return join '', map { "$who $_: $says\n" } 0 .. 3;
}

# What the parent and the child say, each in its order.
sub play
{
	my ($env, $way, $habit) = @_;
	my $result = leashed({ PQLEASH_POOL_TIMEOUT => 2, TIMEOUT => 40, %$env }, $children, $way, $habit);
	my %said = (status => $result->{status}, err => $result->{err}, parent => '', child => '', other => '');
	for my $line (split /^/, $result->{out}) {
		$said{ $line =~ /^(parent|child)/ ? $1 : 'other' } .= $line;
	}
	return \%said;
}

sub parent_is_undisturbed
{
	my ($said, $what) = @_;
	is($said->{parent}, lines('parent', 'right'), "$what: the parent's connections are as before") or diag($said->{err});
	is($said->{other}, '', '... and nothing else is said');
	is($said->{status}, 0, '... to its end');
	return;
}

subtest 'a premature finish is traced' => sub {
	my $folder = tempdir(CLEANUP => 1);
	my $said = play({ PQLEASH_TRACE => "$folder/trace", PQLEASH_LIMIT => 4 }, 'fork', 'finish');
	parent_is_undisturbed($said, 'a child finishes all');
	my @told;
	for my $path (glob "$folder/trace/*") {
		open my $file, '<', $path or die "$path: $!";
		my ($start, @lines) = <$file>;
		my ($parent) = $start =~ /"parent":(\d+)/;
		push @told, grep { /"event":"premature_finish".*"owner":$parent,"stack":\d+/ } @lines;
	}
	is(scalar(@told), 4, 'each of the four, with whose it is, and where');
	is(reported({}, 'report', "$folder/trace")->{status}, 0, 'the report reads it');
	no_connections();
};

# ---- The child does not use what it has inherited ----

my %ends = (return => '', exit => '', _exit => '', segv => "child: signal 11\n", abort => "child: signal 6\n");
for my $encryption (sort keys %all) {
	for my $limit (1, 2, 4) {
		my %env = (%{ $all{$encryption} }, PQLEASH_LIMIT => $limit);

		subtest "$encryption, limit $limit: a child ends" => sub {
			for my $habit (sort keys %ends) {
				my $said = play(\%env, 'fork', $habit);
				parent_is_undisturbed($said, $habit);
				is($said->{child}, $ends{$habit}, '... and the child is not disturbed either');
			}
		};
		subtest "$encryption, limit $limit: a child finishes, resets and opens connections" => sub {
			for my $way (qw(fork double)) {
				my $line = log_size();
				parent_is_undisturbed(play(\%env, $way, 'finish'), "$way, finishes all");
				parent_is_undisturbed(play(\%env, $way, 'handler'), "$way, finishes all in an exit handler");
				is(peak_since($line), $limit, '... with no connection more');
				my $said = play(\%env, $way, 'reset');
				parent_is_undisturbed($said, "$way, resets all");
				is($said->{child}, lines('child', 'reset'), '... and they are its own from then on');
				$said = play(\%env, $way, 'open');
				parent_is_undisturbed($said, "$way, opens its own");
				is($said->{child}, lines('child', 'right'), '... and uses them');
				cmp_ok(peak_since($line), '<=', 2 * $limit, '... in a pool of its own');
			}
		};
	}
}

subtest 'what the child has reset is not cancelled at the parent' => sub {
	for my $limit (1, 4) {
		my $said = play({ PQLEASH_LIMIT => $limit }, 'fork', 'cancel');
		is($said->{child}, "child 3: cancel sent\n", "limit $limit: it cancels");
		is($said->{parent}, "parent 3: not cancelled\n" . lines('parent', 'right'), '... its own');
	}
};

# ---- Other ways to come by a child ----

subtest 'a fork in a notice receiver, in the middle of a call' => sub {
	for my $limit (1, 2, 4) {
		parent_is_undisturbed(play({ PQLEASH_LIMIT => $limit }, 'notice', $_), "limit $limit, $_")
			for qw(exit _exit segv finish open);
	}
};

subtest 'a fork behind the C library' => sub {
	parent_is_undisturbed(play({ PQLEASH_LIMIT => 2 }, 'raw', $_), $_) for qw(return finish handler reset open);
};

subtest 'vfork, posix_spawn and system' => sub {
	for my $way (qw(vfork spawn system)) {
		for my $limit (1, 4) {
			my $said = play({ PQLEASH_LIMIT => $limit }, $way, 'open');
			is($said->{child}, lines('child', 'right'), "$way, limit $limit: the other program works");
			is($said->{parent}, lines('parent', 'right'), "... and so does this one");
		}
	}
};

# ---- Both use it ----

for my $way (qw(fork double)) {
	for my $limit (1, 2, 4) {
		subtest "$way, limit $limit: the child uses a connection, then the parent others" => sub {
			my $said = play({ PQLEASH_LIMIT => $limit }, $way, 'first');
			is($said->{child}, "child 3: right\n", 'the child gets its answers');
			parent_is_undisturbed($said, 'and then');
		};
		subtest "$way, limit $limit: the parent uses others, then the child a connection" => sub {
			my $said = play({ PQLEASH_LIMIT => $limit }, $way, 'last');
			if ($limit == 4) {
				is($said->{child}, "child 3: right\n", 'the child gets its answers');
			} else {
				like($said->{child}, qr/\Achild 3: pqleash: the process that this one was forked from has given /,
					'the child learns that its connection was moved');
			}
			parent_is_undisturbed($said, 'and then');
		};
		subtest "$way, limit $limit: the child goes on when its parent has exited" => sub {
			# cat ends when both have.
			my $result = leashed({ PQLEASH_LIMIT => $limit }, 'sh', '-c', '"$0" "$@" | cat', $children, $way, 'outlive');
			is($result->{out}, "child 3: right\n", 'it gets its answers') or diag($result->{err});
			no_connections();
		};
	}
}

# ---- Threads ----

# A sanitizer's allocator (that of GCC 12) takes none of its locks around a fork: a child of threads may hang in it.
for my $limit ($ENV{PQLEASH_TEST_PRELOAD} ? () : (3, 8)) {
	subtest "limit $limit: forks while other threads are at work" => sub {
		my $line = log_size();
		my $result = leashed({ PQLEASH_LIMIT => $limit, TIMEOUT => 60 }, "$subjects/forks_threaded", 6, 150);
		is($result->{out}, "150 of 150 children ended well\n0 answers of the threads wrong\n", 'every child gets to its end')
			or diag($result->{err});
		is($result->{status}, 0, 'and so does the program');
		cmp_ok(peak_since($line), '<=', $limit + 1, 'in its own pool');
	};
}

subtest 'what another thread is in the middle of is not for the child' => sub {
	my $result = leashed({}, "$subjects/forks_threaded", 'statement');
	is($result->{out}, "child: pqleash: another thread was using this connection when this process was forked\n"
		. "child: 0\nthread: right\n", 'it is told so at once, and the thread gets its answer') or diag($result->{err});
};

no_connections();
done_testing();
