#!/usr/bin/perl
# The libpq table against the installed libpq: its header, its exported symbols, and what
# libpqleash.so makes of the table.
#   BUILD=build prove tests/unit/libpq_table.t
use strict;
use warnings;
use FindBin;
use IPC::Open3;
use Test::More;

# Enums that the 9.6 header lacks: an int in the table.
my @YOUNGER_ENUMS = qw(PGpipelineStatus PGauthData);

# What libpq exports without declaring it in libpq-fe.h (PQfreeNotify is a macro there); none of
# it takes a connection. PQExpBuffer's functions and data are recognised instead of listed.
my @INTERNALS = qw(PQfreeNotify pg_utf_mblen pg_valid_server_encoding pqsignal);

# What libpqleash.so may export besides the wrappers and pqleash_*: libc functions it interposes,
# and symbols that linkers define.
my @INTERPOSED = qw(dlsym dlvsym epoll_ctl);
my @LINKER = qw(_init _fini _edata _end __bss_start);

my $ROOT = "$FindBin::Bin/../..";
my $TABLE = "$ROOT/shim/preload/libpq_table.h";
my $OBJECT = ($ENV{BUILD} || 'build') . '/libpqleash.so';
$OBJECT = "$ROOT/$OBJECT" unless $OBJECT =~ m{^/};
my @CC = split ' ', $ENV{CC} || 'cc';

sub output_of {
	my @command = @_;
	open my $pipe, '-|', @command or die "cannot run $command[0]: $!";
	my $output = do { local $/; <$pipe> };
	close $pipe or die "failed: @command";
	return $output // '';
}

# Feed a C source to the compiler; returns what it wrote to stdout and stderr.
sub compile {
	my ($source, @options) = @_;
	my $pid = open3(my $in, my $out, undef, @CC, '-std=gnu11', @options, '-x', 'c', '-');
	print $in $source;
	close $in;
	my $output = do { local $/; <$out> };
	waitpid $pid, 0;
	return $output // '';
}

chomp(my $INCLUDE = output_of('pg_config', '--includedir'));
my ($MAJOR) = output_of('pg_config', '--version') =~ /(\d+)/;

# Rows of the table in order: kind, name, result, parameters, arguments, extra, since (the first
# release that has the function, 0 where all have it).
sub table_rows {
	my $text = compile(<<"END", '-E', '-P');
#define LIBPQ(kind, result, name, parameters, arguments, extra) \\
	\@kind\@name\@result\@parameters\@arguments\@extra\@
#include "$TABLE"
END
	my $since = releases();
	my @rows;
	while ($text =~ /@(\w+)@(\w+)@([^@]*)@\(([^@]*)\)@\(([^@]*)\)@([^@]*)@/g) {
		push @rows, { kind => $1, name => $2, result => $3, parameters => $4,
			arguments => $5, extra => $6, since => $since->{$2} };
	}
	return @rows;
}

# The comment behind a row, which the preprocessor drops: name => first release.
sub releases {
	open my $file, '<', $TABLE or die "$TABLE: $!";
	my $text = do { local $/; <$file> };
	my %since;
	for my $row (split /^(?=LIBPQ\()/m, $text) {
		my ($name) = $row =~ /^LIBPQ\(.*?(\w+), \(/s or next;
		$since{$name} = $row =~ /since (\d+)/ ? $1 : $row =~ /only in betas/ ? 'never' : 0;
	}
	return \%since;
}

# Every function that libpq-fe.h and libpq-events.h declare: name => [result, parameters].
sub header_functions {
	my $text = compile("#include <libpq-fe.h>\n#include <libpq-events.h>\n", '-E', "-I$INCLUDE");
	my ($own, $declarations) = (0, '');
	for my $line (split /\n/, $text) {
		if ($line =~ /^# \d+ "(.*?)"/) {
			$own = $1 =~ /\blibpq-(?:fe|events)\.h$/;
		} elsif ($own) {
			$declarations .= "$line ";
		}
	}
	1 while $declarations =~ s/\{[^{}]*\}//;
	my %functions;
	for my $declaration (split /;/, $declarations) {
		$declaration =~ s/\s+/ /g;
		$functions{$2} = [$1, $3] if $declaration =~ /^ ?extern (.*?)(\w+) ?\((.*)\) ?$/;
	}
	return \%functions;
}

# name => type letter, of every symbol that a shared object defines
sub exported_symbols {
	my ($file) = @_;
	return { map { /^\S+ (\w) ([^@\s]+)/ ? ($2 => $1) : () }
			split /\n/, output_of('nm', '-D', '--defined-only', $file) };
}

sub libpq_file {
	chomp(my $folder = output_of('pg_config', '--libdir'));
	return "$folder/libpq.so.5" if -e "$folder/libpq.so.5";
	local $ENV{PATH} = "$ENV{PATH}:/sbin:/usr/sbin";
	my ($file) = output_of('ldconfig', '-p') =~ /libpq\.so\.5 .*=> (\S+)/;
	return $file // die "no libpq.so.5 found\n";
}

sub takes_connection {
	my ($function) = @_;
	return "@$function" =~ /\bPG(?:conn|cancel)\b/;
}

sub names_of_parameters {
	my ($parameters) = @_;
	return '' if $parameters eq 'void';
	return join ', ', map { /(\w+)$/ } split /, */, $parameters;
}

sub without {
	my ($names, @others) = @_;
	my %other = map { $_ => 1 } @others;
	return sort grep { !$other{$_} } @$names;
}

# A C source that compiles without a word if the table agrees with the header.
sub agreement {
	my ($header, @rows) = @_;
	my $younger = join '|', @YOUNGER_ENUMS;
	my $source = "#include <libpq-fe.h>\n#include <libpq-events.h>\n";
	for my $row (@rows) {
		my ($result, $parameters) = @{ $header->{ $row->{name} } };
		my $theirs = "__typeof__(&$row->{name})";
		if ("$result $parameters" =~ /\b($younger)\b/) {
			$source .= "_Static_assert(sizeof($1) == sizeof(int), \"$1 is an int\");\n";
			$theirs = "$result (*)($parameters)" =~ s/\b(?:$younger)\b/int/gr;
		}
		$source .= "_Static_assert(__builtin_types_compatible_p($theirs, "
			. "$row->{result} (*)($row->{parameters})), \"$row->{name}\");\n";
	}
	return $source;
}

# Passes if there are no names, else tells them all.
sub none {
	my ($promise, @found) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is("@found", '', $promise);
}

sub is_in_release {
	my ($row, $release) = @_;
	return $row->{since} ne 'never' && $row->{since} <= $release;
}

my @table = table_rows();
my @names = map { $_->{name} } @table;
my $header = header_functions();
my $exported = exported_symbols(libpq_file());
my @with_connection = grep { takes_connection($header->{$_}) } keys %$header;

# Names of the rows that fulfil a condition on $_.
sub names_where {
	my ($condition) = @_;
	return map { $_->{name} } grep { $condition->() } @table;
}

# Guards against reading nothing at all, which would make every comparison below succeed.
cmp_ok(@table, '>', 100, 'the table is read');
cmp_ok(@with_connection, '>', 80, "the header's functions are read");
cmp_ok(keys %$exported, '>', 150, "libpq's symbols are read");

my %seen;
none('no function is in the table twice', grep { $seen{$_}++ } @names);

none('every function of the header that takes or returns a connection is in the table',
	without(\@with_connection, @names));

is(compile(agreement($header, grep { $header->{ $_->{name} } } @table), '-fsyntax-only', "-I$INCLUDE"),
	'', 'every prototype agrees with the header');

none('every function that libpq exports is in the table, or is known to take no connection',
	without([grep { $exported->{$_} eq 'T' && !/PQExpBuffer/ } keys %$exported],
		@names, keys %$header, @INTERNALS));

none("libpq $MAJOR has what the table says it has, and nothing from later",
	names_where(sub { !!$exported->{ $_->{name} } ne is_in_release($_, $MAJOR) }));

none('arguments are the parameters in their order',
	names_where(sub { names_of_parameters($_->{parameters}) ne $_->{arguments} }));

none('every generated wrapper has a connection called conn',
	names_where(sub { $_->{kind} !~ /^(?:OWN|CALL)$/ && $_->{arguments} !~ /\bconn\b/ }));

none('every generated wrapper returns something',
	names_where(sub { $_->{kind} !~ /^(?:OWN|CALL)$/ && $_->{result} eq 'void' }));

none('every SEND has a query',
	names_where(sub { $_->{kind} eq 'SEND' && $_->{arguments} !~ /\bquery\b/ }));

none('KEPT and STATE have an answer, ASK may have something to do first, other kinds have nothing',
	names_where(sub { $_->{kind} ne 'ASK' && ($_->{kind} =~ /^(?:KEPT|STATE)$/ xor $_->{extra} ne '') }));

my @wrapped = names_where(sub { $_->{kind} ne 'CALL' });
ok(-e $OBJECT, "$OBJECT is built");
my @made = -e $OBJECT ? keys %{ exported_symbols($OBJECT) } : ();
none('libpqleash.so exports every wrapper', without(\@wrapped, @made));
none('libpqleash.so exports nothing else',
	without([grep { !/^pqleash_/ } @made], @wrapped, @INTERPOSED, @LINKER));

done_testing();
