#include "log.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*
 * disarm replaces what could steer a terminal, for a part of the text comes from whoever listens at the socket: control
 * characters, and in UTF-8 those from U+0080 to U+009F.
 */
static void disarm(char *text)
{
	unsigned char before = 0;
	for (unsigned char *at = (unsigned char *)text; *at != '\0'; at++) {
		unsigned char c = *at;
		bool control = c < 0x20 || c == 0x7f || (c >= 0x80 && c < 0xa0 && (before < 0x80 || before == 0xc2));
		if (control)
			*at = '?';
		before = c;
	}
}

/* write_line raises no signal in the host when nobody reads its standard error any more. */
static void write_line(const char *text)
{
	const struct timespec at_once = {0, 0};
	sigset_t broken_pipe, before, pending;
	sigemptyset(&broken_pipe);
	sigaddset(&broken_pipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &broken_pipe, &before);
	sigpending(&pending);
	dprintf(STDERR_FILENO, "libonceleaf: %s\n", text);
	while (!sigismember(&pending, SIGPIPE) && sigtimedwait(&broken_pipe, NULL, &at_once) < 0 && errno == EINTR)
		;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void complain(const char *format, ...)
{
	const char *level = secure_getenv("ONCELEAF_LOG");
	if (level == NULL || *level == '\0' || strcmp(level, "off") == 0)
		return;
	char text[1024];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	disarm(text);
	write_line(text);
}
