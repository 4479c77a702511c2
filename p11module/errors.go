package p11module

import (
	"context"
	"errors"
	"syscall"

	"github.com/onceleaf/onceleaf/backup"
	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
	"github.com/onceleaf/onceleaf/lms"
)

// results is the one table from an error to its CK_RV, in order: the first that fits counts. Errors of package token
// carry their CK_RV with them.
var results = []struct {
	err error
	rv  ck.RV
}{
	{context.Canceled, ck.CKR_FUNCTION_CANCELED}, // C_Finalize came
	{context.DeadlineExceeded, ck.CKR_FUNCTION_CANCELED},

	{keystore.ErrLocked, ck.CKR_USER_NOT_LOGGED_IN},
	{keystore.ErrNoKey, ck.CKR_KEY_HANDLE_INVALID},
	{keystore.ErrExhausted, ck.CKR_KEY_EXHAUSTED},
	// A quarantined or external key is there and may do nothing: the log says why, and what to do.
	{keystore.ErrQuarantined, ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
	{keystore.ErrExternal, ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
	{keystore.ErrNotTransferable, ck.CKR_KEY_UNEXTRACTABLE},
	{keystore.ErrSeen, ck.CKR_WRAPPED_KEY_INVALID},
	{keystore.ErrReceipt, ck.CKR_WRAPPED_KEY_INVALID},
	{keystore.ErrUnknownTransfer, ck.CKR_WRAPPED_KEY_INVALID},
	{keystore.ErrAcknowledged, ck.CKR_WRAPPING_KEY_HANDLE_INVALID},
	{keystore.ErrOwned, ck.CKR_FUNCTION_FAILED}, // another process has the directory
	{keystore.ErrStore, ck.CKR_DEVICE_ERROR},
	{keystore.ErrStale, ck.CKR_DEVICE_ERROR},
	{keystore.ErrMissing, ck.CKR_DEVICE_ERROR},
	{keystore.ErrVersion, ck.CKR_DEVICE_ERROR},

	{backup.ErrFormat, ck.CKR_WRAPPED_KEY_INVALID},
	{backup.ErrNotForUs, ck.CKR_WRAPPED_KEY_INVALID},
	{backup.ErrAuthentic, ck.CKR_WRAPPED_KEY_INVALID},

	{keystore.ErrDamaged, ck.CKR_DEVICE_ERROR},
	{keystore.ErrParameters, ck.CKR_TEMPLATE_INCONSISTENT},
	// From signing: the signature did not stand its own check. Package token has the answer for verifying.
	{lms.ErrEncoding, ck.CKR_DEVICE_ERROR},
	{lms.ErrSignature, ck.CKR_DEVICE_ERROR},
	{lms.ErrNodes, ck.CKR_DEVICE_ERROR},
	{lms.ErrParameters, ck.CKR_TEMPLATE_INCONSISTENT},
}

// resultOf is the CK_RV of an error. Of what the table does not know, a refusal of the system (a full disk, say) is
// CKR_DEVICE_ERROR, and the rest CKR_GENERAL_ERROR.
func resultOf(err error) ck.RV {
	if err == nil {
		return ck.CKR_OK
	}
	var rv ck.RV
	if errors.As(err, &rv) {
		return rv
	}
	for _, r := range results {
		if errors.Is(err, r.err) {
			return r.rv
		}
	}
	if refused := syscall.Errno(0); errors.As(err, &refused) {
		return ck.CKR_DEVICE_ERROR
	}
	return ck.CKR_GENERAL_ERROR
}

// handleError gives the error of an object that is not there the result that the parameter of the call has.
func handleError(err error, rv ck.RV) error {
	if errors.Is(err, ck.CKR_OBJECT_HANDLE_INVALID) {
		return rv
	}
	return err
}
