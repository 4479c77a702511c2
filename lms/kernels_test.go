package lms_test

import (
	"testing"

	"github.com/onceleaf/onceleaf/internal/sha256mb"
	"github.com/onceleaf/onceleaf/lms"
)

// TestVectorsUnderEveryKernel makes all tests with foreign vectors pass with each kernel of this processor.
func TestVectorsUnderEveryKernel(t *testing.T) {
	for _, hash := range []sha256mb.Hash{sha256mb.SHA256, sha256mb.SHAKE256} {
		for _, kernel := range sha256mb.Kernels(hash) {
			t.Run(hash.String()+"/"+kernel.Name, func(t *testing.T) {
				lms.UseKernel(t, kernel)
				t.Run("RFCVerification", TestRFCVerification)
				t.Run("RFCSecondLevel", TestRFCSecondLevel)
				t.Run("RFCSigning", TestRFCSigning)
				t.Run("ACVPKeyGeneration", TestACVPKeyGeneration)
				t.Run("ACVPVerification", TestACVPVerification)
				t.Run("CrossKeyGeneration", TestCrossKeyGeneration)
				t.Run("CrossVerification", TestCrossVerification)
			})
		}
	}
}
