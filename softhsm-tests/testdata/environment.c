/*
 * A host that chooses the token directory in its own environment after it has loaded the library, and again between
 * C_Finalize and C_Initialize. usage: environment MODULE DIRECTORY OTHER, and OTHER stays without a token
 */
#define _DEFAULT_SOURCE
#include "host.h"

static CK_ULONG tokens(CK_FUNCTION_LIST_3_2 *p11)
{
	CK_ULONG count;
	OK(p11->C_GetSlotList(1, NULL, &count));
	return count;
}

int main(int argc, char **argv)
{
	CHECK(argc == 4);
	CK_FUNCTION_LIST_3_2 *p11 = load(argv[1]);
	setenv("ONCELEAF_DIR", argv[2], 1);
	OK(p11->C_Initialize(NULL));
	make_token(p11);
	CHECK(tokens(p11) == 2);
	OK(p11->C_Finalize(NULL));

	setenv("ONCELEAF_DIR", argv[3], 1);
	OK(p11->C_Initialize(NULL));
	CHECK(tokens(p11) == 1);
	OK(p11->C_Finalize(NULL));
	CHECK(strcmp(getenv("ONCELEAF_DIR"), argv[3]) == 0);
	return 0;
}
