/* The first function and the last one, and what holds between them. */
#include "call.h"
#include "process.h"
#include "transport.h"

#include "_cgo_export.h"

bool at_home(void)
{
	return !in_forked_child();
}

CK_RV standing(void)
{
	return in_forked_child() ? CKR_CRYPTOKI_NOT_INITIALIZED : goStanding();
}

CK_RV C_Initialize(CK_VOID_PTR initArgs)
{
	if (in_forked_child())
		return CKR_GENERAL_ERROR; /* a Go runtime cannot be started again in a forked child */
	return threads_can_call() ? goInitialize(initArgs) : CKR_HOST_MEMORY;
}

CK_RV C_Finalize(CK_VOID_PTR reserved)
{
	return in_forked_child() ? CKR_CRYPTOKI_NOT_INITIALIZED : goFinalize(reserved != NULL);
}
