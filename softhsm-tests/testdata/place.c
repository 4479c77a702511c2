/*
 * Prints where libonceleaf.so finds the daemon, so that it can be held against token.LoadConfig: directory, socket, program
 * and autostart, one per line, or "error". usage: place; flags: -D_GNU_SOURCE -I../cgo/embedded
 */
#include "../../cgo/front/log.c"
#include "../../cgo/front/place.c"
#include "../../cgo/front/toml.c"

int main(void)
{
	static struct place place;
	if (find_place(&place) != CKR_OK) {
		puts("error");
		return 0;
	}
	printf("%s\n%s\n%s\n%s\n", place.directory, place.socket, place.program, place.autostart ? "true" : "false");
	return 0;
}
