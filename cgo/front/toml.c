#include "toml.h"

#include <string.h>

enum table { TOP, DAEMON, OTHER };

enum { DIRECTORY, SOCKET, PROGRAM, AUTOSTART, KEYS };

struct scanner {
	const char *at, *end;
	enum table table;
	struct place *place;
	bool seen[KEYS]; /* a key stands in a file once */
};

/* peek is '\0' at the end. */
static char peek(const struct scanner *s)
{
	return s->at < s->end ? *s->at : '\0';
}

static void skip_blanks(struct scanner *s)
{
	while (peek(s) == ' ' || peek(s) == '\t' || peek(s) == '\r')
		s->at++;
}

static void skip_line(struct scanner *s)
{
	while (s->at < s->end && *s->at != '\n')
		s->at++;
}

/* at_end: nothing is left on the line but a comment. */
static bool at_end(struct scanner *s)
{
	skip_blanks(s);
	if (peek(s) == '#')
		skip_line(s);
	return s->at == s->end || *s->at == '\n';
}

static bool triple(const struct scanner *s)
{
	return s->end - s->at >= 3 && s->at[1] == s->at[0] && s->at[2] == s->at[0];
}

/* skip_string steps over a string of any kind. */
static bool skip_string(struct scanner *s)
{
	char quote = *s->at;
	bool long_one = triple(s);
	for (s->at += long_one ? 3 : 1; s->at < s->end; s->at++) {
		if (*s->at == '\\' && quote == '"') {
			s->at++;
		} else if (*s->at == quote && (!long_one || triple(s))) {
			s->at += long_one ? 3 : 1;
			while (long_one && peek(s) == quote) /* quotes before the closing ones belong to the string */
				s->at++;
			return true;
		} else if (*s->at == '\n' && !long_one) {
			return false;
		}
	}
	return false;
}

/* skip_value steps over a value of any kind, which may go over many lines, to the end of its last one. */
static bool skip_value(struct scanner *s)
{
	int depth = 0;
	while (s->at < s->end && (*s->at != '\n' || depth > 0)) {
		char c = *s->at;
		if (c == '"' || c == '\'') {
			if (!skip_string(s))
				return false;
			continue;
		}
		if (c == '#') {
			skip_line(s);
			continue;
		}
		depth += (c == '[' || c == '{') - (c == ']' || c == '}');
		s->at++;
	}
	return depth == 0;
}

static bool bare(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

/* A name of the file, as it lies there. */
struct name {
	const char *at;
	size_t length;
};

static struct name take_name(struct scanner *s)
{
	skip_blanks(s);
	struct name n = {s->at, 0};
	while (bare(peek(s)))
		s->at++;
	n.length = (size_t)(s->at - n.at);
	skip_blanks(s);
	return n;
}

static bool is(struct name n, const char *text)
{
	return n.length == strlen(text) && memcmp(n.at, text, n.length) == 0;
}

/* take_string takes a string of one line without escapes. */
static bool take_string(struct scanner *s, char path[PATH_MAX])
{
	char quote = peek(s);
	if ((quote != '"' && quote != '\'') || triple(s))
		return false;
	const char *begin = ++s->at;
	while (s->at < s->end && *s->at != quote && *s->at != '\n' && !(*s->at == '\\' && quote == '"'))
		s->at++;
	size_t length = (size_t)(s->at - begin);
	if (peek(s) != quote || length >= PATH_MAX || memchr(begin, '\0', length) != NULL)
		return false;
	memcpy(path, begin, length);
	path[length] = '\0';
	s->at++;
	return at_end(s);
}

static bool take_bool(struct scanner *s, bool *value)
{
	struct name n = take_name(s);
	*value = is(n, "true");
	return (*value || is(n, "false")) && at_end(s);
}

/* take_table reads a header: [daemon], or one that is nobody's here. */
static bool take_table(struct scanner *s)
{
	s->at++;
	bool list = peek(s) == '[';
	struct name n = take_name(s);
	if (peek(s) == '"' || peek(s) == '\'')
		return false;
	s->table = !list && is(n, "daemon") && peek(s) == ']' ? DAEMON : OTHER;
	skip_line(s);
	return true;
}

static bool first(struct scanner *s, int key)
{
	bool again = s->seen[key];
	s->seen[key] = true;
	return !again;
}

static bool take_key(struct scanner *s)
{
	struct name n = take_name(s);
	bool daemon_itself = s->table == TOP && is(n, "daemon"); /* daemon.socket = ..., daemon = { ... } */
	bool quoted = (peek(s) == '"' || peek(s) == '\'') && s->table != OTHER;
	if (daemon_itself || quoted)
		return false;
	if (peek(s) != '=') /* a dotted or quoted key of others: its value follows */
		return (peek(s) == '.' || peek(s) == '"' || peek(s) == '\'') && skip_value(s);
	s->at++;
	skip_blanks(s);
	if (s->table == TOP && is(n, "directory"))
		return first(s, DIRECTORY) && take_string(s, s->place->directory);
	if (s->table == DAEMON && is(n, "socket"))
		return first(s, SOCKET) && take_string(s, s->place->socket);
	if (s->table == DAEMON && is(n, "program"))
		return first(s, PROGRAM) && take_string(s, s->place->program);
	if (s->table == DAEMON && is(n, "autostart"))
		return first(s, AUTOSTART) && take_bool(s, &s->place->autostart);
	return n.length != 0 && skip_value(s);
}

static bool take_line(struct scanner *s)
{
	if (at_end(s))
		return true;
	return peek(s) == '[' ? take_table(s) : take_key(s);
}

bool scan_configuration(struct place *place, const char *text, size_t length, unsigned *line)
{
	struct scanner s = {.at = text, .end = text + length, .table = TOP, .place = place};
	bool good = true;
	while (good && s.at < s.end) {
		good = take_line(&s);
		if (good && s.at < s.end)
			s.at++; /* the line's end */
	}
	*line = 1;
	for (const char *at = text; at < s.at && at < s.end; at++)
		*line += *at == '\n';
	return good;
}
