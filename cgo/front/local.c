/* The first function and the last one. */
#include "application.h"
#include "process.h"

CK_RV C_Initialize(CK_VOID_PTR arguments)
{
	return initialize_application(arguments);
}

CK_RV C_Finalize(CK_VOID_PTR reserved)
{
	if (which_process() != HOME)
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	return reserved != NULL ? CKR_ARGUMENTS_BAD : finalize_application();
}
