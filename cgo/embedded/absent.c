/* The functions that this token does not offer. They only ask whether the library is initialised. */
#include "cryptoki.h"
#include "process.h"

#include "_cgo_export.h"

/* The parameters have names because C11 asks for them in a definition; no body looks at them. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

#define OFFERED_ELSEWHERE(name, parameters)
#define ABSENT(name, parameters)                                 \
	CK_RV name parameters                                    \
	{                                                        \
		if (in_forked_child())                           \
			return CKR_CRYPTOKI_NOT_INITIALIZED;     \
		CK_RV rv = goInitialized();                      \
		return rv == CKR_OK ? CKR_FUNCTION_NOT_SUPPORTED : rv; \
	}

CK_FUNCTIONS_2_40(OFFERED_ELSEWHERE, ABSENT)
CK_FUNCTIONS_ADDED_IN_3_0(OFFERED_ELSEWHERE, ABSENT)
CK_FUNCTIONS_ADDED_IN_3_2(OFFERED_ELSEWHERE, ABSENT)
