# The promise: memory in which a password stood is wiped before it is given back, whatever way the program gave the
# password.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;
use Steps;
use Test::More;

plan skip_all => "a sanitizer's own free cannot be watched" if $ENV{PQLEASH_TEST_PRELOAD};
in_cluster('--max-connections', 20, '--scram');

my $subjects = build_dir() . '/tests/subjects';
my $password = $ENV{PGPASSWORD};
my %watched = (LD_PRELOAD => build_dir() . "/libpqleash.so:$subjects/libsecrets.so", SECRETS => $password, PGPASSWORD => undef);
my $uri = "postgresql://$ENV{PGUSER}:$password\@127.0.0.1:$ENV{PGPORT}/$ENV{PGDATABASE}";

# Opened in every way and finished; then so many others that the last trace of them is gone.
my @ways = ("open a password=$password application_name=pairs", "open a $uri?application_name=uri&connection_limit=2&pool_timeout=1",
	"start a password=$password application_name=start", "open_params a 1 dbname=$uri\tapplication_name=expanded",
	"open_params a 0 password=$password\tapplication_name=params", "login a |||$ENV{PGDATABASE}|$ENV{PGUSER}|$password", "login a |||$uri||",
	"open a password=$password host=127.0.0.1 port=1", "open a password=$password nonsense=1", "open a $uri?nonsense=%zz$password",
	"open a $uri?connection_limit=$password");

sub found_in
{
	my ($env, @commands) = @_;
	my $result = play_leashed({ %watched, %$env }, @commands);
	is($result->{status}, 0, 'the program ends well') or diag($result->{err});
	my ($blocks) = $result->{err} =~ /^secrets: (\d+) blocks$/m;
	cmp_ok($blocks // 0, '>', 100, 'what is given back is looked at');
	my %found = map { $_ => 1 } $result->{err} =~ /^secrets: (found .*)/mg;
	is_deeply([ sort keys %found ], [], 'no password is in it');
	return $result;
}

subtest 'each way to connect' => sub {
	my @others = map { ("open b password=$password", 'finish b') } 1 .. 1100;
	my $result = found_in({}, (map { ($_, 'exec a SELECT 1', 'info a', 'option a application_name', 'finish a') } @ways), @others);
	like($result->{counts}, qr/^opened 11\d\d, open 0, /, 'the passwords were right');
};

subtest 'sessions that are moved, reset and left open' => sub {
	my @others = map { ("open b$_ password=$password application_name=b$_", "exec b$_ SET work_mem = '5MB'") } 1 .. 4;
	my $result = found_in({ PQLEASH_LIMIT => 1 }, (@others, 'reset b1', map { "exec b$_ SHOW work_mem" } 1 .. 4) x 3);
	like($result->{out}, qr/5MB/, 'they work');
};

subtest 'from the environment, and from PQLEASH_DATABASE_URL' => sub {
	found_in({ PGPASSWORD => $password }, (map { ("open a application_name=$_", 'finish a') } 1 .. 60));
	found_in({ PQLEASH_DATABASE_URL => $uri }, (map { ("open a application_name=$_", 'finish a') } 1 .. 60));
	found_in({ PQLEASH_DATABASE_URL => "$uri?nonsense=$password" }, (map { ("open a password=$password application_name=$_", 'finish a') } 1 .. 60));
};

done_testing;
