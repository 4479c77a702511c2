package ck

import "encoding/binary"

// Mechanism is CK_MECHANISM. Of Parameter, Struct and Misfit at most one is set; none when the application gave no
// parameter.
type Mechanism struct {
	Type      MechanismType
	Parameter []byte // as it stands in memory, for mechanisms whose parameter holds no pointer
	Struct    any    // a pointer to one of the parameter structures
	Misfit    bool   // the parameter has a length that none of this mechanism's has
}

// NoParameter refuses a mechanism that came with a parameter: CKR_MECHANISM_PARAM_INVALID.
func (m Mechanism) NoParameter() error {
	if len(m.Parameter) != 0 || m.Struct != nil || m.Misfit {
		return CKR_MECHANISM_PARAM_INVALID
	}
	return nil
}

// UlongParameter is a parameter that is a CK_ULONG (8 bytes, little-endian), or absent.
func (m Mechanism) UlongParameter() (n uint64, given bool, err error) {
	switch {
	case m.Struct != nil || m.Misfit:
	case len(m.Parameter) == 0:
		return 0, false, nil
	case len(m.Parameter) == 8:
		return binary.LittleEndian.Uint64(m.Parameter), true, nil
	}
	return 0, false, CKR_MECHANISM_PARAM_INVALID
}
