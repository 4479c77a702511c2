/* What goes wrong before a daemon answers is told on standard error, if ONCELEAF_LOG asks for a log. */
#ifndef ONCELEAF_LOG_H
#define ONCELEAF_LOG_H

__attribute__((format(printf, 1, 2))) void complain(const char *format, ...);

#endif
