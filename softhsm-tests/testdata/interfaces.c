/* A host that looks at everything that works before C_Initialize. usage: interfaces MODULE */
#include "host.h"

/* Landmarks of the standard's lists: how many functions stand before each. */
#define PLACE(name, n)                                                                                             \
	_Static_assert(offsetof(CK_FUNCTION_LIST_3_2, name) == (n + 1) * sizeof(void (*)(void)), #name " out of place")
PLACE(C_Initialize, 0);
PLACE(C_SignInit, 42);
PLACE(C_WaitForSlotEvent, 67);
PLACE(C_GetInterfaceList, 68);
PLACE(C_GetInterface, 69);
PLACE(C_LoginUser, 70);
PLACE(C_SessionCancel, 71);
PLACE(C_MessageEncryptInit, 72);
PLACE(C_MessageDecryptInit, 77);
PLACE(C_MessageSignInit, 82);
PLACE(C_MessageVerifyInit, 87);
PLACE(C_MessageVerifyFinal, 91);
PLACE(C_EncapsulateKey, 92);
PLACE(C_VerifySignatureInit, 94);
PLACE(C_GetSessionValidationFlags, 98);
PLACE(C_AsyncComplete, 99);
PLACE(C_WrapKeyAuthenticated, 102);
PLACE(C_UnwrapKeyAuthenticated, 103);
_Static_assert(sizeof(CK_FUNCTION_LIST) == 69 * sizeof(void (*)(void)), "2.40 has 68 functions");
_Static_assert(sizeof(CK_FUNCTION_LIST_3_0) == 93 * sizeof(void (*)(void)), "3.0 has 92 functions");
_Static_assert(sizeof(CK_FUNCTION_LIST_3_2) == 105 * sizeof(void (*)(void)), "3.2 has 104 functions");

static void *library;

/*
 * The host has a function of the same name, as one that is linked with another PKCS#11 library has. The library's own
 * list must not point to it.
 */
CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list)
{
	(void)list;
	fprintf(stderr, "the host's C_GetFunctionList was called\n");
	exit(1);
}

static void *symbol(const char *name)
{
	void *found = dlsym(library, name);
	CHECK(found != NULL);
	return found;
}

static void every_pointer_is_there(const CK_FUNCTION_LIST_3_2 *p11, int count)
{
	for (int i = 0; i < count; i++) {
		if (function_at(p11, i) == NULL) {
			fprintf(stderr, "%s is NULL\n", functions[i].name);
			exit(1);
		}
	}
}

static void lists(void)
{
	CK_RV (*get_function_list)(CK_FUNCTION_LIST_PTR_PTR);
	*(void **)&get_function_list = symbol("C_GetFunctionList");
	CK_FUNCTION_LIST *list;
	EXPECT(CKR_ARGUMENTS_BAD, get_function_list(NULL));
	OK(get_function_list(&list));
	CHECK(list->version.major == 2 && list->version.minor == 40);
	CHECK(list->C_GetFunctionList == get_function_list);
	every_pointer_is_there((CK_FUNCTION_LIST_3_2 *)list, 68);
}

static void interface_list(void)
{
	CK_RV (*get_interface_list)(CK_INTERFACE_PTR, CK_ULONG_PTR);
	*(void **)&get_interface_list = symbol("C_GetInterfaceList");
	CK_ULONG count = 77;
	EXPECT(CKR_ARGUMENTS_BAD, get_interface_list(NULL, NULL));
	OK(get_interface_list(NULL, &count));
	CHECK(count == 3);
	CK_INTERFACE interfaces[3] = {0};
	count = 2;
	EXPECT(CKR_BUFFER_TOO_SMALL, get_interface_list(interfaces, &count));
	CHECK(count == 3 && interfaces[0].pInterfaceName == NULL);
	OK(get_interface_list(interfaces, &count));
	const CK_VERSION versions[3] = {{3, 2}, {3, 0}, {2, 40}};
	const int sizes[3] = {104, 92, 68};
	for (int i = 0; i < 3; i++) {
		CK_FUNCTION_LIST_3_2 *list = interfaces[i].pFunctionList;
		CHECK(strcmp((char *)interfaces[i].pInterfaceName, "PKCS 11") == 0);
		CHECK(interfaces[i].flags == 0);
		CHECK(memcmp(&list->version, &versions[i], sizeof versions[i]) == 0);
		every_pointer_is_there(list, sizes[i]);
		CHECK(list->C_Sign == ((CK_FUNCTION_LIST_3_2 *)interfaces[0].pFunctionList)->C_Sign);
	}
}

static void one_interface(void)
{
	CK_RV (*get)(CK_UTF8CHAR_PTR, CK_VERSION_PTR, CK_INTERFACE_PTR_PTR, CK_FLAGS);
	*(void **)&get = symbol("C_GetInterface");
	CK_UTF8CHAR standard[] = "PKCS 11", other[] = "Vendor X", prefix[] = "PKCS 1";
	CK_VERSION v2_40 = {2, 40}, v3_0 = {3, 0}, v3_1 = {3, 1}, v3_2 = {3, 2};
	const struct {
		CK_UTF8CHAR *name;
		CK_VERSION *version;
		CK_FLAGS flags;
		CK_VERSION *wanted; /* NULL: refused */
	} cases[] = {
		{NULL, NULL, 0, &v3_2},     {standard, NULL, 0, &v3_2},    {NULL, &v3_0, 0, &v3_0},
		{standard, &v3_0, 0, &v3_0}, {standard, &v2_40, 0, &v2_40}, {standard, &v3_2, 0, &v3_2},
		{standard, &v3_1, 0, NULL}, {other, NULL, 0, NULL},        {prefix, NULL, 0, NULL},
		{other, &v3_0, 0, NULL},    {NULL, NULL, 1, NULL},         {standard, &v2_40, 1, NULL},
	};
	EXPECT(CKR_ARGUMENTS_BAD, get(NULL, NULL, NULL, 0));
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		CK_INTERFACE *found = NULL;
		CK_RV rv = get(cases[i].name, cases[i].version, &found, cases[i].flags);
		if (cases[i].wanted == NULL) {
			CHECK(rv == CKR_ARGUMENTS_BAD && found == NULL);
			continue;
		}
		CHECK(rv == CKR_OK && memcmp(found->pFunctionList, cases[i].wanted, sizeof(CK_VERSION)) == 0);
	}
}

/* What the library promises before C_Initialize: no function does anything, and each says why. */
static void not_initialised(const char *module)
{
	const CK_FUNCTION_LIST_3_2 *p11 = load(module);
	for (int i = 0; i < FUNCTIONS; i++) {
		if (is(i, "C_Initialize"))
			continue;
		CK_RV rv = call_with_zeros(p11, i, 0);
		int pure_c = is(i, "C_GetFunctionList") || is(i, "C_GetInterface") || is(i, "C_GetInterfaceList");
		int parallel = is(i, "C_GetFunctionStatus") || is(i, "C_CancelFunction");
		int good = pure_c     ? rv == CKR_ARGUMENTS_BAD
			   : parallel ? rv == CKR_FUNCTION_NOT_PARALLEL
				      : rv == CKR_CRYPTOKI_NOT_INITIALIZED || rv == CKR_FUNCTION_NOT_SUPPORTED;
		if (!good) {
			fprintf(stderr, "%s before C_Initialize: 0x%lx\n", functions[i].name, rv);
			exit(1);
		}
	}
}

int main(int argc, char **argv)
{
	CHECK(argc == 2);
	library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	CHECK(library != NULL);
	lists();
	interface_list();
	one_interface();
	not_initialised(argv[1]);
	return 0;
}
