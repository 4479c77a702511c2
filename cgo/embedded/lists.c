/* The function lists and interfaces. Nothing here starts or needs Go: it works before C_Initialize and in a forked child. */
#include "cryptoki.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define ENTRY(name, parameters) .name = name,

static CK_FUNCTION_LIST list_2_40 = {
	.version = {2, 40},
	CK_FUNCTIONS_2_40(ENTRY, ENTRY)
};

static CK_FUNCTION_LIST_3_0 list_3_0 = {
	.version = {3, 0},
	CK_FUNCTIONS_2_40(ENTRY, ENTRY)
	CK_FUNCTIONS_ADDED_IN_3_0(ENTRY, ENTRY)
};

static CK_FUNCTION_LIST_3_2 list_3_2 = {
	.version = {3, 2},
	CK_FUNCTIONS_2_40(ENTRY, ENTRY)
	CK_FUNCTIONS_ADDED_IN_3_0(ENTRY, ENTRY)
	CK_FUNCTIONS_ADDED_IN_3_2(ENTRY, ENTRY)
};

static CK_UTF8CHAR standard[] = "PKCS 11";

/* Newest first: the first one is the default. No flag is set: a forked child cannot use the library. */
static CK_INTERFACE interfaces[] = {
	{standard, &list_3_2, 0},
	{standard, &list_3_0, 0},
	{standard, &list_2_40, 0},
};

enum { INTERFACES = sizeof interfaces / sizeof interfaces[0] };

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list)
{
	if (list == NULL)
		return CKR_ARGUMENTS_BAD;
	*list = &list_2_40;
	return CKR_OK;
}

CK_RV C_GetInterfaceList(CK_INTERFACE_PTR list, CK_ULONG_PTR count)
{
	if (count == NULL)
		return CKR_ARGUMENTS_BAD;
	CK_ULONG room = *count;
	*count = INTERFACES;
	if (list == NULL)
		return CKR_OK;
	if (room < INTERFACES)
		return CKR_BUFFER_TOO_SMALL;
	memcpy(list, interfaces, sizeof interfaces);
	return CKR_OK;
}

static bool same_version(const CK_INTERFACE *interface, const CK_VERSION *wanted)
{
	const CK_VERSION *version = interface->pFunctionList; /* every list begins with its version */
	return version->major == wanted->major && version->minor == wanted->minor;
}

static bool answers(const CK_INTERFACE *interface, const CK_UTF8CHAR *name, const CK_VERSION *version, CK_FLAGS flags)
{
	return (name == NULL || strcmp((const char *)name, (const char *)interface->pInterfaceName) == 0) &&
	       (version == NULL || same_version(interface, version)) && (interface->flags & flags) == flags;
}

CK_RV C_GetInterface(CK_UTF8CHAR_PTR name, CK_VERSION_PTR version, CK_INTERFACE_PTR_PTR interface, CK_FLAGS flags)
{
	if (interface == NULL)
		return CKR_ARGUMENTS_BAD;
	for (size_t i = 0; i < INTERFACES; i++) {
		if (answers(&interfaces[i], name, version, flags)) {
			*interface = &interfaces[i];
			return CKR_OK;
		}
	}
	return CKR_ARGUMENTS_BAD;
}
