/*
 * A kernel that cannot wipe a page at a fork (before 4.14): the number of the process alone tells a child from its parent,
 * also when the fork came while another thread was claiming the memory. usage: process; flags: -D_GNU_SOURCE
 */
#include <sys/mman.h>
#define madvise(address, length, advice) (-1)
#include "../../cgo/front/process.c"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#define CHECK(condition)                                                                \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			exit(1);                                                        \
		}                                                                       \
	} while (0)

static int claims;

static void count(void)
{
	claims++;
}

static void in_child(void (*work)(void))
{
	int status;
	pid_t child = fork();
	if (child == 0) {
		alarm(10);
		work();
		exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void claim_the_copy(void)
{
	int before = claims;
	CHECK(which_process() == COPIED);
	CHECK(claim_process(count) && which_process() == HOME && claims == before + 1);
	CHECK(claim_process(count) && claims == before + 1);
}

/* The child gets a copy of a claim that nobody will ever finish. */
static void fork_while_claiming(void)
{
	claims++;
	CHECK(which_process() == CLAIMING);
	in_child(claim_the_copy);
}

int main(void)
{
	CHECK(which_process() == UNCLAIMED);
	CHECK(claim_process(fork_while_claiming) && which_process() == HOME && claims == 1);
	in_child(claim_the_copy);
	CHECK(which_process() == HOME);
	return 0;
}
