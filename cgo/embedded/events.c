/* The functions of events and of old parallel sessions, which no token needs to be asked for. */
#include "call.h"

/* The two functions of old parallel sessions answer also before C_Initialize, but not in a forked child. */
static CK_RV not_parallel(void)
{
	return at_home() ? CKR_FUNCTION_NOT_PARALLEL : CKR_CRYPTOKI_NOT_INITIALIZED;
}

CK_RV C_GetFunctionStatus(CK_SESSION_HANDLE session)
{
	(void)session;
	return not_parallel();
}

CK_RV C_CancelFunction(CK_SESSION_HANDLE session)
{
	(void)session;
	return not_parallel();
}

/* A token never appears or goes while the library is initialised. */
CK_RV C_WaitForSlotEvent(CK_FLAGS flags, CK_SLOT_ID_PTR slot, CK_VOID_PTR reserved)
{
	CK_RV rv = standing();
	if (rv != CKR_OK)
		return rv;
	if (slot == NULL || reserved != NULL)
		return CKR_ARGUMENTS_BAD;
	return (flags & CKF_DONT_BLOCK) == 0 ? CKR_FUNCTION_NOT_SUPPORTED : CKR_NO_EVENT;
}
