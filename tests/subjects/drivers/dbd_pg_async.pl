# DBD::Pg's asynchronous queries, many connections at a time: asked with pg_ready, waited for with select on
# pg_socket, one cancelled, and notifications.
use strict;
use warnings;

use DBD::Pg qw(:async);
use DBI;
use IO::Select;

my $number = 20;
my @handles = map { connected() } 1 .. $number;

sub connected { return DBI->connect('dbi:Pg:', '', '', { RaiseError => 1, PrintError => 0, AutoCommit => 1 }) }

for my $i (0 .. $#handles) {
	$handles[$i]->do('SET work_mem = ' . $handles[$i]->quote(($i + 1) . 'MB'));
}

# The first three are asked at once, whatever the limit is; then the next three.
for my $first (map { $_ * 3 } 0 .. $number / 3 - 1) {
	my @asked = map { [ $_, $handles[$_]->prepare(q{SELECT current_setting('work_mem'), pg_sleep(0.01)}, { pg_async => PG_ASYNC }) ] }
	  $first .. $first + 2;
	$_->[1]->execute for @asked;
	for my $asked (@asked) {
		my ($i, $statement) = @$asked;
		while (!$statement->pg_ready) {
			IO::Select->new($handles[$i]->{pg_socket})->can_read(10);
		}
		print "$i: ", $statement->pg_result, ' ', $statement->fetchrow_array, "\n";
		$statement->finish;
	}
}

# All at once: more than there may be connections.
$_->do('SELECT pg_sleep(0.01)', { pg_async => PG_ASYNC }) for @handles;
for my $i (0 .. $#handles) {
	print "$i: ", $handles[$i]->pg_result, ' ', $handles[$i]->selectrow_array('SHOW work_mem'), "\n";
}

# A query that runs for long. The server ignores a cancel that comes before it has begun.
sub begin_to_sleep
{
	my ($handle, $watcher, $name) = @_;
	$handle->do("SELECT pg_sleep(60) -- $name", { pg_async => PG_ASYNC });
	1 until $watcher->selectrow_array(
		q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE ? AND wait_event = 'PgSleep'}, undef, "% -- $name");
	return;
}

# Cancelled by hand, and by a new query.
for my $i (0 .. $#handles) {
	begin_to_sleep($handles[$i], $handles[ $i - 1 ], "first $i");
	print "$i: cancelled ", $handles[$i]->pg_cancel, ' ', $handles[$i]->selectrow_array('SHOW work_mem'), "\n";
	begin_to_sleep($handles[$i], $handles[ $i - 1 ], "second $i");
	$handles[$i]->do('SELECT 1', { pg_async => PG_ASYNC + PG_OLDQUERY_CANCEL });
	print "$i: instead ", $handles[$i]->pg_result, "\n";
}

my ($listener, $sender) = @handles;
$listener->do('LISTEN news');
$sender->do("NOTIFY news, 'number $_'") for 1 .. 3;
my @heard;
while (@heard < 3) {
	my $notify = $listener->pg_notifies;
	push @heard, "$notify->[0] $notify->[2]" if $notify;
	IO::Select->new($listener->{pg_socket})->can_read(1) if !$notify;
}
print join(', ', @heard), "\n";
$_->disconnect for @handles;
