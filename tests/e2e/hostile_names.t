# The promise: names and values are put back as they were, byte for byte, and are never taken for SQL: quotes, backslashes,
# dollars and line ends in them, in encodings whose letters have a backslash as their second byte, with and without
# standard_conforming_strings. A real server; each step is followed by another session's, so that the session moves.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PqleashTest;
use Steps;
use Test::More;

in_cluster('--max-connections', 20);
psql_value('CREATE TABLE canary AS SELECT 42 AS alive');

my @names = ('a"; DROP TABLE canary; --', q{it's}, 'back\\slash', "line\nend", '$$; DROP TABLE canary; $$', "tab\there", '""', '{a,"b"}', 'NULL', 'select',
	' ', 'x' x 63);
my @values = (@names, q{'); DROP TABLE canary; --}, q{\'; DROP TABLE canary; --}, "\$1", '%s%n', "E'\\\\'", '{{', ',', "\r\n");
my %letters = (UTF8 => "\xc3\xbc\xe3\x82\xbd", LATIN1 => "\xfc\xdf", SJIS => "\x83\x5c\x95\x5c", GBK => "\x81\x5c\xd1\x5c");

my $sees = 'exec other SELECT count(*) FROM pg_prepared_statements';

sub moved { return map { ($_, $sees) } @_ }

sub value { my ($text) = @_; return quoted($text, 1) =~ s/,/\\x2c/gr }

sub look
{
	my ($setting) = @_;
	return "exec a SELECT current_setting('$setting'), length(current_setting('$setting'))";
}

for my $encoding (sort keys %letters) {
	for my $conforming ('on', 'off') {
		subtest "$encoding, standard_conforming_strings=$conforming" => sub {
			my $letters = $letters{$encoding};
			my @script = ('open other ', 'open a ',
				moved("encoding a $encoding", "exec a SET standard_conforming_strings = $conforming", "exec a SET backslash_quote = on"));
			my $number = 0;
			for my $value (map { ($_, "$letters$_$letters") } @values) {
				my $setting = 'odd.value' . ++$number;
				push @script, moved('params a ' . value($value) . " SELECT set_config('$setting', \$1, false)", look($setting));
			}
			my %names = map { $_ => 1 } @names, map { ("$letters$_") } grep { length() < 50 } @names;
			for my $name (sort keys %names) {
				push @script, moved('prepare a ' . quoted($name, 1) . q( SELECT $1::text || ') . quoted($letters . _literal($name, $conforming)) . q('));
			}
			push @script, moved(map { 'execute a ' . quoted($_, 1) . ' ' . value("$letters'") } sort keys %names);
			push @script, moved('params a x,' . value("app'\\$letters") . q( SELECT $1::text, set_config('application_name', $2, false))),
			  moved('exec a SELECT name, statement, parameter_types FROM pg_prepared_statements ORDER BY name COLLATE "C"', 'parameter a client_encoding',
				'parameter a application_name', 'exec a TABLE canary');
			my $direct = play_direct(@script);
			my $leashed = play_leashed({ PQLEASH_LIMIT => 1, TIMEOUT => 100 }, @script);
			is(first_difference($direct, $leashed), '', 'no step answers differently');
			is(errors_in($direct), 0, 'none fails');
			unlike($leashed->{err}, qr/forgotten|taken away|[^0] lost/, 'nothing was lost') or diag($leashed->{err});
			is(psql_value('TABLE canary'), 42, 'the canary lives');
		};
	}
}

# As it is written within quotes.
sub _literal
{
	my ($text, $conforming) = @_;
	$text =~ s/'/''/g;
	$text =~ s/\\/\\\\/g if $conforming eq 'off';
	return $text;
}

done_testing;
