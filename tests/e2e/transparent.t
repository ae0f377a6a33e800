# The promise: every program of the corpus prints the same and ends the same with the object as without it, whether
# its sessions fit in the pool or not and even if each is parked at every opportunity, and the limit is kept. Together
# the programs call every function that we wrap.
#
#   prove tests/e2e/transparent.t :: cursors savepoints    these programs only
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;
use Test::More;

in_cluster('--tls', '--max-connections', 50);

my $sources = root() . '/tests/subjects/corpus';
my $built = build_dir() . '/tests/subjects/corpus';
my @programs = map { m{([^/]+)\.c$} } sort glob "$sources/*.c";
my @chosen = @ARGV ? @ARGV : @programs;
my @plain = ({ LD_PRELOAD => undef, PQLEASH => undef });
my @limits = (1 .. 3);

sub text_of
{
	my ($path) = @_;
	open my $file, '<', $path or die "$path: $!";
	local $/;
	return <$file>;
}

# The smallest limit with which a program can do: 1, unless it says that it holds more sessions that cannot move.
sub needs { return text_of("$sources/$_[0].c") =~ m{^/\* needs: (\d+)}m ? $1 : 1 }

# How many connections of libpq's own it has beside its sessions.
sub beside { return text_of("$sources/$_[0].c") =~ m{^/\* beside: (\d+)}m ? $1 : 0 }

# The line where two texts part, with both lines.
sub first_difference
{
	my ($one, $other) = map { [ split /\n/, $_, -1 ] } @_;
	for my $i (0 .. ($#$one > $#$other ? $#$one : $#$other)) {
		my @lines = map { $_->[$i] // 'nothing' } $one, $other;
		return 'line ' . ($i + 1) . ": directly: $lines[0]\n   leashed: $lines[1]" if $lines[0] ne $lines[1];
	}
	return '';
}

# What the object says at exit is not the program's.
sub without_ours { return $_[0] =~ s/^pqleash: .*\n//gmr }

# What a program left running must not meet the next one.
sub alone { return wait_until(sub { server_connections() == 0 }, 30, 'no connection is left') }

# How many connections a program has at once, by its name: directly, and by limit.
my (%directly, %leashed);

for my $name (@chosen) {
	subtest "$name prints the same" => sub {
		my $line = log_size();
		my $direct = run({ %{ $plain[0] }, TIMEOUT => 15 }, "$built/$name");
		plan skip_all => 'its functions are not in this libpq' if $direct->{status} == 77;
		is($direct->{status}, 0, 'directly, it succeeds') or diag($direct->{err});
		unlike($direct->{err}, qr/^pqleash: /m, '... and directly it is');
		alone();
		$directly{$name} = peak_since($line);

		# With less than it needs its sessions are taken away from it, and it goes to its end.
		for my $limit (grep { $_ < needs($name) } @limits) {
			$line = log_size();
			my $result = leashed({ PQLEASH_LIMIT => $limit, TIMEOUT => 15 }, "$built/$name");
			cmp_ok($result->{status}, '<', 128, "limit $limit, less than it needs: it neither hangs nor crashes");
			alone();
			cmp_ok(peak_since($line), '<=', $limit, "limit $limit, less than it needs: the limit is kept");
		}
		for my $limit (grep { $_ >= needs($name) } @limits) {
			for my $park ({}, { PQLEASH_TEST_PARK => 1 }) {
				my $with = "limit $limit" . (%$park ? ', parked at every opportunity' : '');
				$line = log_size();
				my $result = leashed({ PQLEASH_LIMIT => $limit, %$park, TIMEOUT => 15 }, "$built/$name");
				is(first_difference($direct->{out}, $result->{out}), '', "$with: the same output");
				is(without_ours($result->{err}), $direct->{err}, "$with: the same on stderr");
				is($result->{status}, $direct->{status}, "$with: the same end") or diag($result->{err});
				alone();
				$leashed{$limit}{$name} = peak_since($line);
				cmp_ok($leashed{$limit}{$name}, '<=', $limit + beside($name), "$with: the limit is kept");
			}
		}
	};
}

for my $limit (@limits) {
	my @more = grep { $directly{$_} > $limit } keys %{ $leashed{$limit} };
	next if @ARGV;
	cmp_ok(@more + 0, '>', 5, "limit $limit means something: so many programs have more connections at once by themselves");
}

# ---- The corpus is complete ----

# The libpq that the programs are linked with, and the header that they are compiled with.
my ($libpq) = map { m{=> (/\S*/libpq\.so\S*)} } qx(ldd $built/$programs[0]);
chomp(my $include = qx(pg_config --includedir));
my $header = join '', map { text_of($_) } glob "$include/libpq*.h";

sub symbols { return map { m{^(?:\S+ )?\s*[A-Z] (\w+)} } qx(nm -D @_) }

subtest 'every function of the table is called' => sub {
	my @wrapped = text_of(root() . '/shim/preload/libpq_table.h') =~ m{^LIBPQ\((?!CALL)[A-Z]+,\s*[^,]+,\s*(\w+),}gm;
	my %exported = map { $_ => 1 } symbols('--defined-only', $libpq);
	# To call it without a connection that works is not enough.
	my @working = grep { !/^(?:null|failed)_connection$/ } @programs;
	my %called = map { $_ => 1 } symbols('--undefined-only', map { "$built/$_" } @working);
	my @wanted = grep { $exported{$_} && $header =~ m{\b$_\s*\(} } @wrapped;

	cmp_ok(@wrapped + 0, '>=', 100, 'the table is read');
	cmp_ok(@wanted + 0, '>=', 100, 'so are libpq and its header');
	is(join(' ', sort grep { !$called{$_} } @wanted), '', 'no function is missing');
};

cmp_ok(scalar @programs, '>=', 60, 'there are enough programs');

done_testing();
