#include "place.h"
#include "log.h"
#include "toml.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef ONCELEAF_SBINDIR
#define ONCELEAF_SBINDIR "/usr/local/sbin"
#endif

enum { MAX_FILE = 1 << 20 }; /* octets of a configuration */

/* setting is a variable of the environment, NULL if it is unset or empty. A set-user-ID host has none. */
static const char *setting(const char *name)
{
	const char *value = secure_getenv(name);
	return value != NULL && *value != '\0' ? value : NULL;
}

/* join_path writes up to three pieces; false if they are too long. */
static bool join_path(char path[PATH_MAX], const char *a, const char *b, const char *c)
{
	int length = snprintf(path, PATH_MAX, "%s%s%s", a, b, c);
	return length >= 0 && length < PATH_MAX;
}

/* base_folder is a folder of the XDG base directory specification, where a relative path counts as unset. */
static bool base_folder(char path[PATH_MAX], const char *variable, const char *under_home, const char *name)
{
	const char *folder = setting(variable), *home = setting("HOME");
	if (folder != NULL && *folder == '/')
		return join_path(path, folder, name, "");
	return home != NULL && *home == '/' && join_path(path, home, under_home, name);
}

/* exists answers 1, 0, or -1 if that cannot be told. A home that is /dev/null has no folders. */
static int exists(const char *path)
{
	struct stat st;
	if (stat(path, &st) == 0)
		return 1;
	if (errno == ENOENT || errno == ENOTDIR)
		return 0;
	complain("couldn't look for the configuration %s: %s", path, strerror(errno));
	return -1;
}

/* find_file is the path of the configuration, empty if there is none. */
static bool find_file(char path[PATH_MAX])
{
	const char *named = setting("ONCELEAF_CONF");
	if (named != NULL)
		return join_path(path, named, "", ""); /* named and missing is an error, not a default */
	if (base_folder(path, "XDG_CONFIG_HOME", "/.config", "/onceleaf/onceleaf.toml")) {
		int there = exists(path);
		if (there != 0)
			return there > 0;
	}
	join_path(path, "/etc/onceleaf/onceleaf.toml", "", "");
	int there = exists(path);
	if (there == 0)
		*path = '\0';
	return there >= 0;
}

static bool read_whole(int fd, char *text, size_t room, size_t *length)
{
	for (*length = 0; *length < room;) {
		ssize_t got = read(fd, text + *length, room - *length);
		if (got == 0)
			return true;
		if (got < 0 && errno != EINTR)
			return false;
		if (got > 0)
			*length += (size_t)got;
	}
	errno = EFBIG;
	return false;
}

static bool read_file(struct place *place, const char *path)
{
	size_t length;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char *text = fd < 0 ? NULL : malloc(MAX_FILE);
	bool good = text != NULL && read_whole(fd, text, MAX_FILE, &length);
	if (!good)
		complain("couldn't read the configuration %s: %s", path, strerror(errno));
	unsigned line = 0;
	if (good && !scan_configuration(place, text, length, &line)) {
		complain("%s:%u: write directory, socket, program and autostart as plain strings and booleans, the last three under [daemon]",
			 path, line);
		good = false;
	}
	free(text);
	if (fd >= 0)
		close(fd);
	return good;
}

/* make_absolute, since a daemon does not run in the host's working directory. */
static bool make_absolute(char path[PATH_MAX])
{
	static char here[PATH_MAX], relative[PATH_MAX];
	if (*path == '/')
		return true;
	memcpy(relative, path, PATH_MAX);
	return getcwd(here, sizeof here) != NULL && join_path(path, here, "/", relative);
}

static bool override(char path[PATH_MAX], const char *variable)
{
	const char *value = setting(variable);
	return value == NULL || join_path(path, value, "", "");
}

/*
 * complete_place sets what the environment says above what the file says, and fills in what both left open. Who names a
 * directory there means that directory's daemon, and not the one whose socket is in the file.
 */
static bool complete_place(struct place *place)
{
	if (setting("ONCELEAF_DIR") != NULL)
		*place->socket = '\0';
	const char *autostart = setting("ONCELEAF_AUTOSTART");
	if (!override(place->directory, "ONCELEAF_DIR") || !override(place->socket, "ONCELEAF_SOCKET") ||
	    !override(place->program, "ONCELEAF_DAEMON"))
		return false;
	if (autostart != NULL && strcmp(autostart, "0") == 0)
		place->autostart = false;
	if (*place->directory == '\0' && !base_folder(place->directory, "XDG_DATA_HOME", "/.local/share", "/onceleaf")) {
		if (*place->socket == '\0') {
			complain("no token directory: set ONCELEAF_DIR, or directory in the configuration");
			return false;
		}
		place->autostart = false; /* the daemon that listens there knows its directory */
	}
	if (*place->directory != '\0' && !make_absolute(place->directory))
		return false;
	place->trusted_only = *place->socket == '\0';
	if (place->trusted_only)
		return join_path(place->socket, place->directory, "/onceleaf.sock", "");
	if (*place->socket != '/')
		complain("the daemon's socket is %s, it must be an absolute path", place->socket);
	return *place->socket == '/';
}

CK_RV find_place(struct place *place)
{
	static char path[PATH_MAX];
	*place->directory = *place->socket = *place->program = '\0';
	place->autostart = true;
	bool found = find_file(path) && (*path == '\0' || read_file(place, path)) && complete_place(place);
	return found ? CKR_OK : CKR_GENERAL_ERROR;
}

/* --- the program --- */

/* path_at: the file that a line of /proc/self/maps tells of, if its memory holds the address. */
static const char *path_at(const char *line, uintptr_t address)
{
	char *end;
	uintptr_t from = strtoul(line, &end, 16);
	uintptr_t to = *end == '-' ? strtoul(end + 1, &end, 16) : 0;
	return from <= address && address < to ? strchr(end, '/') : NULL;
}

/* scan_maps looks through what was read of the file; it gives how much of it was whole lines. */
static size_t scan_maps(char *text, size_t length, uintptr_t address, const char **path)
{
	size_t done = 0;
	for (char *at = text, *end; (end = memchr(at, '\n', length - done)) != NULL; at = end + 1) {
		*end = '\0';
		done = (size_t)(end + 1 - text);
		*path = path_at(at, address);
		if (*path != NULL)
			break;
	}
	return done;
}

/*
 * own_folder is where this library lies. The kernel's list of mappings is asked and not the dynamic linker: its lock may
 * be held for ever in a forked child.
 */
static bool own_folder(char folder[PATH_MAX])
{
	enum { ROOM = 4 * PATH_MAX };
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	char *text = fd < 0 ? NULL : malloc(ROOM);
	const char *path = NULL;
	size_t length = 0;
	while (text != NULL && path == NULL) {
		ssize_t got = read(fd, text + length, ROOM - length);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		length += (size_t)got;
		size_t done = scan_maps(text, length, (uintptr_t)own_folder, &path);
		if (path == NULL) {
			length -= done;
			memmove(text, text + done, length);
		}
	}
	const char *end = path == NULL ? NULL : strrchr(path, '/');
	bool found = end != NULL && end - path < PATH_MAX;
	if (found) {
		memcpy(folder, path, (size_t)(end - path));
		folder[end - path] = '\0';
	}
	free(text);
	if (fd >= 0)
		close(fd);
	return found;
}

static bool is_program(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

bool find_program(const struct place *place, char program[PATH_MAX])
{
	static const char *const beside[] = {"/onceleafd", "/../libexec/onceleaf/onceleafd", "/../sbin/onceleafd"};
	static char folder[PATH_MAX];
	if (*place->program != '\0') {
		if (*place->program == '/' && is_program(place->program))
			return join_path(program, place->program, "", "");
		complain("%s is not the absolute path of a program: it should be the daemon", place->program);
		return false;
	}
	bool known = own_folder(folder);
	for (size_t i = 0; known && i < sizeof beside / sizeof beside[0]; i++) {
		if (join_path(program, folder, beside[i], "") && is_program(program))
			return true;
	}
	join_path(program, ONCELEAF_SBINDIR "/onceleafd", "", "");
	if (is_program(program))
		return true;
	complain("no daemon answers at %s, and onceleafd is not beside the library nor in %s: name it in ONCELEAF_DAEMON",
		 place->socket, ONCELEAF_SBINDIR);
	return false;
}
