/*
 * The function lists are those of the embedded library. No flag of an interface is set: CKF_INTERFACE_FORK_SAFE would
 * promise that a forked child inherits its parent's sessions.
 */
#include "cryptoki.h"

/* All that the library shows; exports.map says it once more. Protected: a host with such a name keeps its own, and we ours. */
#pragma GCC visibility push(protected)
CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list);
CK_RV C_GetInterfaceList(CK_INTERFACE_PTR list, CK_ULONG_PTR count);
CK_RV C_GetInterface(CK_UTF8CHAR_PTR name, CK_VERSION_PTR version, CK_INTERFACE_PTR_PTR interface, CK_FLAGS flags);
#pragma GCC visibility pop

#include "../embedded/lists.c"
