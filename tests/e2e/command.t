#!/usr/bin/perl
# The launcher: what the program it becomes gets to see, what it refuses, and whether its help and its
# man page say what include/pqleash_settings.h says.
#   BUILD=build prove tests/e2e/command.t
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Copy qw(copy);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Test::More;

my $BUILD = abs_path($ENV{BUILD} // 'build');
my $COMMAND = "$BUILD/pqleash";
my $OBJECT = "$BUILD/libpqleash.so";
my $SEE_HELP = '; see pqleash --help';
my $FOLDER = tempdir(CLEANUP => 1);

# What would change the answers, if the caller has it set.
delete @ENV{ grep { /^PQLEASH/ } keys %ENV };

# A sanitized object wants its runtime to be the first entry, in every program that is run here.
my ($RUNTIME) = qx(ldd \Q$OBJECT\E) =~ m{=> (/\S+/lib[at]san\S*)};
my $EXISTING = delete $ENV{LD_PRELOAD} // $RUNTIME // '';
$ENV{ASAN_OPTIONS} = join ':', $ENV{ASAN_OPTIONS} // (), 'detect_leaks=0';

sub contents_of {
	my ($file) = @_;
	open my $handle, '<', $file or die "$file: $!";
	my $text = do { local $/; <$handle> };
	return $text // '';
}

# Entries of an LD_PRELOAD, as ld.so(8) separates them.
sub entries {
	my ($text) = @_;
	return grep { length } split /[ :]/, $text // '';
}

# Runs a command with these additions to the environment; LD_PRELOAD is what stands behind a sanitizer's
# runtime. Returns its status, or the signal that ended it, its pid and what it wrote.
sub run_with {
	my ($additions, @command) = @_;
	my %environment = (%ENV, %$additions);
	$environment{LD_PRELOAD} = join ':', grep { length } $EXISTING, $additions->{LD_PRELOAD} // '';
	delete $environment{LD_PRELOAD} if $environment{LD_PRELOAD} eq '';
	my $pid = fork // die "fork: $!";
	if ($pid == 0) {
		open STDIN, '<', '/dev/null' or die $!;
		open STDOUT, '>', $additions->{STDOUT} // "$FOLDER/out" or die $!;
		open STDERR, '>', "$FOLDER/err" or die $!;
		%ENV = %environment;
		exec { $command[0] } @command or die "$command[0]: $!";
	}
	waitpid $pid, 0;
	return {
		pid => $pid, status => $? & 127 ? undef : $? >> 8, signal => $? & 127,
		out => -e "$FOLDER/out" ? contents_of("$FOLDER/out") : '', err => contents_of("$FOLDER/err"),
	};
}

sub pqleash {
	return run_with({}, $COMMAND, @_);
}

# The environment that a program gets from pqleash with these options.
sub environment_with {
	my ($additions, @options) = @_;
	my $run = run_with($additions, $COMMAND, @options, 'env', '-0');
	return { map { split /=/, $_, 2 } split /\0/, $run->{out} };
}

# What LD_PRELOAD has for the program, without a sanitizer's runtime.
sub preloads_with {
	my ($existing, @launcher) = @_;
	my $run = run_with({ LD_PRELOAD => $existing }, @launcher, 'env', '-0');
	my ($value) = $run->{out} =~ /(?:^|\0)LD_PRELOAD=([^\0]*)/;
	my @entries = entries($value);
	splice @entries, 0, scalar entries($EXISTING);
	return \@entries;
}

# A refusal is one line that matches, and a status.
sub refused {
	my ($run, $status, $message, $promise) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is_deeply([$run->{status}, $run->{err} =~ /\Apqleash: $message\n\z/ ? 'as expected' : $run->{err}],
		[$status, 'as expected'], $promise);
}

# A copy of the command in a folder of its own, without an object.
sub command_in {
	my ($folder) = @_;
	make_path($folder);
	copy($COMMAND, "$folder/pqleash") or die "copy: $!";
	chmod 0755, "$folder/pqleash" or die "chmod: $!";
	return "$folder/pqleash";
}

sub object_in {
	my ($folder) = @_;
	make_path($folder);
	copy($OBJECT, "$folder/libpqleash.so") or die "copy: $!";
	return "$folder/libpqleash.so";
}

sub file_with {
	my ($name, $mode, $text) = @_;
	open my $file, '>', "$FOLDER/$name" or die "$name: $!";
	print $file $text;
	close $file or die "$name: $!";
	chmod $mode, "$FOLDER/$name" or die "chmod: $!";
	return "$FOLDER/$name";
}

# The table of settings: option (with dashes), variable, kind, default and the rest.
sub settings {
	my @settings;
	my $text = contents_of('include/pqleash_settings.h');
	while ($text =~ /SETTING\((\w+), (\w+), (\w+), "(.*?)", (\d+), (\d+), "(.*?)", "(.*?)"\)/g) {
		push @settings, { variable => "PQLEASH_$2", kind => $3, default => length $4 ? $4 : 'none',
			minimum => $5, maximum => $6, metavariable => $7, help => $8, option => '--' . $1 =~ tr/_/-/r };
	}
	return @settings;
}

# For each kind: a value that is no default, one that is refused, and what is then said to be allowed.
sub samples {
	my ($setting) = @_;
	my $range = "from $setting->{minimum} to $setting->{maximum}";
	return @{ {
		NUMBER => [7, $setting->{maximum} + 1, "a whole number $range"],
		SECONDS => [7.5, 'soon', "seconds $range, e\\.g\\. 5 or [\\d.]+"],
		FLAG => [1, 'yes', '0 or 1'],
		CHOICE => ['ended', 'sometimes', 'lru, ended or never'],
		NAMES => ['one,two', 'one,,two', 'names separated by commas.*'],
		TEXT => ['one: two three', '', 'a name'],
		URL => ['postgres://me:sekret@host/db?a=b', 'mysql://me:sekret@host/db',
			'a URL such as postgresql://host/database'],
	}->{ $setting->{kind} } };
}

my @settings = settings();
is(scalar @settings, () = contents_of('include/pqleash_settings.h') =~ /^\tSETTING\(/mg,
	'the table of settings is read');
ok(-e $_, "$_ is built") or BAIL_OUT('run make first') for $COMMAND, $OBJECT;

# The program and its arguments
is(pqleash('printf', '%s,', '--limit', 'two words', '', '--')->{out}, '--limit,two words,,--,',
	'the arguments of the program are its own');
is(pqleash('--', 'printf', 'a program')->{out}, 'a program', '-- ends the options');
is(pqleash('--', '--help')->{status}, 127, 'behind -- stands the program, whatever its name');
is(pqleash('sh', '-c', 'exit 42')->{status}, 42, "the exit status is the program's");
is(pqleash('sh', '-c', 'kill -TERM $$')->{status}, 143, 'a signal gives the status that a shell reports');
is(pqleash('sh', '-c', 'kill -TERM $PPID; sleep 9')->{status}, 143, 'SIGTERM is passed on to the program');
is(pqleash('sh', '-c', 'kill -INT $PPID; exit 3')->{status}, 3, 'SIGINT is left to the program');
is(run_with({}, 'sh', '-c', "trap '' INT; exec $COMMAND sh -c 'kill -INT \$\$; exit 4'")->{status}, 4,
	'a signal that was ignored stays so');
is(run_with({}, 'perl', '-e', '$SIG{CHLD} = "IGNORE"; exec @ARGV', $COMMAND, 'sh', '-c', 'exit 5')->{status}, 5,
	'the program is waited for even where nobody waits for children');
is(pqleash('sh', '-c', 'rm -r "$PQLEASH_TRACE"; exit 3')->{status}, 3, 'a program that takes its trace away has its own status');
my $shell = pqleash('sh', '-c', 'echo text >&2');
is($shell->{err}, "text\npqleash: nothing was intercepted: sh and what it started called no libpq to\n  connect\n",
	'a run without connections is not called green');
is(pqleash('sh', '-c', 'exit 127')->{err} =~ tr/\n//, 2, 'the report comes whatever the status');

# Settings
is(environment_with({})->{PQLEASH}, 1, 'PQLEASH is 1');
is(environment_with({ PQLEASH => 0 })->{PQLEASH}, 1, 'PQLEASH is 1 where it was 0');
is_deeply([grep { /^PQLEASH_/ } keys %{ environment_with({}) }], ['PQLEASH_TRACE'],
	'an option not given sets nothing, but there is a trace');
my $trace = environment_with({})->{PQLEASH_TRACE};
ok(!-e $trace, 'which is gone afterwards');
is(environment_with({ PQLEASH_LIMIT => 9 })->{PQLEASH_LIMIT}, 9, 'a variable counts without its option');
is(environment_with({ PQLEASH_LIMIT => 9 }, '--limit', 7)->{PQLEASH_LIMIT}, 7,
	'an option counts more than its variable');
is(environment_with({}, '--limit=7', '--limit=8')->{PQLEASH_LIMIT}, 8, 'the last one of an option counts');
is(environment_with({ KEPT => 'x y' })->{KEPT}, 'x y', 'other variables stay');

for my $setting (@settings) {
	my ($option, $variable, $kind) = @$setting{qw(option variable kind)};
	my ($good, $bad, $allowed) = samples($setting);

	if ($option eq '--error-exitcode') {
		refused(pqleash("$option=$bad", 'true'), 125, "$option .* is not valid; allowed is $allowed",
			"$option refuses what is not valid");
		ok(!exists environment_with({}, "$option=7")->{$variable}, "$option is not for the program to obey");
		next;
	}
	if ($option eq '--trace') {
		is(environment_with({}, $option, "$FOLDER/$good")->{$variable}, "$FOLDER/$good", "$option sets $variable");
		is(environment_with({}, "$option=relative folder")->{$variable}, Cwd::getcwd() . '/relative folder',
			'... for programs that change their folder');
		rmdir 'relative folder';
		refused(pqleash($option, '/dev/null/x', 'true'), 125, 'cannot make the folder "/dev/null/x": Not a directory',
			"$option refuses a folder that cannot be");
		next;
	}
	is(environment_with({}, "$option=$good")->{$variable}, $good, "$option=... sets $variable");
	is(environment_with({}, '--' . substr($option, 2) =~ tr/-/_/r . "=$good")->{$variable}, $good,
		"$option may have underscores") if $option =~ /\w-/;
	if ($kind eq 'FLAG') {
		is(environment_with({}, $option)->{$variable}, 1, "$option alone means 1");
		is(environment_with({}, "$option=0")->{$variable}, 0, "$option=0 sets 0");
		is(pqleash($option, 'printf', 'ran')->{out}, 'ran', "$option leaves the next argument alone");
	} else {
		is(environment_with({}, $option, $good)->{$variable}, $good, "$option ... sets $variable");
		refused(pqleash($option), 125, "$option needs a value: $allowed$SEE_HELP",
			"$option without a value is refused");
	}
	if ($kind eq 'URL') {
		refused(pqleash("$option=$bad", 'true'), 125,
			"the value of $option is not valid; allowed is $allowed", "a bad $option is refused");
	} else {
		refused(pqleash("$option=$bad", 'true'), 125,
			"$option \"$bad\" is not valid; allowed is $allowed", "a bad $option is refused");
	}
	refused(pqleash("$option=", 'true'), 125, "(?:the value of )?$option .*is not valid; allowed is $allowed",
		"an empty $option is refused") if $bad ne '';
}

# Refusals
refused(pqleash(), 125, "no program given$SEE_HELP", 'no argument at all is refused');
refused(pqleash('--debug', '--'), 125, "no program given$SEE_HELP", 'options without a program are refused');
refused(pqleash('--limits', '3', 'true'), 125, "unknown option \"--limits\"$SEE_HELP",
	'an unknown option is refused');
refused(pqleash('--lim', '3', 'true'), 125, "unknown option \"--lim\"$SEE_HELP",
	'a part of an option is refused');
refused(pqleash('-d', 'true'), 125, "unknown option \"-d\"$SEE_HELP", 'a single dash is refused');
refused(pqleash('--limit=0', '--limit=3', 'true'), 125, '--limit "0" is not valid.*',
	'a bad value is refused, even if a good one follows');
refused(pqleash("--limit=1\n2", 'true'), 125, '--limit "1\?2" is not valid.*',
	'a line break in a value does not break the message');
unlike(pqleash('--conninfo=host=x password=sekret', 'true')->{err}, qr/sekret/,
	'the value of an unknown option is not shown');
unlike(pqleash('--limit', 'postgres://me:sekret@host/db', 'true')->{err}, qr/sekret/,
	'a URL given to the wrong option is not shown');
unlike(pqleash('--pgbouncer', 'postgres://me:sekret@host/db', 'true')->{err}, qr/sekret/,
	'a URL given as the program is not shown');

# Programs that cannot be run
refused(pqleash('no-such-program'), 127, 'cannot run "no-such-program": No such file or directory',
	'a program that is not in PATH is 127');
refused(pqleash("$FOLDER/none"), 127, 'cannot run ".*/none": No such file or directory',
	'a path that is not there is 127');
refused(pqleash(file_with('plain', 0644, "#!/bin/sh\n")), 126, 'cannot run ".*/plain": Permission denied',
	'a file that is not executable is 126');
refused(pqleash($FOLDER), 126, 'cannot run ".*": Permission denied', 'a folder is 126');
refused(pqleash(file_with('script', 0755, "#!/no/such/shell\n")), 126,
	'cannot run ".*/script": its interpreter is missing', 'a script without its interpreter is 126');

# LD_PRELOAD: libm and libpthread stand for whatever is preloaded besides
my @others = ('libm.so.6', 'libpthread.so.0');
is_deeply(preloads_with('', $COMMAND), [$OBJECT], 'the object is preloaded');
is_deeply(preloads_with("$others[0]:$others[1]", $COMMAND), [@others, $OBJECT],
	'entries separated by a colon stay first and in order');
is_deeply(preloads_with("$others[1] $others[0]", $COMMAND), [reverse(@others), $OBJECT],
	'entries separated by a space stay first and in order');
is_deeply(preloads_with(": $others[0] ::", $COMMAND), [$others[0], $OBJECT],
	'empty entries do no harm');
is_deeply(preloads_with("$OBJECT:$others[0]", $COMMAND), [$OBJECT, $others[0]],
	'the object is not added twice');
symlink $OBJECT, "$FOLDER/link.so" or die "symlink: $!";
is_deeply(preloads_with("$FOLDER/link.so", $COMMAND), ["$FOLDER/link.so"],
	'the object is not added to a link to it');
is_deeply(preloads_with('libpqleash.so', 'env', "LD_LIBRARY_PATH=$BUILD", $COMMAND), ['libpqleash.so'],
	'the object is not added to its bare name, where ld.so finds it by that');
is_deeply(preloads_with('libpqleash.so', $COMMAND), ['libpqleash.so', $OBJECT],
	'the object is added to its bare name, where ld.so does not find it');
is_deeply(preloads_with($OBJECT, $COMMAND, '--debug', $COMMAND), [$OBJECT],
	'pqleash under pqleash adds nothing');

# Where the object is
my $multiarch = qx(ldd /bin/sh) =~ m{/([^/]+-linux-[^/]+)/libc\.so} ? $1 : undef;
for my $place ('bin', 'lib', 'lib64', defined $multiarch ? "lib/$multiarch" : ()) {
	my $prefix = "$FOLDER/to-" . $place =~ tr{/}{-}r;
	my $command = command_in("$prefix/bin");
	my $object = object_in("$prefix/$place");
	is_deeply(preloads_with('', $command), [$object], "the object is found in $place");
}
symlink $COMMAND, "$FOLDER/elsewhere" or die "symlink: $!";
is_deeply(preloads_with('', "$FOLDER/elsewhere"), [$OBJECT], 'the object is found through a link to the command');
refused(run_with({}, command_in("$FOLDER/alone/bin"), 'true'), 125,
	'no libpqleash\.so beside this command.*', 'a command without an object is refused');
for my $separator (' ', ':', "\t") {
	my $folder = "$FOLDER/a${separator}b";
	my $command = command_in($folder);
	object_in($folder);
	refused(run_with({}, $command, 'true'), 125, 'LD_PRELOAD cannot carry .*/a.b/libpqleash\.so".*',
		sprintf 'a path with byte %02x is refused', ord $separator);
}

# Help, version and man page
my $help = pqleash('--help');
is($help->{status}, 0, '--help succeeds');
is($help->{err}, '', '--help says nothing on stderr');
is(pqleash('--help', '--no-such-option')->{status}, 0, '--help counts before what follows');
is_deeply([grep { length > 80 } split /\n/, $help->{out}], [], 'the help fits 80 columns');
is_deeply([grep { /\s$/ } split /\n/, $help->{out}], [], 'no line of the help ends in a blank');
like($help->{out}, qr{^  LD_PRELOAD=libpqleash\.so PQLEASH=1 \./run_tests$}m, 'the help shows the bare form');
like($help->{out}, qr{^  pqleash \./run_tests$}m, 'the help shows the command');
is(pqleash('--version')->{out}, "pqleash $1\n", '--version prints the version')
	if contents_of('include/pqleash_settings.h') =~ /PQLEASH_VERSION "(.*)"/;
refused(run_with({ STDOUT => '/dev/full' }, $COMMAND, '--help'), 125, 'cannot write to stdout: .*',
	'help that cannot be written is a failure');

my $flat_help = $help->{out} =~ s/\s+/ /gr;
my $page = contents_of('shim/command/pqleash.1');
my @without_effect = $page =~ /^\.It Ev (\w+)\n(?:(?!\.It).*\n)*?.*has no effect in this version/mg;
for my $setting (@settings) {
	my ($option, $variable, $default) = @$setting{qw(option variable default)};
	my $value = $setting->{kind} eq 'FLAG' ? "[=$setting->{metavariable}]" : " $setting->{metavariable}";
	like($flat_help, qr/ \Q$option$value $setting->{help} (default: $default)\E /,
		"the help has $option, its value, text and default");
	like($page, qr/^\.It Fl \Q@{[substr $option, 1]}\E .*\n\.Ev $variable$/m, "the man page has $option");
	like($page, qr/^\.It Ev $variable\nDefault: \Q$default\E\.$/m, "the man page has $variable and its default");
}
like($page, qr/^\.It Ev PQLEASH\nDefault: 0\.$/m, 'the man page has PQLEASH');
is_deeply([sort map { '--' . lc substr($_, 8) =~ tr/_/-/r } @without_effect],
	[sort $flat_help =~ /Not in this version: (.*?) (?:is|are) accepted/ ? $1 =~ /(--[\w-]+)/g : ()],
	'help and man page agree on what has no effect');

done_testing();
