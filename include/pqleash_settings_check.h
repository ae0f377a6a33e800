/*
 * What a setting may be, once: the preloaded object asks about the environment, the command about
 * its options, and both refuse in the same words. Every function is pure: no allocation, no errno,
 * no locale (strtod would read "0,5" in a German one), any thread, any moment of a preload's life.
 */
#ifndef PQLEASH_SETTINGS_CHECK_H
#define PQLEASH_SETTINGS_CHECK_H

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The kinds of pqleash_settings.h: SETTING_##kind. */
enum setting_kind {
	SETTING_NUMBER,
	SETTING_SECONDS,
	SETTING_FLAG,
	SETTING_CHOICE,
	SETTING_NAMES,
	SETTING_TEXT,
	SETTING_URL,
};

/* Bytes that hold any answer of setting_allowed. */
#define SETTING_ALLOWED_ROOM 128

/* Reads digits at *text, which then points behind them; false for none, or for more than most. */
static inline bool setting_digits(const char **text, long most, long *value)
{
	const char *rest = *text;
	long sum = 0;

	for (; *rest >= '0' && *rest <= '9'; rest++) {
		int digit = *rest - '0';

		if (sum > (most - digit) / 10)
			return false;
		sum = sum * 10 + digit;
	}
	if (rest == *text)
		return false;
	*text = rest;
	*value = sum;
	return true;
}

/*
 * A whole number: digits only, no sign, no blanks.
 *   minimum, maximum  both allowed
 *   number            set on success only
 */
static inline bool setting_number(const char *text, long minimum, long maximum, long *number)
{
	long value;

	if (!setting_digits(&text, LONG_MAX, &value) || *text)
		return false;
	if (value < minimum || value > maximum)
		return false;
	*number = value;
	return true;
}

/*
 * Seconds: digits, and perhaps a point and more digits.
 *   minimum, maximum  in seconds, both allowed
 *   milliseconds      set on success only; what is finer is rounded up, so that a short time never
 *                     becomes 0, which often means "no limit"
 */
static inline bool setting_seconds(
    const char *text, double minimum, double maximum, long *milliseconds)
{
	long whole, thousandths = 0;
	bool finer = false;

	if (!setting_digits(&text, LONG_MAX / 1000 - 2, &whole))
		return false;
	if (*text == '.') {
		const char *fraction = ++text;

		for (long unit = 100; *text >= '0' && *text <= '9'; text++, unit /= 10) {
			thousandths += (*text - '0') * unit;
			finer |= unit == 0 && *text != '0';
		}
		if (text == fraction)
			return false;
	}
	if (*text)
		return false;
	long known = whole * 1000 + thousandths;
	if (known < minimum * 1000 || known + finer > maximum * 1000)
		return false;
	*milliseconds = known + finer;
	return true;
}

/* Which of "lru", "ended", "never" it is: 0, 1 or 2; -1 for none. */
static inline int setting_choice(const char *text)
{
	static const char *const choices[] = {"lru", "ended", "never"};

	for (int which = 0; which < 3; which++)
		if (strcmp(text, choices[which]) == 0)
			return which;
	return -1;
}

/* Blanks around a name are refused: " pgbouncer" would never be the name of a program. */
static inline bool setting_names(const char *text)
{
	static const char blanks[] = " \t\r\n";

	for (;;) {
		size_t length = strcspn(text, ",");

		if (length == 0 || strchr(blanks, text[0]) || strchr(blanks, text[length - 1]))
			return false;
		if (!text[length])
			return true;
		text += length + 1;
	}
}

/*
 * The beginning only: libpq judges the rest better. A PostgreSQL URI may leave out everything
 * behind "//".
 */
static inline bool setting_url(const char *text)
{
	return strncmp(text, "postgresql://", 13) == 0 || strncmp(text, "postgres://", 11) == 0;
}

/*
 * Whether a setting of this kind may have this value. minimum and maximum count for NUMBER and
 * SECONDS. NULL and "" are no value of any kind.
 */
static inline bool setting_valid(
    enum setting_kind kind, long minimum, long maximum, const char *text)
{
	long ignored;

	if (!text || !*text)
		return false;
	switch (kind) {
	case SETTING_NUMBER:
		return setting_number(text, minimum, maximum, &ignored);
	case SETTING_SECONDS:
		return setting_seconds(text, minimum, maximum, &ignored);
	case SETTING_FLAG:
		return strcmp(text, "0") == 0 || strcmp(text, "1") == 0;
	case SETTING_CHOICE:
		return setting_choice(text) >= 0;
	case SETTING_NAMES:
		return setting_names(text);
	case SETTING_TEXT:
		return true;
	case SETTING_URL:
		return setting_url(text);
	}
	return false;
}

/*
 * What is allowed, in words that end a sentence: "... is not valid; allowed is %s".
 *   buffer  SETTING_ALLOWED_ROOM bytes; also what is returned
 */
static inline const char *setting_allowed(
    enum setting_kind kind, long minimum, long maximum, char *buffer)
{
	const char *words = "";

	switch (kind) {
	case SETTING_NUMBER:
		snprintf(buffer, SETTING_ALLOWED_ROOM, "a whole number from %ld to %ld", minimum,
		    maximum);
		return buffer;
	case SETTING_SECONDS:
		snprintf(buffer, SETTING_ALLOWED_ROOM, "seconds from %ld to %ld, e.g. 5 or %s",
		    minimum, maximum, minimum == 0 ? "0.5" : "7.5");
		return buffer;
	case SETTING_FLAG:
		words = "0 or 1";
		break;
	case SETTING_CHOICE:
		words = "lru, ended or never";
		break;
	case SETTING_NAMES:
		words = "names separated by commas, no blanks around them";
		break;
	case SETTING_TEXT:
		words = "a name";
		break;
	case SETTING_URL:
		words = "a URL such as postgresql://host/database";
		break;
	}
	snprintf(buffer, SETTING_ALLOWED_ROOM, "%s", words);
	return buffer;
}

#endif
