# Opens connections with DBD::Pg and keeps them all, each with a state of its own. usage: dbd_pg_leak.pl NUMBER
use strict;
use warnings;

use DBD::Pg qw(:pg_types);
use DBI;

my ($number) = @ARGV;
my @handles;

for my $i (0 .. $number - 1) {
	my $handle = DBI->connect('dbi:Pg:', '', '', { RaiseError => 1, PrintError => 0, AutoCommit => $i % 2 });
	$handle->do('SET work_mem = ' . $handle->quote(($i + 1) . 'MB'));
	$handle->do(q{SELECT set_config('own.name', ?, false)}, undef, "name $i");
	$handle->commit if !$handle->{AutoCommit};
	push @handles, { db => $handle, kept => $handle->prepare("SELECT $i + ?::int, current_setting('own.name')", { pg_prepare_now => 1 }) };
	$handle->commit if !$handle->{AutoCommit};
}

for my $turn (1 .. 3) {
	for my $i (reverse 0 .. $#handles) {
		my ($handle, $kept) = @{ $handles[$i] }{qw(db kept)};
		$kept->execute($turn * 100);
		print "$turn $i: @{ $kept->fetchrow_arrayref } ", $handle->selectrow_array('SHOW work_mem'), ' ', $handle->ping, "\n";
		$kept->finish;
		$handle->rollback if !$handle->{AutoCommit};
	}
}

for my $i (0 .. $#handles) {
	my $handle = $handles[$i]{db};
	eval { $handle->do('SELECT 1 / (?::int - ?::int)', undef, $i, $i); 1 } or print "$i: ", $handle->state, " $@";
	$handle->rollback if !$handle->{AutoCommit};
	local $SIG{__WARN__} = sub { print "$i: warned @_" };
	$handle->do(q{DO $$ BEGIN RAISE NOTICE 'from %', current_setting('own.name'); END $$});
	$handle->commit if !$handle->{AutoCommit};
	print "$i: ", join(' ', map { $_ // 'undef' } @{$handle}{qw(pg_db pg_user pg_enable_utf8 Active AutoCommit)}), "\n";
}

for my $i (0 .. 9) {
	my $handle = $handles[$i]{db};
	$handle->{AutoCommit} = 0;
	$handle->do('CREATE TEMPORARY TABLE mine (n int, t text, b bytea) ON COMMIT DROP');
	$handle->do('COPY mine FROM STDIN');
	$handle->pg_putcopydata("$_\tline $_\t\\N\n") for 0 .. $i + 1;
	$handle->pg_putcopyend;
	my $insert = $handle->prepare('INSERT INTO mine VALUES (?, ?, ?)');
	$insert->bind_param(3, undef, { pg_type => PG_BYTEA });
	$insert->execute($_, 'more', "\0\1$_") for 1 .. $i;
	$handle->do('COPY mine TO STDOUT');
	my $line;
	print "$i: $line" while $handle->pg_getcopydata(\$line) >= 0;
	$handle->pg_savepoint('here');
	eval { $handle->do('SELEC') };
	$handle->pg_rollback_to('here');
	print "$i: ", $handle->selectrow_array('SELECT count(*) FROM mine'), "\n";
	my $large = $handle->pg_lo_creat($handle->{pg_INV_WRITE} | $handle->{pg_INV_READ});
	my $descriptor = $handle->pg_lo_open($large, $handle->{pg_INV_WRITE});
	print "$i: ", $handle->pg_lo_write($descriptor, 'large' x ($i + 1), 5 * ($i + 1)), "\n";
	$handle->pg_lo_close($descriptor);
	$handle->pg_lo_unlink($large);
	$handle->commit;
}
# Destroyed handles would finish their connections.
$_->{db}{InactiveDestroy} = 1 for @handles;
